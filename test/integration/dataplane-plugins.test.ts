//! Plug-ins in a running gateway: answers, pauses, traps, and what they may not break.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { RawClient, startFixture } from "../../src/dataplane/testing/fixture.ts";
import { endAll, sendRaw, startRawUpstream } from "../../src/dataplane/testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
  SOURCE,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import type { Plugin, Snapshot } from "../../src/snapshot/snapshot.ts";
import { guest } from "../support/guest.ts";

const A = cluster("a");
const GET = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const folder = mkdtempSync(join(tmpdir(), "graylane-plugins-"));
after(endAll);
after(() => {
  rmSync(folder, { recursive: true });
});

const HEADERS = '(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)';
const RESPONSE = '(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)';
const SET_HEADER = `(import "env" "proxy_replace_header_map_value"
  (func $set (param i32 i32 i32 i32 i32) (result i32)))`;
const REPLY = `(import "env" "proxy_send_local_response"
  (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))`;

/** A call of `$set` with text that lies at `at`. */
function setHeader(map: number, name: string, value: string, at: number): [string, string] {
  const data = `(data (i32.const ${at}) "${name}${value}")`;
  const call = `(drop (call $set (i32.const ${map}) (i32.const ${at}) (i32.const ${name.length})
    (i32.const ${at + name.length}) (i32.const ${value.length})))`;
  return [data, call];
}

function plugin(name: string, bytes: Uint8Array, failMode: Plugin["failMode"] = "closed"): Plugin {
  const path = join(folder, `${name}.wasm`);
  writeFileSync(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return {
    name,
    source: SOURCE,
    module: { sha256, path },
    configuration: "",
    rootId: "",
    vmId: "",
    failMode,
    env: {},
  };
}

function snapshotOf(port: number, ...plugins: readonly Plugin[]): Snapshot {
  return gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
    plugins: Object.fromEntries(plugins.map((one) => [one.name, one])),
  });
}

