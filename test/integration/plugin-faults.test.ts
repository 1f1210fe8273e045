//! Plug-ins of a gateway that cannot be loaded, refuse, trap and come back: what clients see, and
//! what the worker says of them.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FakeClock } from "../../src/base/fake-clock.ts";
import { compile } from "../../src/compile/compile.ts";
import { eventually, RawClient, startFixture } from "../../src/dataplane/testing/fixture.ts";
import { endAll, sendRaw, startRawUpstream } from "../../src/dataplane/testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import { loadFiles } from "../../src/resources/load.ts";
import type { Plugin, Snapshot } from "../../src/snapshot/snapshot.ts";
import { guest } from "../support/guest.ts";

const A = cluster("a");
const SOURCE = { kind: "WasmPlugin", namespace: "default", name: "p" } as const;
const folder = mkdtempSync(join(tmpdir(), "graylane-plugin-faults-"));
after(endAll);
after(() => {
  rmSync(folder, { recursive: true });
});

/** Does what the first letter of `x-do` says: hold, trap. Refuses a configuration of 2 bytes. */
const OBEDIENT = guest({
  imports: `(import "env" "proxy_get_header_map_value"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))`,
  body: `(data (i32.const 16) "x-do")
    (func (export "proxy_on_configure") (param i32) (param $size i32) (result i32)
      (i32.ne (local.get $size) (i32.const 2)))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (local $letter i32)
      (if (call $get (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 32) (i32.const 36))
        (then (return (i32.const 0))))
      (local.set $letter (i32.load8_u (i32.load (i32.const 32))))
      (if (i32.eq (local.get $letter) (i32.const 0x74)) (then unreachable))
      (i32.eq (local.get $letter) (i32.const 0x68)))`,
});
const ANSWERING = guest({
  imports: `(import "env" "proxy_send_local_response"
    (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))`,
  body: `(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
    (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0) (i32.const -1))) (i32.const 0))`,
});
/** Says in `x-count` how many answers its VM has seen (up to 9), and traps when `x-do` begins so. */
const COUNTING = guest({
  imports: `(import "env" "proxy_get_header_map_value"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))`,
  body: `(data (i32.const 16) "x-do") (data (i32.const 20) "x-count0")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (drop (call $get (i32.const 0) (i32.const 16) (i32.const 4) (i32.const 32) (i32.const 36)))
      (if (i32.eq (i32.load8_u (i32.load (i32.const 32))) (i32.const 0x74)) (then unreachable))
      (i32.const 0))
    (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
      (i32.store8 (i32.const 27) (i32.add (i32.load8_u (i32.const 27)) (i32.const 1)))
      (drop (call $add (i32.const 2) (i32.const 20) (i32.const 7) (i32.const 27) (i32.const 1)))
      (i32.const 0))`,
});

function plugin(bytes: Uint8Array, changes: Partial<Plugin> = {}): Plugin {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const path = join(folder, `${sha256}.wasm`);
  writeFileSync(path, bytes);
  return {
    name: "default/p",
    source: SOURCE,
    module: { sha256, path },
    ...{ configuration: "", rootId: "", vmId: "", failMode: "closed", env: {} },
    ...changes,
  };
}

function snapshotOf(port: number, one: Plugin): Snapshot {
  return gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
    plugins: { [one.name]: one },
  });
}

async function upstreamPort(): Promise<number> {
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", () => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
  });
  return upstream.port;
}

function get(action = "none"): string {
  return `GET / HTTP/1.1\r\nHost: a\r\nx-do: ${action}\r\nConnection: close\r\n\r\n`;
}

const CANNOT_RUN = [
  { what: "is not Wasm", bytes: Buffer.from("<html>"), changes: {}, code: "GL0417" },
  {
    what: "refuses its configuration",
    bytes: OBEDIENT,
    changes: { configuration: "{}" },
    code: "GL0418",
  },
] as const;
const MODES = [
  { failMode: "open", want: /^HTTP\/1\.1 200 /, says: /served without it \(FAIL_OPEN\)/ },
  {
    failMode: "closed",
    want: /^HTTP\/1\.1 503 [^]*plugin_unavailable/,
    says: /503 \(FAIL_CLOSE\)/,
  },
] as const;
for (const { what, bytes, changes, code } of CANNOT_RUN) {
  for (const { failMode, want, says } of MODES) {
    test(`a plug-in that ${what} and fails ${failMode} blocks no snapshot`, async () => {
      const port = await upstreamPort();
      const one = plugin(bytes, { ...changes, failMode });
      const gateway = await startFixture(snapshotOf(port, one));
      assert.match(await sendRaw(gateway.port, get()), want);
      const [fault] = gateway.role.pluginFaults();
      assert.equal(fault?.code, code);
      assert.deepEqual(fault.source, SOURCE);
      assert.match(fault.message, says);
    });
  }
}

