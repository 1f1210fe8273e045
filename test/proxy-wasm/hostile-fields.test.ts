//! Plug-ins that want to break messages in two, in a running gateway: what they write is read, byte
//! by byte, at the upstream and by the client, over HTTP/1.1 and HTTP/2.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import type { ClientHttp2Session, IncomingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { eventually, RawClient, startFixture } from "../../src/dataplane/testing/fixture.ts";
import type { Fixture } from "../../src/dataplane/testing/fixture.ts";
import { atEnd, endAll, startRawUpstream } from "../../src/dataplane/testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
  SOURCE,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import { RequestParser } from "../../src/http/request-parser.ts";
import type { RequestHead } from "../../src/http/request-parser.ts";
import type { Plugin, Snapshot } from "../../src/snapshot/snapshot.ts";
import { readResponse } from "../fuzz/http-reading.ts";
import { REQUEST_CASES } from "../fuzz/http-cases.ts";
import { guest } from "../support/guest.ts";
import { mustOf } from "../support/http1-verdict.ts";

const folder = mkdtempSync(join(tmpdir(), "graylane-hostile-"));
after(endAll);
after(() => {
  rmSync(folder, { recursive: true });
});

/** What a plug-in does to a header map. */
type Edit = readonly [verb: "set" | "add", name: string, value: string] | Pairs;
type Pairs = readonly [verb: "pairs", ...pairs: (readonly [name: string, value: string])[]];

const OF_REQUEST = 0;
const OF_RESPONSE = 2;

const IMPORTS = `
  (import "env" "proxy_replace_header_map_value" (func $set (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_set_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))`;

function pairsBytes(pairs: readonly (readonly [name: string, value: string])[]): string {
  const sizes = Buffer.alloc(4 + 8 * pairs.length);
  sizes.writeUInt32LE(pairs.length);
  pairs.forEach(([name, value], index) => {
    sizes.writeUInt32LE(name.length, 4 + 8 * index);
    sizes.writeUInt32LE(value.length, 8 + 8 * index);
  });
  return sizes.toString("latin1") + pairs.map(([name, value]) => `${name}\0${value}\0`).join("");
}

/** A guest that makes the edits, one after the other, whatever the host says to each. */
function editing(phase: "request" | "response", edits: readonly Edit[]): Uint8Array {
  const map = phase === "request" ? OF_REQUEST : OF_RESPONSE;
  let at = 16;
  const data: string[] = [];
  const place = (text: string): string => {
    const bytes = [...Buffer.from(text, "latin1")];
    const escaped = bytes.map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
    data.push(`(data (i32.const ${at}) "${escaped}")`);
    const parameters = `(i32.const ${at}) (i32.const ${text.length})`;
    at += text.length;
    return parameters;
  };
  const calls = edits.map((edit) => {
    if (edit[0] === "pairs") {
      const [, ...pairs] = edit;
      return `(drop (call $pairs (i32.const ${map}) ${place(pairsBytes(pairs))}))`;
    }
    const [verb, name, value] = edit;
    return `(drop (call $${verb} (i32.const ${map}) ${place(name)} ${place(value)}))`;
  });
  const body = `(func (export "proxy_on_${phase}_headers") (param i32 i32 i32) (result i32)
    ${calls.join("\n")} (i32.const 0))`;
  assert.ok(at < 4_096, "the allocator's part of the memory begins there");
  return guest({ imports: IMPORTS, body: `${data.join("\n")} ${body}` });
}

let pluginCount = 0;