const startUpstream = (): ReturnType<typeof startRawUpstream> =>
  startRawUpstream((socket) => {
    socket.on("data", () => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
  });

const trapping = guest({ body: `${HEADERS} unreachable)` });
const trappingLate = guest({ body: `${RESPONSE} unreachable)` });
const answering = guest({
  imports: REPLY,
  body: `(data (i32.const 100) "no") ${HEADERS}
    (drop (call $reply (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 2)
      (i32.const 0) (i32.const 0) (i32.const -1)))
    (i32.const 0))`,
});
const answeringWithoutContent = guest({
  imports: REPLY,
  body: `(data (i32.const 100) "no") ${HEADERS}
    (drop (call $reply (i32.const 204) (i32.const 0) (i32.const 0) (i32.const 100) (i32.const 2)
      (i32.const 0) (i32.const 0) (i32.const -1)))
    (i32.const 0))`,
});
const [lengthData, setLength] = setHeader(0, "content-length", "50", 200);
const [hostData, setHost] = setHeader(0, ":authority", "b c", 300);
const [pathData, setPath] = setHeader(0, ":path", "http://b/", 400);
const hostile = guest({
  imports: SET_HEADER,
  body: `${lengthData} ${hostData} ${pathData} ${HEADERS}
    ${setLength} ${setHost} ${setPath} (i32.const 0))`,
});
const [methodData, setMethod] = setHeader(0, ":method", "HEAD", 200);
const asHead = guest({
  imports: SET_HEADER,
  body: `${methodData} ${HEADERS} ${setMethod} (i32.const 0))`,
});
const [statusData, setStatus] = setHeader(2, ":status", "204", 200);
const emptying = guest({
  imports: SET_HEADER,
  body: `${statusData} ${RESPONSE} ${setStatus} (i32.const 0))`,
});

describe("a plug-in", () => {
  const cases: readonly { name: string; chain: readonly Plugin[]; want: RegExp }[] = [
    {
      name: "that traps fails the request",
      chain: [plugin("trap", trapping)],
      want: /^HTTP\/1\.1 503 [^]*plugin_trap: plug-in trap /,
    },
    {
      name: "that traps is passed over when it fails open",
      chain: [plugin("trap", trapping, "open")],
      want: /^HTTP\/1\.1 200 [^]*ok$/,
    },
    {
      name: "that traps in the response puts a 503 in its place",
      chain: [plugin("late", trappingLate)],
      want: /^HTTP\/1\.1 503 [^]*plugin_trap/,
    },
    {
      name: "that traps in the response and fails open leaves it as it is",
      chain: [plugin("late", trappingLate, "open")],
      want: /^HTTP\/1\.1 200 [^]*ok$/,
    },
    {
      name: "may answer by itself",
      chain: [plugin("no", answering)],
      want: /^HTTP\/1\.1 403 [^]*content-length: 2\r\n[^]*no$/,
    },
    {
      name: "that answers 204 with a body sends none",
      chain: [plugin("none", answeringWithoutContent)],
      want: /^HTTP\/1\.1 204 (?![^]*content-length)[^]*\r\n\r\n$/,
    },
    {
      name: "cannot set a length, a bad host or another form of target",
      chain: [plugin("hostile", hostile)],
      want: /^HTTP\/1\.1 200 [^]*ok$/,
    },
    {
      name: "that turns a GET into a HEAD leaves no client waiting for a body",
      chain: [plugin("head", asHead)],
      want: /^HTTP\/1\.1 200 [^]*content-length: 0\r\n[^]*\r\n\r\n$/,
    },
    {
      name: "that turns a status into 204 takes the body with it",
      chain: [plugin("empty", emptying)],
      want: /^HTTP\/1\.1 204 (?![^]*content-length)[^]*\r\n\r\n$/,
    },
  ];
  for (const { name, chain, want } of cases) {
    test(name, async () => {
      let seen = "";
      const upstream = await startRawUpstream((socket) => {
        socket.on("data", (chunk: Buffer) => {
          seen += chunk.toString("latin1");
          const body = seen.startsWith("HEAD") ? "" : "ok";
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${body}`);
        });
      });
      const gateway = await startFixture(snapshotOf(upstream.port, ...chain));
      assert.match(await sendRaw(gateway.port, GET), want);
      if (seen !== "") assert.match(seen, /^(GET|HEAD) \/ HTTP\/1\.1\r\nhost: a\r\n/);
      assert.doesNotMatch(seen, /content-length/);
      assert.equal(gateway.records.length, 1);
      assert.deepEqual(gateway.assertions, []);
      upstream.close();
    });
  }

  test("that holds a request up lets it go on through the chain that it began with", async () => {
    // The tick comes after the change: only then is the second plug-in of the old chain entered.
    const pausing = guest({
      imports: `(import "env" "proxy_set_tick_period_milliseconds"
          (func $tick (param i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $use (param i32) (result i32)))
        (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))`,
      body: `(global $held (mut i32) (i32.const 0))
        (func (export "proxy_on_tick") (param i32)
          (drop (call $use (global.get $held)))
          (drop (call $continue (i32.const 0))))
        ${HEADERS} (global.set $held (local.get 0))
        (drop (call $tick (i32.const 200))) (i32.const 1))`,
    });
    const upstream = await startUpstream();
    const chain = [plugin("a-pausing", pausing), plugin("b-answering", answering)];
    const gateway = await startFixture(snapshotOf(upstream.port, ...chain));
    const client = await RawClient.open(gateway.port);
    client.send(GET);
    // What was sent before this is read before it: the request is held up by now.
    assert.match(await sendRaw(gateway.port, "nonsense\r\n\r\n"), /^HTTP\/1\.1 400 /);
    assert.equal(await gateway.role.configure(snapshotOf(upstream.port)), null);
    assert.match(await client.closed(), /^HTTP\/1\.1 403 [^]*no$/);
    assert.match(await sendRaw(gateway.port, GET), /ok$/);
    upstream.close();
  });
});