test("an update that cannot run leaves the version before serving, and says so", async () => {
  const port = await upstreamPort();
  const gateway = await startFixture(snapshotOf(port, plugin(OBEDIENT)));
  for (const next of [plugin(OBEDIENT, { configuration: "{}" }), plugin(Buffer.from("no wasm"))]) {
    assert.equal(await gateway.role.configure(snapshotOf(port, next)), null);
    assert.match(await sendRaw(gateway.port, get()), /^HTTP\/1\.1 200 /);
    assert.match(gateway.role.pluginFaults()[0]?.message ?? "", /ran before go on serving/);
  }
  // A later version that can run takes over, and the fault is gone.
  assert.equal(await gateway.role.configure(snapshotOf(port, plugin(ANSWERING))), null);
  assert.match(await sendRaw(gateway.port, get()), /^HTTP\/1\.1 403 /);
  assert.deepEqual(gateway.role.pluginFaults(), []);
});

for (const { failMode, want } of [
  { failMode: "closed", want: /^HTTP\/1\.1 503 [^]*plugin_trap/ },
  { failMode: "open", want: /^HTTP\/1\.1 200 / },
] as const) {
  test(`an exchange that waits when its VM traps follows the fail mode ${failMode}`, async () => {
    const one = plugin(OBEDIENT, { failMode });
    const gateway = await startFixture(snapshotOf(await upstreamPort(), one));
    const waiting = await RawClient.open(gateway.port);
    waiting.send(get("hold"));
    // What was sent before this is read before it: the first request is held by now.
    assert.match(await sendRaw(gateway.port, get()), /^HTTP\/1\.1 200 /);
    assert.equal(waiting.received, "");
    await sendRaw(gateway.port, get("trap"));
    await eventually(() => waiting.isClosed);
    assert.match(waiting.received, want);
    assert.deepEqual(gateway.assertions, []);
  });
}

/** What `up` makes of these objects: a gateway with the plug-in, and one route that answers. */
async function compiled(strategy: string): Promise<Snapshot> {
  const file = join(folder, `${strategy}.yaml`);
  writeFileSync(
    file,
    `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: answers, namespace: default}
spec: {gateways: [edge], hosts: ["*"], http: [{directResponse: {status: 200}}]}
---
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: p, namespace: default}
spec: {url: "file:///p.wasm", failStrategy: ${strategy}, selector: {matchLabels: {istio: edge}}}
`,
  );
  const { resources, faults } = await loadFiles([file]);
  assert.deepEqual(faults, []);
  const { module } = plugin(COUNTING);
  const { snapshot, messages } = compile({
    resources: resources.map(({ resource }) => resource),
    modules: new Map([["default/p", module]]),
  });
  assert.deepEqual(messages, []);
  return snapshot;
}

for (const { strategy, trapped, meanwhile } of [
  { strategy: "FAIL_RELOAD", trapped: "503 plugin_trap", meanwhile: "503 plugin_unavailable" },
  { strategy: "FAIL_CLOSE", trapped: "503 plugin_trap", meanwhile: "503 plugin_unavailable" },
  { strategy: "FAIL_OPEN", trapped: "200 without", meanwhile: "200 without" },
] as const) {
  test(`${strategy}: a WasmPlugin that traps is made anew after its back-off`, async () => {
    const clock = new FakeClock();
    const gateway = await startFixture(await compiled(strategy), clock);
    const outcome = async (action?: string): Promise<string> => {
      const answer = await sendRaw(gateway.port, get(action));
      const [, status = answer] = /^HTTP\/1\.1 (\d+) /.exec(answer) ?? [];
      const why = /plugin_[a-z]+/.exec(answer)?.[0];
      const count = /\r\nx-count: (\d)\r\n/.exec(answer)?.[1] ?? "without";
      return `${status} ${why ?? count}`;
    };
    assert.deepEqual([await outcome(), await outcome()], ["200 1", "200 2"]);
    // The second trap comes soon, the third after a minute of health.
    for (const [backOffMs, healthMs] of [
      [1_000, 0],
      [2_000, 60_000],
      [1_000, 0],
    ] as const) {
      assert.equal(await outcome("trap"), trapped);
      clock.advance(backOffMs - 1);
      assert.equal(await outcome(), meanwhile);
      clock.advance(1);
      assert.equal(await outcome(), "200 1", `a VM of its own ${backOffMs} ms after the trap`);
      clock.advance(healthMs);
    }
  });
}
