//! Every field of the kinds that bring a plug-in, through `graylane apply` to the answer of a
//! gateway: it has its effect, or a warning or error says that it has none. All plug-ins run side
//! by side, and each tells in a field of the answer what it was given.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FakeRegistry, TYPES } from "../../src/controlplane/plugins/fake-registry.ts";
import { Graylane } from "../support/graylane.ts";
import { guest } from "../support/guest.ts";

const HOST_VARIABLE = "GRAYLANE_TEST_PLUGIN_HOST";
/** By its length the guest knows it, and traps. */
const TRAPPING = { trap: true };

/** Adds `x-ran: <version><environment><configuration>|<root id>|` to answers. */
function teller(version: "1" | "2"): Uint8Array {
  return guest({
    imports: `(import "env" "proxy_add_header_map_value"
        (func $add (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_get_buffer_bytes"
        (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_sizes_get"
        (func $sizes (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "environ_get"
        (func $environment (param i32 i32) (result i32)))`,
    body: `(data (i32.const 16) "x-ran") (data (i32.const 32) "plugin_root_id")
      (data (i32.const 1024) "${version}")
      (global $config (mut i32) (i32.const 0)) (global $size (mut i32) (i32.const 0))
      (func (export "proxy_on_configure") (param i32) (param $size i32) (result i32)
        (drop (call $buffer (i32.const 7) (i32.const 0) (local.get $size)
          (i32.const 8) (i32.const 12)))
        (global.set $config (i32.load (i32.const 8)))
        (global.set $size (local.get $size))
        (i32.const 1))
      (func $append (param $to i32) (param $from i32) (param $length i32) (result i32)
        (memory.copy (local.get $to) (local.get $from) (local.get $length))
        (i32.store8 (i32.add (local.get $to) (local.get $length)) (i32.const 124))
        (i32.add (i32.add (local.get $to) (local.get $length)) (i32.const 1)))
      (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (local $at i32) (local $end i32)
        (if (i32.eq (global.get $size) (i32.const ${JSON.stringify(TRAPPING).length}))
          (then (unreachable)))
        (drop (call $sizes (i32.const 0) (i32.const 4)))
        (drop (call $environment (i32.const 64) (i32.const 1025)))
        (local.set $at (i32.const 1025))
        (local.set $end (i32.add (i32.const 1025) (i32.load (i32.const 4))))
        (loop $bytes
          (if (i32.eqz (i32.load8_u (local.get $at)))
            (then (i32.store8 (local.get $at) (i32.const 59))))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $bytes (i32.lt_u (local.get $at) (local.get $end))))
        (local.set $end
          (call $append (local.get $end) (global.get $config) (global.get $size)))
        (drop (call $get (i32.const 32) (i32.const 14) (i32.const 8) (i32.const 12)))
        (local.set $end (call $append (local.get $end)
          (i32.load (i32.const 8)) (i32.load (i32.const 12))))
        (drop (call $add (i32.const 2) (i32.const 16) (i32.const 5) (i32.const 1024)
          (i32.sub (local.get $end) (i32.const 1024))))
        (i32.const 0))`,
  });
}

const BYTES = teller("1");
const SHA256 = createHash("sha256").update(BYTES).digest("hex");
const WRONG_SHA256 = "ab".repeat(32);

type Fields = Readonly<Record<string, unknown>>;

interface Row {
  readonly name: string;
  /** Those that name the module and how it is run. */
  readonly module?: Fields;
  /** Where and when it runs; `namespace` is the object's. */
  readonly place?: Fields;
  readonly namespace?: string;
  /** Beside its name: environment, configuration, root id. Null: it does not run. */
  readonly tells: readonly [env: string, config: string, rootId: string] | null;
  /** What `graylane apply` says of it. */
  readonly says?: string;
}

const PLAIN = ["", "", ""] as const;
/** What does not run must not close the gateway for the others. */
const OPEN = { failStrategy: "FAIL_OPEN" };

