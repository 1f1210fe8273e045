import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import type { Clock } from "../base/clock.ts";
import { FakeClock } from "../base/fake-clock.ts";
import type { Resource } from "../resources/object.ts";
import { FAKE_TOKEN, FakeApi } from "./fake-api.ts";
import type { EnvoyOptions } from "./envoy-options.ts";
import type { InspectOptions } from "./plugin.ts";
import { runCli } from "./program.ts";
import type { UpOptions } from "./up-options.ts";

const CLI_PAGE = "docs/cli.md";
const SERVICE = `apiVersion: v1
kind: Service
metadata:
  name: mocka
spec:
  selector:
    app: mocka
  ports:
  - port: 8000
`;
const SERVICE_PATH = "/api/v1/namespaces/default/services/mocka";
const LANE = `apiVersion: graylane.io/v1alpha1
kind: Lane
metadata:
  name: gray
  namespace: shop
spec:
  group: order
  selector:
    matchLabels:
      alicloud.service.tag: gray
`;

const NOW_MS = new Date("2026-11-21T08:05:00Z").getTime();

interface Run {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly up: readonly UpOptions[];
  readonly inspected: readonly InspectOptions[];
  readonly envoys: readonly EnvoyOptions[];
}

let api: FakeApi;
let folder: string;

beforeEach(async () => {
  api = await FakeApi.start();
  folder = await mkdtemp(join(tmpdir(), "graylane-cli-"));
});

afterEach(async () => {
  await api.stop();
  await rm(folder, { recursive: true });
});

