//! Plug-ins from a registry (a stand-in in this process; a real one is in test/components): whatever
//! is wrong with one stands in its status and in `graylane get wasmplugin`, the last good version
//! keeps serving, and a new tag under load costs no request.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import { FakeRegistry, TYPES } from "../../src/controlplane/plugins/fake-registry.ts";
import { endEach } from "../support/ending.ts";
import { Graylane } from "../support/graylane.ts";
import { guest } from "../support/guest.ts";

const RATE_PER_SECOND = 100;
const TAGS = ["v2", "v1", "v2"];

/** Logs that it starts; answers carry `x-plugin: <version>`; configurations of 40 bytes and more are refused. */
function plugin(version: "v1" | "v2"): Uint8Array {
  return guest({
    imports: `(import "env" "proxy_add_header_map_value"
      (func $add (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))`,
    body: `
      (data (i32.const 40) "${version} starts\\1b[1m")
      (data (i32.const 16) "x-plugin${version}")
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $log (i32.const 3) (i32.const 40) (i32.const 13)))
        (i32.lt_u (local.get 1) (i32.const 40)))
      (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 2) (i32.const 16) (i32.const 8) (i32.const 24) (i32.const 2)))
        (i32.const 0))`,
  });
}

let registry: FakeRegistry;
let graylane: Graylane;

before(async () => {
  registry = await FakeRegistry.start();
  const push = (tag: string, bytes: Uint8Array): void => {
    registry.image(`team/plugin:${tag}`, [{ type: TYPES.wasmLayer, bytes }]);
  };
  push("v1", plugin("v1"));
  push("v2", plugin("v2"));
  push("html", Buffer.from("<html></html>"));
  push("no-abi", guest({ abi: "" }));
  push("no-import", guest({ imports: '(import "env" "proxy_nonsense" (func (result i32)))' }));
  push(
    "two-parameters",
    guest({
      body: '(func (export "proxy_on_request_headers") (param i32 i32) (result i32) (i32.const 0))',
    }),
  );
  graylane = await Graylane.start({ files: ["examples/asm-hash-tagging"] });
});

after(() =>
  endEach(
    () => graylane.stop(),
    () => registry.stop(),
  ),
);

function yaml(url: string, more = ""): string {
  return `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: delivered, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  url: ${url}
${more}`;
}

async function version(): Promise<string> {
  const { status, headers } = await graylane.ask({ headers: [["x-user-id", "jack"]] });
  assert.equal(status, 200);
  return String(headers["x-plugin"] ?? "");
}

/** READY and REASON of `graylane get wasmplugin`. */
async function shown(): Promise<string> {
  const { stdout } = await graylane.cli("get", "wasmplugin", "delivered", "-n", "istio-system");
  const [header = "", row = ""] = stdout.split("\n");
  const from = header.indexOf("READY");
  return row.slice(from, header.indexOf("URL")).trim().replace(/\s+/g, " ");
}

async function untilShown(wanted: string): Promise<void> {
  const kind = {
    group: "extensions.istio.io",
    version: "v1alpha1",
    plural: "wasmplugins",
    namespaced: true,
  };
  let last = "";
  await graylane.until(
    () => `the status is ${last}, not ${wanted}`,
    async () => {
      const { status } = await graylane.client.get(kind, "istio-system", "delivered");
      const [condition] = (status as Status | undefined)?.conditions ?? [];
      last = `${condition?.status ?? ""} ${condition?.reason ?? ""}`;
      return last === wanted;
    },
  );
  assert.equal(await shown(), wanted);
}

interface Status {
  readonly conditions?: readonly { readonly status: string; readonly reason: string }[];
}

test("a plug-in is pulled by tag, and get says that it is ready", async () => {
  await graylane.apply(yaml(`oci://${registry.host}/team/plugin:v1`));
  await graylane.published();
  await untilShown("True Accepted");
  assert.equal(await version(), "v1");
});