function moduleRows(image: string, http: string): readonly Row[] {
  const imagePullSecret = "puller";
  return [
    { name: "url-file", tells: PLAIN },
    { name: "url-http", module: { url: http }, tells: PLAIN },
    { name: "url-oci", module: { url: `oci://${image}`, imagePullSecret }, tells: PLAIN },
    { name: "url-image", module: { url: image, imagePullSecret }, tells: PLAIN },
    { name: "secret-none", module: { url: `oci://${image}`, ...OPEN }, tells: null },
    { name: "sha-right", module: { url: http, sha256: SHA256 }, tells: PLAIN },
    { name: "sha-wrong", module: { url: http, sha256: WRONG_SHA256, ...OPEN }, tells: null },
    { name: "config", module: { pluginConfig: { a: 1 } }, tells: ["", '{"a":1}', ""] },
    { name: "root", module: { pluginName: "my_root" }, tells: ["", "", "my_root"] },
    {
      name: "env",
      module: { vmConfig: { env: [{ name: "A", value: "b" }] } },
      tells: ["A=b;", "", ""],
    },
    {
      name: "env-host",
      module: { vmConfig: { env: [{ name: HOST_VARIABLE, valueFrom: "HOST" }] } },
      tells: [`${HOST_VARIABLE}=of the host;`, "", ""],
    },
    { name: "fail-open", module: { pluginConfig: TRAPPING, ...OPEN }, tells: null },
    { name: "type", module: { type: "HTTP" }, tells: PLAIN },
    {
      name: "key",
      module: { verificationKey: "k" },
      tells: PLAIN,
      says: "verificationKey has no effect",
    },
  ];
}

/** In this order they run, whatever their names. */
const IN_ORDER: readonly (readonly [name: string, place: Fields])[] = [
  ["order-5", { phase: "AUTHN", priority: -1 }],
  ["order-3", { phase: "AUTHZ", priority: 2 }],
  ["order-4", { phase: "AUTHZ" }],
  ["order-1", { phase: "STATS", priority: 2_147_483_647 }],
  ["order-2", { priority: 100 }],
];

const GATEWAY = { kind: "Gateway", name: "edge" };
const OTHER = { kind: "Gateway", name: "other" };

const PLACE_ROWS: readonly Row[] = [
  {
    name: "selector",
    place: { selector: { matchLabels: { istio: "ingressgateway" } } },
    tells: PLAIN,
  },
  {
    name: "selector-no",
    place: { selector: { matchLabels: { istio: "none" } } },
    tells: null,
    says: "GL0421: spec.selector.matchLabels: ",
  },
  {
    name: "namespace-no",
    namespace: "elsewhere",
    tells: null,
    says: "GL0421: metadata.namespace: ",
  },
  { name: "ref", place: { targetRef: GATEWAY }, tells: PLAIN },
  { name: "ref-no", place: { targetRef: OTHER }, tells: null, says: "GL0421: spec.targetRef: " },
  { name: "refs", place: { targetRefs: [OTHER, GATEWAY] }, tells: PLAIN },
  {
    name: "refs-no",
    place: { targetRefs: [OTHER] },
    tells: null,
    says: "GL0421: spec.targetRefs: ",
  },
  { name: "match-client", place: { match: [{ mode: "CLIENT" }] }, tells: PLAIN },
  {
    name: "match-server",
    place: { match: [{ mode: "SERVER" }] },
    tells: null,
    says: "GL0421: spec.match: ",
  },
  { name: "match-port", place: { match: [{ ports: [{ number: 80 }] }] }, tells: PLAIN },
  {
    name: "match-port-no",
    place: { match: [{ ports: [{ number: 81 }] }] },
    tells: null,
    says: "GL0421: spec.match: ",
  },
];