function pluginOf(bytes: Uint8Array): Plugin {
  pluginCount += 1;
  const name = `hostile-${pluginCount}`;
  const path = join(folder, `${name}.wasm`);
  writeFileSync(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return {
    ...{ name, source: SOURCE, module: { sha256, path }, configuration: "", rootId: "" },
    ...{ vmId: "", failMode: "closed", env: {} },
  };
}

function snapshotOf(port: number, protocol: "http" | "h2", plugin: Plugin): Snapshot {
  const a = { ...cluster("a"), ...(protocol === "h2" ? { protocol } : {}) };
  return gatewaySnapshot(80, [forwardRoute(a.name)], {
    clusters: { [a.name]: a },
    endpoints: { [a.name]: { endpoints: [endpoint(port)] } },
    plugins: { [plugin.name]: plugin },
  });
}

interface Seen {
  readonly head: RequestHead;
  readonly body: string;
}

interface Upstream {
  readonly port: number;
  readonly seen: Seen[];
  readonly faults: string[];
}

const CONTENT = "some content";
/** As our own parser reads it, which takes nothing that others could read otherwise. */
async function startStrictUpstream(): Promise<Upstream> {
  const seen: Seen[] = [];
  const faults: string[] = [];
  const { port } = await startRawUpstream((socket) => {
    let head: RequestHead | null = null;
    let body = "";
    const sink = {
      onRequestHead: (read: RequestHead) => {
        head = read;
        body = "";
      },
      onRequestBody: (chunk: Buffer) => {
        body += chunk.toString("latin1");
      },
      onRequestEnd: () => {
        assert.ok(head !== null);
        seen.push({ head, body });
        const text = head.method === "HEAD" ? "" : CONTENT;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${CONTENT.length}\r\n\r\n${text}`);
      },
    };
    const parser = new RequestParser(sink, { fieldCountMax: 256 });
    socket.on("data", (chunk: Buffer) => {
      for (let rest = chunk; rest.length > 0;) {
        const took = parser.execute(rest);
        if (typeof took !== "number") {
          faults.push(`${took.code}: ${rest.toString("latin1")}`);
          socket.destroy();
          return;
        }
        rest = rest.subarray(took);
        parser.next();
      }
    });
  });
  return { port, seen, faults };
}

const SMUGGLED = "x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n";
const SPLITTING: readonly (readonly [name: string, edit: Edit])[] = [
  ["a value with CR LF", ["set", "x-a", SMUGGLED]],
  ["a value with LF", ["add", "x-a", "1\nhost: evil"]],
  ["a value with CR", ["add", "x-a", "1\rhost: evil"]],
  ["a value with NUL", ["set", "x-a", "1\x002"]],
  ["a value with another control byte", ["set", "x-a", "1\x0b2\x7f"]],
  ["a name with CR LF", ["set", "x-a: 1\r\nhost", "evil"]],
  ["a name with a colon", ["set", "content-length: 0", "1"]],
  ["a name with a blank", ["set", "content-length ", "0"]],
  ["a name with NUL", ["add", "x\0a", "1"]],
  ["a pair with CR LF", ["pairs", ["x-a", SMUGGLED]]],
  ["a pair with NUL", ["pairs", ["x-a", "1\x002"]]],
];
const FRAMING: readonly (readonly [name: string, edit: Edit])[] = [
  ["a length that is too short", ["set", "content-length", "0"]],
  ["a length that is too long", ["set", "content-length", "999"]],
  ["a second length", ["add", "content-length", "5"]],
  ["a length in capitals", ["set", "Content-Length", "5"]],
  ["a signed length", ["set", "content-length", "+5"]],
  ["chunks", ["set", "transfer-encoding", "chunked"]],
  ["chunks in capitals", ["add", "Transfer-Encoding", "Chunked"]],
  ["another coding", ["add", "transfer-encoding", "gzip, chunked"]],
  ["an upgrade", ["set", "upgrade", "h2c"]],
  ["Connection", ["set", "connection", "close, content-length"]],
  ["Proxy-Connection", ["set", "proxy-connection", "keep-alive"]],
  ["Keep-Alive", ["set", "keep-alive", "timeout=0"]],
  ["TE other than trailers", ["set", "te", "gzip"]],
  ["settings of HTTP/2", ["set", "http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"]],
  [
    "a length and chunks at once",
    ["pairs", ["content-length", "1"], ["transfer-encoding", "chunked"]],
  ],
  ["no length", ["pairs", ["x-a", "1"]]],
];
const OF_REQUESTS: readonly (readonly [name: string, edit: Edit])[] = [
  ...SPLITTING,
  ...FRAMING,
  ["a second Host", ["add", "host", "evil"]],
  ["two Hosts in pairs", ["pairs", ["host", "evil"], [":authority", "b.test"], ["Host", "c"]]],
  ["a Host that is none", ["set", "host", "a b"]],
  ["a Host without a name", ["set", ":authority", ":80"]],
  ["a Host with CR LF", ["set", ":authority", "a\r\nx: y"]],
  ["a path with a second line", ["set", ":path", "/ HTTP/1.1\r\nHost: evil\r\n\r\nGET /smuggled"]],
  ["a path with a blank", ["set", ":path", "/ HTTP/1.1"]],
  ["a path with NUL", ["set", ":path", "/\0"]],
  ["a path in absolute form", ["set", ":path", "http://evil/"]],
  ["a path without a slash", ["set", ":path", "smuggled"]],
  ["a path of one star", ["set", ":path", "*"]],
  ["two paths", ["add", ":path", "/b"]],
  ["a method with a blank", ["set", ":method", "GET /smuggled HTTP/1.1\r\n"]],
  ["a method that makes a tunnel", ["set", ":method", "CONNECT"]],
  ["a method that is too long", ["set", ":method", "M".repeat(40)]],
  ["a method without a body", ["set", ":method", "HEAD"]],
  ["no method", ["set", ":method", ""]],
  ["no path", ["set", ":path", ""]],
  ["no authority", ["set", ":authority", ""]],
  ["an unknown pseudo field", ["add", ":protocol", "websocket"]],
  ["a status", ["add", ":status", "100"]],
  ["a scheme", ["set", ":scheme", "x\r\ny"]],
];
const OF_RESPONSES: readonly (readonly [name: string, edit: Edit])[] = [
  ...SPLITTING,
  ...FRAMING,
  ["a status without a body", ["set", ":status", "204"]],
  ["a status that says not modified", ["set", ":status", "304"]],
  ["an interim status", ["set", ":status", "100"]],
  ["a switch of protocols", ["set", ":status", "101"]],
  ["no status", ["set", ":status", ""]],
  ["a status with CR LF", ["set", ":status", "200 OK\r\nx: y"]],
  ["a path", ["set", ":path", "/\r\n"]],
];

const BODY = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n";
const CLIENTS = [
  { name: "GET", method: "GET", raw: "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n" },
  { name: "HEAD", method: "HEAD", raw: "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n" },
  {
    name: "POST with a length",
    method: "POST",
    raw: `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
  },
  {
    name: "POST in chunks",
    method: "POST",
    raw:
      "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" +
      `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`,
  },
] as const;

function checkSeen({ seen, faults }: Upstream, requestCountMax: number): void {
  assert.deepEqual(faults, []);
  assert.ok(seen.length <= requestCountMax, `${seen.length} requests`);
  for (const { head, body } of seen) {
    const { headers } = head;
    assert.equal(headers.getAll("host").length, 1);
    assert.notEqual(headers.get("host"), "");
    assert.ok(!headers.has("content-length") || !headers.has("transfer-encoding"));
    assert.ok(body === "" || body === BODY, body);
    assert.ok(!head.target.includes("smuggled"), head.target);
    for (const name of ["upgrade", "te", "keep-alive", "proxy-connection", "http2-settings"]) {
      assert.equal(headers.get(name), undefined, name);
    }
  }
}

/** Sends a request, and another one on the same connection: each gets exactly one answer. */
async function sendTwice(port: number, raw: string, method: string): Promise<void> {
  const client = await RawClient.open(port);
  for (let round = 0; round < 2; round++) {
    client.received = "";
    client.send(raw);
    const whole = (): boolean => {
      const { messages } = readResponse([Buffer.from(client.received, "latin1")], method);
      return messages[0]?.hasEnded === true;
    };
    await eventually(() => whole() || client.isClosed);
    // It was answered before its body had come, and nothing more is read from it.
    if (round === 1 && client.received === "") return;
    const bytes = Buffer.from(client.received, "latin1");
    const { messages, fault, leftBytes, informational } = readResponse([bytes], method);
    const shown = JSON.stringify(client.received);
    assert.deepEqual([fault, leftBytes, informational.length], [null, 0, 0], shown);
    assert.equal(messages.length, 1, shown);
    assert.equal(messages[0]?.hasEnded, true, shown);
    const [head = ""] = client.received.split("\r\n\r\n");
    assert.ok(!/[^\r]\n|\r[^\n]|\0/.test(head), shown);
    if (client.isClosed) return;
  }
  client.socket.destroy();
}

describe("a plug-in that edits over HTTP/1.1", () => {
  let upstream: Upstream;
  let gateway: Fixture;
  const use = async (bytes: Uint8Array): Promise<void> => {
    upstream.seen.length = 0;
    const failure = await gateway.role.configure(
      snapshotOf(upstream.port, "http", pluginOf(bytes)),
    );
    assert.equal(failure, null);
  };
  before(async () => {
    upstream = await startStrictUpstream();
    const harmless = pluginOf(editing("request", []));
    gateway = await startFixture(snapshotOf(upstream.port, "http", harmless));
  });

  for (const [phase, cases] of [
    ["request", OF_REQUESTS],
    ["response", OF_RESPONSES],
  ] as const) {
    for (const [name, edit] of cases) {
      test(`writes ${name} into a ${phase}: one message stays one`, async () => {
        await use(editing(phase, [edit]));
        await Promise.all(CLIENTS.map(({ raw, method }) => sendTwice(gateway.port, raw, method)));
        checkSeen(upstream, 2 * CLIENTS.length);
        assert.deepEqual(gateway.assertions, []);
      });
    }
  }

  test("changes no verdict on the raw requests, legal and hostile", async () => {
    const edits = [...SPLITTING, ...FRAMING].map(([, edit]) => edit);
    await use(editing("request", edits));
    // The gateway speaks HTTP/2 on the same port: its preface is no bad request there.
    const cases = REQUEST_CASES.filter(({ raw }) => !raw.startsWith("PRI "));
    const forwarded = cases.map((one) => {
      const must = mustOf(one);
      return must === "refuse" ? 0 : must;
    });
    await Promise.all(
      cases.map((one, index) =>
        // A refusal is an answer too.
        rawExchange(gateway.port, one.raw, Math.max(1, forwarded[index] ?? 0)),
      ),
    );
    assert.deepEqual(upstream.faults, []);
    const total = forwarded.reduce((sum, count) => sum + count, 0);
    assert.equal(upstream.seen.length, total);
    assert.deepEqual(gateway.assertions, []);
    console.log(`${cases.length} raw requests with a hostile plug-in, ${total} forwarded`);
  });
});

/** Resolves when so many answers have come, or the gateway has closed. */
function rawExchange(port: number, raw: string, answerCount: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let received = "";
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      received += text;
      const answers = received.split(/HTTP\/1\.[01] [2-5]\d\d/).length - 1;
      if (answers >= answerCount) socket.destroy();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      resolve();
    });
    socket.write(raw, "latin1");
  });
}