test("its log comes from every worker, each line with the worker's id", async () => {
  const { stdout } = await graylane.cli("plugin", "logs", "delivered", "-n", "istio-system");
  const lines = stdout.trimEnd().split("\n").sort();
  const want = /^\[gateway-\d+\] warning: v1 starts\\x1b\[1m$/;
  for (const line of lines) assert.match(line, want);
  assert.equal(new Set(lines).size, 2, stdout);
  const { exitCode, stderr } = await graylane.cli("plugin", "logs", "deliverd");
  assert.equal(exitCode, 1);
  assert.match(stderr, /no plug-in default\/deliverd runs; did you mean istio-system\/delivered\?/);
});

const SHA256 = "ab".repeat(32);
const faults: readonly (readonly [
  name: string,
  url: () => string,
  shows: string,
  more?: string,
])[] = [
  ["not Wasm", () => `${registry.host}/team/plugin:html`, "False NotWasm"],
  ["wrong ABI", () => `${registry.host}/team/plugin:no-abi`, "False WrongAbi"],
  ["missing import", () => `${registry.host}/team/plugin:no-import`, "False MissingImport"],
  ["wrong signature", () => `${registry.host}/team/plugin:two-parameters`, "False WrongSignature"],
  [
    "wrong sha256",
    () => `${registry.host}/team/plugin:v2`,
    "False WrongDigest",
    `  sha256: ${SHA256}\n`,
  ],
  ["404 from the registry", () => `${registry.host}/team/plugin:gone`, "False NotFound"],
  ["registry unreachable", () => "127.0.0.1:9/team/plugin:v1", "False Unreachable"],
  [
    "no pull secret",
    () => `${registry.host}/team/plugin:v2`,
    "False BadPullSecret",
    "  imagePullSecret: nowhere\n",
  ],
  [
    "a configuration that the plug-in refuses",
    () => `${registry.host}/team/plugin:v2`,
    "False Refused",
    "  pluginConfig: {text: this is longer than the plug-in takes}\n",
  ],
];

for (const [name, url, shows, more = ""] of faults) {
  test(`${name}: get shows ${shows}, and the last good version keeps serving`, async () => {
    await graylane.apply(yaml(`oci://${url()}`, more));
    await graylane.published();
    await untilShown(shows);
    assert.equal(await version(), "v1");
  });
}

test("a registry that wants a credential is Unauthorized until it gets one", async () => {
  registry.access = "bearer";
  registry.image("team/private:v2", [{ type: TYPES.wasmLayer, bytes: plugin("v2") }]);
  const url = `oci://${registry.host}/team/private:v2`;
  await graylane.apply(yaml(url));
  await graylane.published();
  await untilShown("False Unauthorized");
  const data = Buffer.from(registry.dockerConfig).toString("base64");
  await graylane.apply(`apiVersion: v1
kind: Secret
metadata: {name: puller, namespace: istio-system}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: ${data}}
---
${yaml(url, "  imagePullSecret: puller\n")}`);
  await graylane.published();
  await untilShown("True Accepted");
  assert.equal(await version(), "v2");
  registry.access = "open";
});

test("new tags are applied under load, and no request fails", async () => {
  await graylane.apply(yaml(`oci://${registry.host}/team/plugin:v1`));
  await graylane.published();
  const seen = new Set<string>();
  const client = new OpenLoopClient({
    host: "127.0.0.1",
    port: graylane.port,
    ratePerSecond: RATE_PER_SECOND,
    timeoutMs: 30_000,
    request: () => ({
      bytes: "GET / HTTP/1.1\r\nhost: a\r\nx-user-id: jack\r\n\r\n",
      check({ status, head }) {
        const found = /\r\nx-plugin: (v\d)/.exec(head)?.[1];
        if (status !== 200 || found === undefined) return `status ${status}: ${head}`;
        seen.add(found);
        return null;
      },
    }),
  });
  client.start();
  for (const tag of TAGS) {
    await graylane.apply(yaml(`oci://${registry.host}/team/plugin:${tag}`));
    await graylane.published();
    await untilShown("True Accepted");
    assert.equal(await version(), tag);
  }
  const { failures } = await client.stop();
  assert.deepEqual(failures, []);
  assert.deepEqual([...seen].sort(), ["v1", "v2"]);
});

test("who follows its log is told what every worker logs, until they have enough", async () => {
  const enough = new AbortController();
  const linesOf = (text: string): readonly string[] => text.split("\n").slice(0, -1);
  const workersOf = (text: string): ReadonlySet<string> =>
    new Set(linesOf(text).map((line) => line.split(" ", 1)[0] ?? ""));
  const followed = graylane.follow(
    ["plugin", "logs", "delivered", "-n", "istio-system", "-f", "--tail", "0"],
    (text) => {
      if (workersOf(text).size === 2) enough.abort();
    },
    enough.signal,
  );
  // Nothing tells when the question has been asked: what comes later is always told.
  for (const tag of ["v1", "v2", "v1", "v2"]) {
    if (enough.signal.aborted) break;
    await graylane.apply(yaml(`oci://${registry.host}/team/plugin:${tag}`));
    await graylane.published();
    await untilShown("True Accepted");
  }
  // It would go on for ever: a line of each worker has ended it.
  const { exitCode, stdout, stderr } = await followed;
  assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: "" });
  assert.equal(workersOf(stdout).size, 2);
  const want = /^\[gateway-\d+\] warning: v[12] starts\\x1b\[1m$/;
  for (const line of linesOf(stdout)) assert.match(line, want);
});

test("a TrafficExtension runs beside it, refuses what is wrong, and says both", async () => {
  const extension = (tag: string): string => `apiVersion: extensions.istio.io/v1alpha1
kind: TrafficExtension
metadata: {name: extended, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  wasm: {url: "oci://${registry.host}/team/plugin:${tag}"}
`;
  const shows = async (): Promise<string> => {
    const words = ["get", "trafficextensions", "extended", "-n", "istio-system"];
    return (await graylane.cli(...words)).stdout;
  };
  await graylane.apply(yaml(`oci://${registry.host}/team/plugin:v2`));
  for (const [tag, wanted] of [
    ["v1", /extended .*True +Accepted/],
    ["html", /extended .*False +NotWasm/],
  ] as const) {
    await graylane.apply(extension(tag));
    await graylane.published();
    let text = "";
    await graylane.until(
      () => `get shows ${text}`,
      async () => wanted.test((text = await shows())),
    );
    // What is wrong now ran before, and goes on.
    assert.deepEqual((await version()).split(", ").sort(), ["v1", "v2"]);
  }
});