interface Kind {
  readonly prefix: string;
  readonly apiVersion: string;
  readonly kind: string;
  /** Whether the module's fields stand in `spec.wasm`. */
  readonly isNested: boolean;
  /** Whether a gateway can be chosen. */
  readonly hasPlace: boolean;
}

const KINDS: readonly Kind[] = [
  {
    ...{ prefix: "w-", apiVersion: "extensions.istio.io/v1alpha1", kind: "WasmPlugin" },
    ...{ isNested: false, hasPlace: true },
  },
  {
    ...{ prefix: "t-", apiVersion: "extensions.istio.io/v1alpha1", kind: "TrafficExtension" },
    ...{ isNested: true, hasPlace: true },
  },
  {
    ...{ prefix: "h-", apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin" },
    ...{ isNested: false, hasPlace: false },
  },
];

const BASE = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: all, namespace: istio-system}
spec:
  hosts: ["*"]
  gateways: [edge]
  http: [{directResponse: {status: 200, body: {string: hello}}}]
---
apiVersion: v1
kind: Secret
metadata: {name: puller, namespace: istio-system}
type: kubernetes.io/dockerconfigjson
data: {.dockerconfigjson: DATA}
`;

let registry: FakeRegistry;
/** Asks for no credential. */
let web: FakeRegistry;
let graylane: Graylane;
let image = "";
let http = "";
let applied = "";
let rows: readonly Row[] = [];

before(async () => {
  process.env[HOST_VARIABLE] = "of the host";
  registry = await FakeRegistry.start();
  push("1");
  image = `${registry.host}/team/teller:v1`;
  web = await FakeRegistry.start();
  http = web.file("teller.wasm", BYTES);
  registry.access = "bearer";
  graylane = await Graylane.start({ files: [], waitsForPods: false });
  const data = Buffer.from(registry.dockerConfig).toString("base64");
  await graylane.apply(BASE.replace("DATA", data));
  rows = moduleRows(image, http);
  const order = IN_ORDER.map(([name, place]): Row => ({ name, place, tells: PLAIN }));
  const all = KINDS.flatMap((kind) => {
    const own = [...rows, ...order, ...(kind.hasPlace ? PLACE_ROWS : [])];
    return own.map((row) => manifest(kind, row));
  });
  applied = (await graylane.apply(all.join("\n---\n"))).stderr;
  await graylane.published();
});

after(async () => {
  await graylane.stop();
  await registry.stop();
  await web.stop();
});

function push(version: "1" | "2"): void {
  registry.image("team/teller:v1", [{ type: TYPES.wasmLayer, bytes: teller(version) }]);
}

function manifest(kind: Kind, { name, module = {}, place = {}, namespace }: Row): string {
  const file = join(graylane.stateDirectory, "teller.wasm");
  writeFileSync(file, BYTES);
  const env = [{ name: "N", value: `${kind.prefix}${name}` }];
  const own = module["vmConfig"] as { readonly env: readonly Fields[] } | undefined;
  const vmConfig = { env: [...env, ...(own?.env ?? [])] };
  const wasm = { url: `file://${file}`, ...module, vmConfig };
  return JSON.stringify({
    ...{ apiVersion: kind.apiVersion, kind: kind.kind },
    metadata: { name: `${kind.prefix}${name}`, namespace: namespace ?? "istio-system" },
    spec: { ...place, ...(kind.isNested ? { wasm } : wasm) },
  });
}

/** What each plug-in told, those that ran first in front. */
async function told(): Promise<readonly string[]> {
  const { status, headers, body } = await graylane.ask();
  assert.equal(status, 200, body);
  // Answers pass the plug-ins in the other direction.
  return String(headers["x-ran"] ?? "")
    .split(", ")
    .reverse();
}

function telling(name: string, [env, config, rootId]: readonly [string, string, string]): string {
  return `1N=${name};${env}${config}|${rootId}|`;
}

