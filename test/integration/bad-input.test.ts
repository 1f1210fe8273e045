//! Whatever is wrong, the real command says what, where and what to do, and nothing is lost: after
//! each case a good request is answered as before.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, suite, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { Graylane, KINDS, runCommand, temporaryDirectory } from "../support/graylane.ts";
import type { CommandResult } from "../support/graylane.ts";

const EXAMPLE = "examples/asm-hash-tagging";
const VIRTUAL_SERVICE = ["istio-system", "swimlane-ingress-vs"] as const;
const GOOD =
  /^-> mocka\(version: v1, ip: [\d.]+\)-> mockb\(.*\)-> mockc\(version: v2, ip: [\d.]+\)$/;
const ELSEWHERE = ["--api", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

function assertRefused(result: CommandResult, ...patterns: readonly RegExp[]): void {
  assert.equal(result.exitCode, 1, `exit code of\n${result.stdout}${result.stderr}`);
  for (const pattern of patterns) assert.match(result.stderr, pattern);
}

const NOT_APPLIED = /error: nothing was applied: \d+ errors?/;

const MISTAKEN = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: swimlane-ingress-vs
  namespace: istio-system
spec:
  gateways: [istio-system/ingressgateway]
  hosts: ['*']
  http:
  - timeout: soon
    retrys: 3
    route:
    - destination:
        host: mocka.default.svc.cluster.local
        port: {number: 80000}
`;

interface FileCase {
  readonly name: string;
  readonly text: string | Uint8Array;
  readonly says: readonly RegExp[];
}

/** The file is named FILE in `says`. */
const FILES: readonly FileCase[] = [
  {
    name: "a text that is not YAML",
    text: "a: [1\nb: }\n",
    says: [/FILE:2:\d+: error GL0006: the text is not valid YAML/, NOT_APPLIED],
  },
  {
    name: "a kind that nobody knows",
    text: "apiVersion: v1\nkind: Deploymnt\nmetadata: {name: x}\n",
    says: [/FILE:2:7: .*GL0101: kind "Deploymnt"/, /Did you mean kind Deployment of apps\/v1/],
  },
  {
    name: "a kind in the wrong group",
    text: "apiVersion: v1\nkind: Deployment\nmetadata: {name: x}\n",
    says: [/FILE:2:7: .*GL0101/, /Did you mean kind Deployment of apps\/v1/],
  },
  {
    name: "a document that is no object",
    text: "hello: world\n",
    says: [/FILE:1:1: error GL0102: apiVersion is required/, /kind is required/, NOT_APPLIED],
  },
  {
    name: "a file of bytes",
    text: Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0xff, 0xfe, 1]),
    says: [/FILE(:\d+:\d+)?: error GL00\d\d/, NOT_APPLIED],
  },
  {
    name: "an empty file",
    text: "",
    says: [/error: no objects passed to apply/],
  },
];

suite("bad input to a running server", () => {
  let graylane: Graylane;
  const folder = temporaryDirectory();
  before(async () => {
    graylane = await Graylane.start({ files: [EXAMPLE] });
  });
  after(async () => {
    await graylane.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    const { status, body } = await graylane.ask({ headers: [["x-user-id", "jack"]] });
    assert.equal(status, 200, `the next good request: ${body}\n${graylane.output}`);
    assert.match(body, GOOD);
  });

  for (const { name, text, says } of FILES) {
    test(`${name} is refused with its place`, async () => {
      const file = join(folder, "case.yaml");
      writeFileSync(file, text);
      const result = await graylane.cli("apply", "-f", file);
      const patterns = says.map(({ source }) => new RegExp(source.replace("FILE", file)));
      assertRefused(result, ...patterns);
    });
  }

  test("a file that is not there is named", async () => {
    const result = await graylane.cli("apply", "-f", join(folder, "none.yaml"));
    assertRefused(
      result,
      /GL0002: .*none\.yaml: there is no such file or folder/,
      /Check the path/,
    );
  });

  test("a folder without manifests is named", async () => {
    const empty = join(folder, "empty");
    mkdirSync(empty);
    assertRefused(await graylane.cli("apply", "-f", empty), /GL0004: .*holds no \*\.yaml/);
  });

  // Root may read everything.
  const isRoot = process.getuid?.() === 0;
  test("an unreadable file is named", async () => {
    const file = join(folder, "secret.yaml");
    // For root: what no permission opens.
    if (isRoot) mkdirSync(join(file, "x.yaml"), { recursive: true });
    else {
      writeFileSync(file, "");
      chmodSync(file, 0);
    }
    const result = await graylane.cli("apply", "-f", isRoot ? join(file, "x.yaml/y") : file);
    assertRefused(result, /error GL000\d: .*secret\.yaml/);
  });

  test("two mistakes and an unknown field are all reported, and nothing changes", async () => {
    const old = await graylane.client.get(KINDS.VirtualService, ...VIRTUAL_SERVICE);
    const file = graylane.file(MISTAKEN);
    const at = (place: string): string => `${file}:${place}:`;
    const result = await graylane.cli("apply", "-f", file);
    assertRefused(result, NOT_APPLIED);
    for (const [place, text] of [
      [at("10:14"), 'error GL0113: spec.http[0].timeout must be a duration, is "soon"'],
      [at("11:5"), "warning GL0106: spec.http[0].retrys is not a known field"],
      [at("15:24"), "port.number must be at most 65535, is 80000"],
    ] as const) {
      const line = result.stderr.split("\n").find((one) => one.startsWith(place)) ?? "";
      assert.ok(line.includes(text), `${place} ${text}\nis not in\n${result.stderr}`);
    }
    assert.match(result.stderr, /Did you mean retries\?/);
    assert.match(result.stderr, /2 errors, 1 warning/);
    const now = await graylane.client.get(KINDS.VirtualService, ...VIRTUAL_SERVICE);
    assert.deepEqual(now, old);
  });

  test("an unmapped image leaves its pod waiting, says how to map it, and others run", async () => {
    await graylane.apply(deployment("mystery", "example.com/mystery:1"));
    let row = "";
    await graylane.until("the pod waits", async () => {
      const { stdout } = await graylane.cli("get", "pods");
      row = stdout.split("\n").find((line) => line.startsWith("mystery")) ?? "";
      return row.includes("ImageNotMapped");
    });
    assert.match(row, /^mystery\S+ +0\/1 +ImageNotMapped +0 /);
    const { stdout } = await graylane.cli("describe", "pod", row.split(" ", 1)[0] ?? "");
    const text = stdout.replace(/\s+/g, " ");
    assert.match(text, /reason: ImageNotMapped/);
    assert.match(
      text,
      /image example\.com\/mystery:1 .*--image-map.*annotation graylane\.io\/command/,
    );
    assert.match(graylane.output, /GL0501: default\/mystery/);
    assert.equal((await graylane.cli("delete", "deployment", "mystery")).exitCode, 0);
    await graylane.settle();
  });

  test("a service whose pods are dead is a 503 that names it", async () => {
    await graylane.apply(route("ghost", deployment("ghost", "example.com/ghost:1")));
    await graylane.published();
    const { status, body } = await graylane.ask({ path: "/ghost" });
    assert.equal(status, 503, body);
    assert.match(body, /default\/ghost/);
    await graylane.cli("delete", "deployment,service", "ghost");
    await graylane.cli("delete", "virtualservice", "ghost");
    await graylane.published();
  });

  test("no server is said to be behind another state directory", async () => {
    const result = await runCommand(["get", "pods", "--state", join(folder, "nobody")]);
    assertRefused(result, /no server found.*nobody\/client\.json/, /`graylane up`.*--state/);
  });

  test("a second server on the same state directory is refused, and names the first", async () => {
    const words = ["up", ...ELSEWHERE, "--state", graylane.stateDirectory];
    const inUse = new RegExp(`in use by process ${graylane.pid}; .*graylane down.*--state`);
    assertRefused(await runCommand(words), inUse);
  });
});

function deployment(name: string, image: string): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec: {containers: [{name: main, image: "${image}", ports: [{containerPort: 8000}]}]}
`;
}