interface Http2Upstream {
  readonly port: number;
  readonly seen: IncomingHttpHeaders[];
}

async function startHttp2Upstream(): Promise<Http2Upstream> {
  const seen: IncomingHttpHeaders[] = [];
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    seen.push(headers);
    stream.resume();
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200, "content-length": CONTENT.length });
    stream.end(headers[":method"] === "HEAD" ? "" : CONTENT);
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen };
}

interface Http2Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly code: number | undefined;
}

function askHttp2(session: ClientHttp2Session, method: string): Promise<Http2Answer> {
  return new Promise((resolve) => {
    const stream = session.request({ ":method": method, ":authority": "a.test" });
    let headers: IncomingHttpHeaders = {};
    let body = "";
    stream.setEncoding("latin1");
    stream.on("response", (got) => {
      headers = got;
    });
    stream.on("data", (text: string) => {
      body += text;
    });
    stream.on("error", () => undefined);
    stream.on("close", () => {
      resolve({ headers, body, code: stream.rstCode });
    });
    stream.end(method === "POST" ? BODY : undefined);
  });
}

const NOT_IN_HTTP2 = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "host"];

function checkHttp2Fields(headers: IncomingHttpHeaders, what: string): void {
  for (const name of NOT_IN_HTTP2) assert.equal(headers[name], undefined, `${what}: ${name}`);
  for (const value of Object.values(headers)) {
    assert.ok(!/[\r\n\0]/.test(String(value)), `${what}: ${String(value)}`);
  }
}