for (const { prefix, apiVersion, kind, hasPlace } of KINDS) {
  const title = `${apiVersion.replace(/\/.*/, "")} ${kind}`;
  const names = [...moduleRows("", ""), ...(hasPlace ? PLACE_ROWS : [])].map(({ name }) => name);
  for (const name of names) {
    test(`${title}: ${name} does what its fields say`, async () => {
      const row = [...rows, ...PLACE_ROWS].find((one) => one.name === name);
      assert.ok(row !== undefined);
      const own = (await told()).filter((text) => text.startsWith(`1N=${prefix}${name};`));
      assert.deepEqual(own, row.tells === null ? [] : [telling(prefix + name, row.tells)]);
      if (row.says === undefined) return;
      const lines = applied.split("\n").filter((line) => line.includes(`/${prefix}${name})`));
      assert.equal(lines.length, 1);
      assert.ok(lines[0]?.includes(row.says) === true, lines[0]);
    });
  }

  test(`${title}: phase comes before priority, and priority falls`, async () => {
    const own = (await told()).filter((text) => text.startsWith(`1N=${prefix}order-`));
    assert.deepEqual(
      own,
      IN_ORDER.map(([name]) => telling(prefix + name, PLAIN)),
    );
  });
}

for (const kind of KINDS) {
  for (const failStrategy of ["FAIL_CLOSE", "FAIL_RELOAD"]) {
    const { kind: word, prefix } = kind;
    const title = `${kind.apiVersion.replace(/\/.*/, "")} ${word}`;
    if (failStrategy === "FAIL_RELOAD" && prefix === "h-") continue;
    test(`${title}: with ${failStrategy} a request does not get past a trap`, async () => {
      const row = { name: "trapping", tells: null };
      const module = { pluginConfig: TRAPPING, failStrategy };
      await graylane.apply(manifest(kind, { ...row, module }));
      await graylane.published();
      const { status, body } = await graylane.ask();
      assert.deepEqual([status, body.split(":", 1)[0]], [503, "plugin_trap"], body);
      await graylane.apply(manifest(kind, { ...row, module: OPEN }));
      await graylane.published();
    });
  }
}

test("what is no plug-in for HTTP is refused, and where it stands", async () => {
  for (const kind of KINDS) {
    const file = graylane.file(
      manifest(kind, { name: "a", module: { type: "NETWORK" }, tells: null }),
    );
    const { exitCode, stderr } = await graylane.cli("apply", "-f", file);
    assert.equal(exitCode, 1, stderr);
    const path = kind.isNested ? "spec.wasm.type" : "spec.type";
    assert.match(stderr, new RegExp(`manifest\\.yaml:1:\\d+: error GL0425: ${path} is NETWORK`));
  }
});

test("a tag that moved is pulled again with Always, and kept with IfNotPresent", async () => {
  const both = (config: Fields): string =>
    KINDS.flatMap((kind) =>
      ["Always", "IfNotPresent"].map((imagePullPolicy) => {
        const source = { url: `oci://${image}`, imagePullSecret: "puller", imagePullPolicy };
        const module = { ...source, pluginConfig: config };
        return manifest(kind, { name: imagePullPolicy.toLowerCase(), module, tells: null });
      }),
    ).join("\n---\n");
  const shown = async (): Promise<readonly string[]> =>
    (await told()).filter((text) => /^\dN=.-(always|ifnotpresent);/.test(text)).sort();
  const want = (always: string, config: string): string[] =>
    KINDS.flatMap(({ prefix }) => [
      `${always}N=${prefix}always;${config}||`,
      `1N=${prefix}ifnotpresent;${config}||`,
    ]).sort();
  await graylane.apply(both({ at: 1 }));
  await graylane.published();
  assert.deepEqual(await shown(), want("1", '{"at":1}'));
  push("2");
  await graylane.apply(both({ at: 2 }));
  await graylane.published();
  assert.deepEqual(await shown(), want("2", '{"at":2}'));
});