/** A Service of this name, and /NAME leads to it. */
function route(name: string, more: string): string {
  return `apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 8000}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  gateways: [istio-system/ingressgateway]
  hosts: ['*']
  http:
  - match: [{uri: {prefix: /${name}}}]
    route: [{destination: {host: ${name}.default.svc.cluster.local}}]
---
${more}`;
}

suite("plug-ins that cannot be had", () => {
  let graylane: Graylane;
  const folder = temporaryDirectory();
  const notWasm = join(folder, "text.wasm");
  const jack = { headers: [["x-user-id", "jack"]] } as const;
  before(async () => {
    writeFileSync(notWasm, "this is no WebAssembly");
    graylane = await Graylane.start({ files: [EXAMPLE] });
  });
  after(async () => {
    await graylane.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const cases = [
    {
      name: "an image whose registry nobody answers for",
      url: "oci://127.0.0.1:1/unknown:1",
      // What a network is asked for may not be known yet when the object is written.
      appliedSays: /GL0408.*127\.0\.0\.1:1|GL0411.*127\.0\.0\.1:1\S* is being fetched/,
      says: /GL0408.*127\.0\.0\.1:1/,
    },
    {
      name: "a file that is not Wasm",
      url: `file://${notWasm}`,
      says: /GL0403.*text\.wasm is not a WebAssembly module/,
    },
    { name: "a file that is not there", url: "file:///nowhere/x.wasm", says: /GL04\d\d.*x\.wasm/ },
  ];
  for (const { name, url, says, appliedSays = says } of cases) {
    for (const [strategy, status, outcome] of [
      ["FAIL_CLOSE", 503, /the gateway answers 503 \(FAIL_CLOSE\)/],
      ["FAIL_OPEN", 200, /requests are served without it \(FAIL_OPEN\)/],
    ] as const) {
      test(`${name}: ${strategy} answers ${status}, and describe says why`, async () => {
        const applied = await graylane.apply(`apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: bad, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  url: ${url}
  failStrategy: ${strategy}
`);
        assert.match(applied.stderr.replace(/\s+/g, " "), appliedSays, "apply does not say it");
        const plugin = ["wasmplugin", "bad", "-n", "istio-system"];
        let text = "";
        await graylane.until("describe says why", async () => {
          text = (await graylane.cli("describe", ...plugin)).stdout.replace(/\s+/g, " ");
          return says.test(text);
        });
        await graylane.published();
        const answer = await graylane.ask(jack);
        assert.equal(answer.status, status, answer.body);
        if (status === 503) assert.match(answer.body, /istio-system\/bad/);
        assert.match(text, outcome);
        assert.doesNotMatch(text, /Messages: <none>/);
        assert.equal((await graylane.cli("delete", ...plugin)).exitCode, 0);
        await graylane.published();
        assert.match((await graylane.ask(jack)).body, GOOD);
      });
    }
  }

  test("a running plug-in whose new module is no Wasm keeps serving with the old one", async () => {
    const yaml = readFileSync(join(EXAMPLE, "wasm.yaml"), "utf8");
    await graylane.apply(yaml.replace(/url: .*/, `url: file://${notWasm}`));
    await graylane.published();
    for (const [user, version] of [
      ["jack", "v2"],
      ["bob", "v1"],
    ] as const) {
      const { body } = await graylane.ask({ headers: [["x-user-id", user]] });
      assert.match(body, new RegExp(`mockc\\(version: ${version}`));
    }
    const plugin = ["wasmplugin", "hash-tagging", "-n", "istio-system"];
    const { stdout } = await graylane.cli("describe", ...plugin);
    assert.match(stdout.replace(/\s+/g, " "), /GL0403.*that ran before keep serving/);
  });
});

suite("a server that cannot start says why and leaves nothing", () => {
  const folder = temporaryDirectory();
  let graylane: Graylane;
  before(async () => {
    graylane = await Graylane.start({ files: ["examples/mse-order/gateway.yaml"] });
  });
  after(async () => {
    const { status } = await graylane.ask({ path: "/nothing" });
    await graylane.stop();
    rmSync(folder, { recursive: true, force: true });
    assert.equal(status, 404, "the first server was disturbed");
  });

  const up = (name: string, ...words: readonly string[]): Promise<CommandResult> =>
    runCommand(["up", "-f", "examples/mse-order", "--state", join(folder, name), ...words]);

  test("the gateway's port is taken: who wants it, and how to map another", async () => {
    const result = await up("gateway", "--map-port", `80=${graylane.port}`, ...ELSEWHERE);
    const taken = `127\\.0\\.0\\.1:${graylane.port} for port 80 of gateway istio=ingressgateway`;
    assertRefused(result, new RegExp(`GL0601: ${taken} is in use`), /--map-port 80=PORT/);
  });

  test("the API's port is taken: how to choose another", async () => {
    const result = await up("api", "--api", `127.0.0.1:${graylane.port}`, ...ELSEWHERE.slice(2));
    const taken = `127\\.0\\.0\\.1:${graylane.port}`;
    assertRefused(result, new RegExp(`GL0610: the Graylane API .*${taken}.*--api HOST:PORT`));
  });

  test("the admin port is taken: how to choose another", async () => {
    const result = await up(
      "admin",
      ...ELSEWHERE.slice(0, 2),
      "--admin",
      `127.0.0.1:${graylane.port}`,
    );
    const taken = `127\\.0\\.0\\.1:${graylane.port}`;
    assertRefused(result, new RegExp(`GL0604: the admin endpoints .*${taken}.*--admin HOST:PORT`));
  });

  test("a file that is not there: nothing is started", async () => {
    const result = await up("file", "-f", join(folder, "none.yaml"), ...ELSEWHERE);
    assertRefused(result, /GL0002.*none\.yaml/, /nothing was started/);
  });

  test("a store that is garbage: it is named, and kept as it is", async () => {
    const state = join(folder, "garbage");
    const store = join(state, "store");
    const garbage = Buffer.alloc(65_536, "garbage ");
    mkdirSync(store, { recursive: true });
    const data = join(store, "data.mdb");
    writeFileSync(data, garbage);
    const map = ["--map-port", `80=${await freePort()}`];
    const result = await up("garbage", ...map, ...ELSEWHERE);
    assertRefused(result, new RegExp(store), /--state/);
    assert.ok(readFileSync(data).equals(garbage));
  });
});