describe("a plug-in that edits over HTTP/2", () => {
  for (const [phase, cases] of [
    ["request", OF_REQUESTS],
    ["response", OF_RESPONSES],
  ] as const) {
    test(`writes whatever it likes into a ${phase}: the connection serves on`, async () => {
      const upstream = await startHttp2Upstream();
      const harmless = pluginOf(editing("request", []));
      const { port, role, assertions } = await startFixture(
        snapshotOf(upstream.port, "h2", harmless),
      );
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      session.on("error", () => undefined);
      atEnd(() => {
        session.destroy();
      });
      for (const [name, edit] of cases) {
        const plugin = pluginOf(editing(phase, [edit]));
        assert.equal(await role.configure(snapshotOf(upstream.port, "h2", plugin)), null);
        upstream.seen.length = 0;
        const methods = ["GET", "HEAD", "POST"];
        const answers = await Promise.all(methods.map((method) => askHttp2(session, method)));
        for (const { headers, code } of answers) {
          assert.equal(code, 0, name);
          assert.ok(Number(headers[":status"]) >= 200, name);
          checkHttp2Fields(headers, name);
        }
        for (const headers of upstream.seen) checkHttp2Fields(headers, name);
        assert.ok(upstream.seen.length <= methods.length, name);
        assert.deepEqual(assertions, [], name);
      }
    });
  }
});