async function run(
  words: readonly string[],
  options: { offline?: boolean; clock?: Clock } = {},
): Promise<Run> {
  let stdout = "";
  let stderr = "";
  const up: UpOptions[] = [];
  const inspected: InspectOptions[] = [];
  const envoys: EnvoyOptions[] = [];
  const server = options.offline === true ? [] : ["--server", api.address, "--token", FAKE_TOKEN];
  const exitCode = await runCli([...words, ...server], {
    stdout: { write: (text) => void (stdout += text) },
    stderr: { write: (text) => void (stderr += text) },
    clock: options.clock ?? new FakeClock(NOW_MS),
    env: {},
    cwd: folder,
    version: "0.1.0",
    interrupted: new AbortController().signal,
    resolveModules: (plugins) => {
      const module = { sha256: "0".repeat(64), path: "/plugin.wasm" };
      const key = ({ metadata }: Resource): string => `${metadata.namespace}/${metadata.name}`;
      return Promise.resolve(new Map(plugins.map((plugin) => [key(plugin), module])));
    },
    offlineGateway: () => Promise.reject(new Error("not asked")),
    up: (parsed) => {
      up.push(parsed);
      return Promise.resolve(0);
    },
    plugin: {
      inspect: (options) => {
        inspected.push(options);
        return Promise.resolve(0);
      },
      test: () => Promise.resolve(0),
      profile: () => Promise.resolve(0),
      run: () => Promise.resolve(0),
    },
    controller: () => Promise.resolve(0),
    envoy: (options) => {
      envoys.push(options);
      return Promise.resolve(0);
    },
  });
  return { exitCode, stdout, stderr, up, inspected, envoys };
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

test("apply says created, then unchanged, then configured", async () => {
  const path = await file("service.yaml", SERVICE);
  assert.equal((await run(["apply", "-f", path])).stdout, "service/mocka created\n");
  assert.equal((await run(["apply", "-f", path])).stdout, "service/mocka unchanged\n");
  await file("service.yaml", SERVICE.replace("8000", "8001"));
  const changed = await run(["apply", "-f", path]);
  assert.equal(changed.stdout, "service/mocka configured\n");
  assert.equal(changed.exitCode, 0);
});

test("apply names the kind with its group", async () => {
  const { stdout } = await run(["apply", "-f", await file("lane.yaml", LANE)]);
  assert.equal(stdout, "lane.graylane.io/gray created\n");
  assert.ok(api.objects.has("/apis/graylane.io/v1alpha1/namespaces/shop/lanes/gray"));
});

test("apply with a fault in one file prints all faults with places and sends nothing", async () => {
  const good = await file("a.yaml", SERVICE);
  const bad = await file("b.yaml", LANE.replace("group: order", "grup: order"));
  const { exitCode, stdout, stderr } = await run(["apply", "-f", good, "-f", bad]);
  assert.equal(exitCode, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /b\.yaml:7:3: warning GL0106: spec\.grup/);
  assert.match(stderr, /b\.yaml:\d+:\d+: error GL0104: spec\.group/);
  assert.match(stderr, /^error: nothing was applied: 1 error, 1 warning$/m);
  assert.deepEqual(api.calls, []);
});

test("apply tries again while other writers are faster", async () => {
  const path = await file("service.yaml", SERVICE);
  await run(["apply", "-f", path]);
  await file("service.yaml", SERVICE.replace("8000", "8001"));
  let conflicts = 0;
  api.hook = ({ method }) => {
    if (method !== "PUT" || conflicts === 5) return undefined;
    conflicts += 1;
    const body = { kind: "Status", reason: "Conflict", message: "modified", code: 409 };
    return { status: 409, body };
  };
  assert.equal((await run(["apply", "-f", path])).stdout, "service/mocka configured\n");
  assert.equal(conflicts, 5);
});

test("apply goes on after an object that the server refuses, and exits 1", async () => {
  const path = await file("both.yaml", `${LANE}---\n${SERVICE}`);
  api.hook = ({ method, path: at }) => {
    if (method !== "POST" || !at.includes("lanes")) return undefined;
    const causes = [{ reason: "GL0104", field: "spec.group", message: "is required" }];
    const status = { kind: "Status", reason: "Invalid", code: 422, message: "refused" };
    return { status: 422, body: { ...status, details: { causes } } };
  };
  const { exitCode, stdout, stderr } = await run(["apply", "-f", path]);
  assert.equal(exitCode, 1);
  assert.equal(stdout, "service/mocka created\n");
  assert.match(stderr, /lane\.graylane\.io\/gray: from the server \(Invalid\): refused/);
  assert.match(stderr, /GL0104 spec\.group: is required/);
  assert.match(stderr, /1 of 2 objects were not applied/);
});

test("apply --dry-run changes nothing", async () => {
  const { stdout } = await run(["apply", "--dry-run", "-f", await file("s.yaml", SERVICE)]);
  assert.equal(stdout, "service/mocka created (dry run)\n");
  assert.equal(api.objects.size, 0);
});

test("without a server the error says what to start", async () => {
  const { exitCode, stderr } = await run(["get", "services"], { offline: true });
  assert.equal(exitCode, 1);
  assert.match(stderr, /^error: no server found: there is no .*client\.json$/m);
  assert.match(stderr, /Is `graylane up` running\?/);
});

test("a server that is gone and a token that is wrong are told apart", async () => {
  const words = ["get", "services", "--token", "x"];
  const gone = await run([...words, "--server", "127.0.0.1:1"], { offline: true });
  assert.match(gone.stderr, /error: the Graylane API at http:\/\/127\.0\.0\.1:1 does not answer/);
  const wrong = await run([...words, "--server", api.address], { offline: true });
  assert.match(wrong.stderr, /does not accept the token \(401\)/);
  assert.equal(wrong.exitCode, 1);
});

test("the server is found through the state directory", async () => {
  const client = JSON.stringify({ server: `http://${api.address}`, token: FAKE_TOKEN });
  await file("client.json", client);
  const { exitCode, stderr } = await run(["get", "svc", "--state", "."], { offline: true });
  assert.equal(exitCode, 0);
  assert.equal(stderr, "No resources found in default namespace.\n");
});

test("get prints a table with NAME first and AGE", async () => {
  await run(["apply", "-f", await file("s.yaml", SERVICE)]);
  const { stdout } = await run(["get", "services"]);
  const [header, row] = stdout.split("\n");
  assert.match(header ?? "", /^NAME +.*AGE$/);
  assert.match(row ?? "", /^mocka +.* 5m$/);
});

test("get -A adds the namespace, -o name and -o json print what they say", async () => {
  await run(["apply", "-f", await file("l.yaml", LANE)]);
  assert.match((await run(["get", "lanes", "-A"])).stdout, /^NAMESPACE +NAME .*\nshop +gray /);
  const named = await run(["get", "lane", "-n", "shop", "-o", "name"]);
  assert.equal(named.stdout, "lane.graylane.io/gray\n");
  const one = await run(["get", "lane/gray", "-n", "shop", "-o", "json"]);
  assert.equal((JSON.parse(one.stdout) as { kind: string }).kind, "Lane");
  const list = await run(["get", "lanes", "-n", "shop", "-o", "json"]);
  assert.equal((JSON.parse(list.stdout) as { kind: string }).kind, "List");
});

const usageFaults = [
  { words: ["get", "nonsense"], says: /doesn't have a resource type "nonsense"/, exitCode: 1 },
  { words: ["get", "pods", "-o", "xml"], says: /-o xml: not a format/, exitCode: 2 },
  { words: ["apply"], says: /no file is named/, exitCode: 2 },
  { words: ["aply"], says: /unknown command 'aply'/, exitCode: 2 },
  { words: ["up", "--map-port", "80"], says: /--map-port 80: not a pair of ports/, exitCode: 2 },
  { words: ["up", "--api", "0.0.0.0:80"], says: /not a loopback address/, exitCode: 2 },
  { words: ["up", "--workers", "0"], says: /--workers 0: not a number from 1/, exitCode: 2 },
  { words: ["explain", "-H", "x", "http://a/"], says: /--header x: no header name/, exitCode: 2 },
  { words: ["delete", "service"], says: /no service is named/, exitCode: 2 },
  { words: ["completion", "csh"], says: /csh: no completion/, exitCode: 2 },
];

for (const { words, says, exitCode } of usageFaults) {
  test(`"graylane ${words.join(" ")}" exits ${exitCode} and says why`, async () => {
    const result = await run(words);
    assert.match(result.stderr, says);
    assert.equal(result.exitCode, exitCode);
  });
}

test("get of a name that is not there exits 1 with the server's words", async () => {
  const { exitCode, stderr } = await run(["get", "service", "mockz"]);
  assert.equal(exitCode, 1);
  assert.match(stderr, /^Error from server \(NotFound\): /);
});

test("describe shows labels, spec and what analyze says about the object", async () => {
  await run(["apply", "-f", await file("s.yaml", SERVICE)]);
  const object = { kind: "Service", namespace: "default", name: "mocka" };
  const fault = { severity: "warning", code: "GL0209", message: "no pod", remedy: "" };
  const messages = [{ ...fault, path: "spec.selector", object, position: null }];
  api.hook = ({ path }) =>
    path === "/graylane/v1/analyze" ? { status: 200, body: { messages } } : undefined;
  const { stdout } = await run(["describe", "service", "mocka"]);
  assert.match(stdout, /^Name: +mocka$/m);
  assert.match(stdout, /^Labels: +<none>$/m);
  assert.match(stdout, /^ {2}selector:\n {4}app: mocka$/m);
  assert.match(stdout, /warning GL0209: spec\.selector: no pod/);
});

test("delete --dry-run prints what analyze would add, and deletes nothing", async () => {
  await run(["apply", "-f", await file("s.yaml", SERVICE)]);
  api.hook = ({ path, body }) => {
    if (path !== "/graylane/v1/analyze") return undefined;
    const known = { severity: "info", code: "GL0300", message: "known", remedy: "", path: "" };
    const added = {
      severity: "error",
      code: "GL0201",
      message: "no host mocka",
      remedy: "Add it.",
    };
    const object = { kind: "VirtualService", namespace: "default", name: "vs" };
    const place = { object, position: null, path: "" };
    const isForetold = "delete" in (body as object);
    const messages = [{ ...known, ...place }, ...(isForetold ? [{ ...added, ...place }] : [])];
    return { status: 200, body: { messages } };
  };
  const { stdout, exitCode } = await run(["delete", "service", "mocka", "--dry-run"]);
  assert.equal(exitCode, 0);
  assert.match(stdout, /^service "mocka" deleted \(dry run\)$/m);
  assert.match(stdout, /error GL0201: no host mocka \(VirtualService default\/vs\)/);
  assert.doesNotMatch(stdout, /GL0300/);
  assert.ok(api.objects.has(SERVICE_PATH));
});

test("delete works by name and by file; a missing object exits 1 unless ignored", async () => {
  const path = await file("s.yaml", SERVICE);
  await run(["apply", "-f", path]);
  assert.equal((await run(["delete", "svc/mocka"])).stdout, 'service "mocka" deleted\n');
  assert.equal((await run(["delete", "-f", path])).exitCode, 1);
  assert.equal((await run(["delete", "-f", path, "--ignore-not-found"])).exitCode, 0);
});

test("logs of a deployment takes one of its pods and says which", async () => {
  const labels = { app: "mocka" };
  api.put("/apis/apps/v1/namespaces/default/deployments/mocka", {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "mocka" },
    spec: { selector: { matchLabels: labels } },
  });
  for (const name of ["mocka-1", "mocka-2"]) {
    const metadata = { name, namespace: "default", labels };
    const path = `/api/v1/namespaces/default/pods/${name}`;
    api.put(path, { apiVersion: "v1", kind: "Pod", metadata });
  }
  api.hook = ({ path }) =>
    path.endsWith("/mocka-1/log") ? { status: 200, body: "one\ntwo\n" } : undefined;
  const { stdout, stderr } = await run(["logs", "deployment/mocka", "--tail", "2"]);
  assert.equal(stdout, "one\ntwo\n");
  assert.equal(stderr, "Found 2 pods, using pod/mocka-1\n");
});

test("up gets its options parsed, with absolute paths", async () => {
  const words = ["up", "-f", "a.yaml", "b", "--map-port", "80=18080", "--api", "127.0.0.1:0"];
  const { up } = await run([...words, "--workers", "2", "--state", "st"], { offline: true });
  assert.deepEqual(up[0], {
    files: [join(folder, "a.yaml"), join(folder, "b")],
    portMap: new Map([[80, 18080]]),
    api: { host: "127.0.0.1", port: 0 },
    admin: { host: "127.0.0.1", port: 15000 },
    xds: null,
    sidecars: "embedded",
    workerCount: 2,
    stateDirectory: join(folder, "st"),
    imageMap: null,
    auditLog: null,
    tokenAuthFile: null,
    clientCaFile: null,
    accessLog: null,
    accessLogFormat: null,
    accessLogHeaders: [],
    recentCount: 500,
    drainTimeMs: 5_000,
    parentShutdownMs: 900_000,
    overload: { delayMs: 100, memoryBytes: 2_147_483_648, connectionsMax: 20_000 },
  });
});

const overloads = [
  { words: "delay=50", is: { delayMs: 50, memoryBytes: 2_147_483_648, connectionsMax: 20_000 } },
  {
    words: "connections=5,memory=256",
    is: { delayMs: 100, memoryBytes: 268_435_456, connectionsMax: 5 },
  },
  { words: "off", is: null },
];
for (const { words, is } of overloads) {
  test(`up --overload ${words} sets those limits`, async () => {
    const { up } = await run(["up", "--overload", words], { offline: true });
    assert.deepEqual(up[0]?.overload, is);
  });
}

const badOverloads = [
  { words: "speed=1", says: /--overload speed=1: no limit\nWrite off, or some of delay=100,/ },
  { words: "delay=1", says: /--overload delay=1: not a number from 10 to 10000 \(ms\)/ },
  { words: "memory=", says: /--overload memory=: not a number from 128 to/ },
  { words: "delay=50,delay=60", says: /--overload: delay stands there twice/ },
];
for (const { words, says } of badOverloads) {
  test(`up --overload ${words} is refused in words`, async () => {
    const { exitCode, stderr } = await run(["up", "--overload", words], { offline: true });
    assert.equal(exitCode, 2);
    assert.match(stderr, says);
  });
}

test("up --drain-time takes seconds up to an hour", async () => {
  const { up } = await run(["up", "--drain-time", "60"], { offline: true });
  assert.equal(up[0]?.drainTimeMs, 60_000);
  const refused = await run(["up", "--drain-time", "3601"], { offline: true });
  assert.match(refused.stderr, /--drain-time 3601: not a number of seconds from 0 to 3600/);
});

test("plugin inspect gets an absolute path, and knows JSON as its only other format", async () => {
  const { inspected } = await run(["plugin", "inspect", "a.wasm", "-o", "json"], { offline: true });
  assert.deepEqual(inspected, [{ file: join(folder, "a.wasm"), json: true }]);
  const refused = await run(["plugin", "inspect", "a.wasm", "-o", "yaml"], { offline: true });
  assert.equal(refused.exitCode, 2);
  assert.match(refused.stderr, /not a format of plugin inspect/);
});

test("envoy takes Envoy's own flags", async () => {
  const words = ["envoy", "-c", "e.yaml", "--concurrency", "3", "-l", "error", "--base-id", "7"];
  const levels = ["--component-log-level", "upstream:debug,wasm:trace"];
  const idle = ["--restart-epoch", "1", "--drain-strategy", "immediate", "--cpuset-threads"];
  const others = ["--service-node", "n", "--socket-path", "@x", "--ignore-unknown-dynamic-fields"];
  const { envoys } = await run([...words, ...levels, ...idle, ...others], { offline: true });
  assert.deepEqual(envoys, [
    {
      file: join(folder, "e.yaml"),
      configYaml: null,
      concurrency: 3,
      levels: { main: "error", wasm: "trace" },
      node: { id: "n" },
      ...{ validateOnly: false, mayRestart: true, parentShutdownMs: 900_000 },
    },
  ]);
  const restart = ["--disable-hot-restart", "--parent-shutdown-time-s", "7"];
  const own = await run(["envoy", "-c", "e.yaml", ...restart], { offline: true });
  const [ours] = own.envoys;
  assert.equal(ours?.mayRestart, false);
  assert.equal(ours.parentShutdownMs, 7_000);
  const late = ["envoy", "-c", "e.yaml", "--parent-shutdown-time-s", "soon"];
  assert.equal((await run(late, { offline: true })).exitCode, 2);
  const refused = await run(["envoy", "-c", "e.yaml", "-l", "loud"], { offline: true });
  assert.equal(refused.exitCode, 2);
});

test("envoy takes each flag without effect that docs/cli.md lists so", async () => {
  const values: Readonly<Record<string, string>> = {
    ...{ "--base-id": "7", "--drain-time-s": "5", "--drain-strategy": "gradual" },
    ...{ "--file-flush-interval-msec": "10", "--file-flush-min-size-kb": "64" },
    ...{ "--restart-epoch": "1", "--socket-path": "@x", "--socket-mode": "600" },
  };
  const [, listed = ""] =
    /Taken without effect: ([^]*?)\.\n/.exec(await readFile(CLI_PAGE, "utf8")) ?? [];
  const flags = [...listed.matchAll(/`(--[a-z-]+)`/g)].map(([, flag = ""]) => flag);
  assert.equal(flags.length, 13);
  const command = ["envoy", "-c", "e.yaml"];
  const plain = await run(command, { offline: true });
  assert.equal(plain.envoys.length, 1);
  for (const flag of flags) {
    const words = [flag, ...(values[flag] === undefined ? [] : [values[flag]])];
    const { envoys, stderr } = await run([...command, ...words], { offline: true });
    assert.deepEqual({ envoys, stderr }, { envoys: plain.envoys, stderr: "" }, flag);
  }
});

test("down asks the server to stop and ends when it is gone", async () => {
  api.hook = ({ path }) => {
    if (path !== "/graylane/v1/shutdown") return undefined;
    setImmediate(() => void api.stop());
    return { status: 200, body: {} };
  };
  const { stdout, exitCode } = await run(["down"], { clock: systemClock });
  assert.equal(stdout, "graylane stopped\n");
  assert.equal(exitCode, 0);
  api = await FakeApi.start();
});

test("down without a server says that nothing runs", async () => {
  const words = ["down", "--server", "127.0.0.1:1", "--token", "x"];
  const { stdout, exitCode } = await run(words, { offline: true });
  assert.equal(stdout, "graylane is not running\n");
  assert.equal(exitCode, 0);
});

test("version works with and without a server", async () => {
  const { stdout } = await run(["version"], { offline: true });
  assert.equal(stdout, "Client Version: 0.1.0\n");
  api.hook = () => ({ status: 200, body: { version: "0.1.1" } });
  const both = await run(["version", "-o", "json"]);
  assert.deepEqual(JSON.parse(both.stdout), {
    clientVersion: { version: "0.1.0" },
    serverVersion: { version: "0.1.1" },
  });
});

for (const shell of ["bash", "zsh", "fish"]) {
  test(`the ${shell} completion knows the commands, their options and the kinds`, async () => {
    const { stdout } = await run(["completion", shell], { offline: true });
    for (const word of ["analyze", "map-port", "virtualservices"]) {
      assert.ok(stdout.includes(word), word);
    }
  });
}

test("help is printed on standard output and is no error", async () => {
  const { stdout, exitCode } = await run(["--help"], { offline: true });
  assert.match(stdout, /Usage: graylane/);
  assert.equal(exitCode, 0);
});

const EXAMPLES = ["asm-hash-tagging", "mse-order"];

for (const example of EXAMPLES) {
  test(`analyze finds no error in examples/${example}`, async () => {
    const path = join(process.cwd(), "examples", example);
    const { stdout, exitCode } = await run(["analyze", "-f", path], { offline: true });
    assert.doesNotMatch(stdout, /: error GL/);
    assert.equal(exitCode, 0);
  });
}

test("analyze places what the compiler finds, and exits by the threshold", async () => {
  const path = await file("lane.yaml", LANE);
  const { stdout, exitCode } = await run(["analyze", "-f", path], { offline: true });
  assert.match(stdout, /lane\.yaml:7:10: (error|warning) GL0\d{3}: .*order/);
  const words = ["analyze", "-f", path, "-o", "json", "--failure-threshold", "info"];
  const strict = await run(words, { offline: true });
  assert.equal(strict.exitCode, 1);
  assert.ok(Array.isArray(JSON.parse(strict.stdout)));
  assert.ok(exitCode === 0 || exitCode === 1);
});
