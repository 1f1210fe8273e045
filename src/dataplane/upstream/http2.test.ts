import assert from "node:assert/strict";
import { connect, createServer, performServerHandshake } from "node:http2";
import type { ClientHttp2Stream, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import {
  Client,
  credentials,
  makeGenericClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
  status,
} from "@grpc/grpc-js";
import type { ClientDuplexStream, ServerDuplexStream, ServiceError } from "@grpc/grpc-js";
import { freePort } from "../../base/testing/free-port.ts";
import { eventually, RawClient, startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll, startRawUpstream } from "../testing/harness.ts";
import {
  PREFACE,
  TYPE,
  dataFrame,
  frame,
  headersFrame,
  readFrames,
  uint32,
} from "../testing/http2-frames.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

const A = { ...cluster("a"), protocol: "h2" as const };

function startTo(port: number): Promise<Fixture> {
  return startFixture(
    gatewaySnapshot(80, [forwardRoute(A.name)], {
      clusters: { [A.name]: A },
      endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
    }),
  );
}

/** An upstream of HTTP/2 in clear. */
async function startUpstream(
  serve: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void,
): Promise<{ readonly port: number; readonly sessions: Set<ServerHttp2Session> }> {
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => undefined);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    serve(stream, headers);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    server.close();
    for (const session of sessions) session.destroy();
  });
  return { port: (server.address() as AddressInfo).port, sessions };
}

async function ask(port: number, text: string, until: RegExp): Promise<string> {
  const client = await RawClient.open(port);
  client.send(text);
  return client.until(until);
}

async function bodyOf(stream: ClientHttp2Stream): Promise<string> {
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(stream, "end");
  return text;
}

const GET = "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n";

describe("HTTP/1.1 to an upstream of HTTP/2", () => {
  test("a request becomes a stream, without the fields of the connection", async () => {
    let seen: Record<string, unknown> = {};
    const { port } = await startUpstream((stream, headers) => {
      seen = headers;
      stream.respond({ ":status": 201, "x-a": "1" });
      stream.end("hello");
    });
    const fixture = await startTo(port);
    const get = GET.replace("\r\n\r\n", "\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n");
    const answer = await ask(fixture.port, get, /hello\r\n0\r\n\r\n$/);
    assert.match(answer, /^HTTP\/1\.1 201 Created\r\n[^]*x-a: 1\r\n/);
    assert.equal(seen[":authority"], "a.test");
    assert.equal(seen[":path"], "/x");
    assert.equal(seen["x-hop"], undefined);
    assert.equal(seen["connection"], undefined);
  });

  const EMPTY = [
    { method: "GET", fields: { ":status": 200 }, length: "\r\ncontent-length: 0\r\n" },
    {
      method: "GET",
      fields: { ":status": 404, "content-length": "0" },
      length: "content-length: 0\r",
    },
    { method: "HEAD", fields: { ":status": 200 }, length: null },
    {
      method: "HEAD",
      fields: { ":status": 200, "content-length": "7" },
      length: "content-length: 7",
    },
    { method: "GET", fields: { ":status": 204 }, length: null },
    { method: "GET", fields: { ":status": 304 }, length: null },
  ];

  for (const { method, fields, length } of EMPTY) {
    const name = `${method} answered by ${JSON.stringify(fields)} alone`;
    test(`${name} ends for the client, and its connection goes on`, async () => {
      const { port } = await startUpstream((stream) => {
        stream.respond(fields, { endStream: true });
      });
      const { port: gateway } = await startTo(port);
      const client = await RawClient.open(gateway);
      client.send(`${method} /x HTTP/1.1\r\nHost: a.test\r\n\r\n`);
      const first = await client.until(/\r\n\r\n/);
      const sent = /\r\ncontent-length: \d+\r\n/.exec(first)?.[0] ?? null;
      assert.equal(sent?.includes(length ?? "") ?? length === null, true, first);
      assert.equal(sent === null, length === null, first);
      client.send(GET);
      await client.until(/\r\n\r\nHTTP\/1\.1 /);
    });
  }

  test("requests share one connection", async () => {
    const upstream = await startUpstream((stream) => {
      stream.respond({ ":status": 200, "content-length": "2" });
      stream.end("ok");
    });
    const fixture = await startTo(upstream.port);
    await ask(fixture.port, GET, /ok$/);
    const asked = Array.from({ length: 20 }, () => ask(fixture.port, GET, /ok$/));
    for (const answer of await Promise.all(asked)) assert.match(answer, /^HTTP\/1\.1 200 OK/);
    assert.equal(upstream.sessions.size, 1);
  });

  test("a body with trailers goes both ways", async () => {
    let got = "";
    let trailers: Record<string, unknown> = {};
    const { port } = await startUpstream((stream) => {
      stream.on("trailers", (fields) => {
        trailers = fields;
      });
      stream.on("data", (chunk: Buffer) => {
        got += chunk.toString();
      });
      stream.on("end", () => {
        stream.respond({ ":status": 200 }, { waitForTrailers: true });
        stream.on("wantTrailers", () => {
          stream.sendTrailers({ "x-sum": "7" });
        });
        stream.end("abc");
      });
    });
    const fixture = await startTo(port);
    const post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const body = "5\r\nhello\r\n0\r\nx-check: 1\r\n\r\n";
    const answer = await ask(fixture.port, post + body, /0\r\nx-sum: 7\r\n\r\n$/);
    assert.match(answer, /3\r\nabc\r\n/);
    assert.equal(got, "hello");
    assert.equal(trailers["x-check"], "1");
  });

  test("a stream that is refused is tried again; one that is reset is a 502", async () => {
    let refusals = 0;
    const { port } = await startUpstream((stream, headers) => {
      if (headers[":path"] === "/reset") {
        stream.close(2);
      } else if (refusals < 2) {
        refusals += 1;
        stream.close(7);
      } else {
        stream.respond({ ":status": 200, "content-length": "2" });
        stream.end("ok");
      }
    });
    const fixture = await startTo(port);
    assert.match(await ask(fixture.port, GET, /ok$/), /^HTTP\/1\.1 200/);
    const reset = await ask(fixture.port, GET.replace("GET /x", "POST /reset"), /code 2\)\n$/);
    assert.match(reset, /^HTTP\/1\.1 502 [^]*upstream_reset: /);
  });

  test("a response that breaks off is cut for the client too", async () => {
    let breakOff: () => void = () => undefined;
    const { port } = await startUpstream((stream) => {
      // Else the server's library ends the stream before it resets it.
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.write("abc");
      breakOff = (): void => {
        stream.close(2);
      };
    });
    const fixture = await startTo(port);
    const client = await RawClient.open(fixture.port);
    client.send(GET);
    await client.until(/abc/);
    breakOff();
    const answer = await client.closed();
    assert.doesNotMatch(answer, /0\r\n\r\n$/);
  });

  test("a reset without an error does not end a response", async () => {
    const { port } = await startRawUpstream((socket) => {
      let rest = Buffer.alloc(0);
      socket.write(frame("settings", Buffer.alloc(0)));
      socket.on("data", (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        const { frames } = readFrames(rest.subarray(PREFACE.length));
        if (!frames.some(({ type }) => type === TYPE.headers)) return;
        const words = { flags: 0, stream: 1 };
        socket.write(headersFrame([[":status", "200"]], words));
        socket.write(Buffer.concat([dataFrame("abc", words), frame("reset", uint32(0), words)]));
      });
    });
    const fixture = await startTo(port);
    const client = await RawClient.open(fixture.port);
    client.send(GET);
    await eventually(() => fixture.records.length === 1);
    assert.match(fixture.records[0]?.flags ?? "", /^upstream_(?:reset|truncated)$/);
  });

  test("nobody at the address is a 503", async () => {
    const fixture = await startTo(await freePort());
    assert.match(await ask(fixture.port, GET, /\n$/), /upstream_connect_failed/);
  });
});

interface Echo {
  unary(
    message: Buffer,
    metadata: Metadata,
    options: object,
    done: (error: ServiceError | null, reply?: Buffer) => void,
  ): { cancel(): void };
  chat(): ClientDuplexStream<Buffer, Buffer>;
}

const same = (bytes: Buffer): Buffer => bytes;
const buffers = {
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
};
const SERVICE = {
  unary: { path: "/test.Echo/Unary", requestStream: false, responseStream: false, ...buffers },
  chat: { path: "/test.Echo/Chat", requestStream: true, responseStream: true, ...buffers },
};

interface GrpcSeen {
  deadline: number;
  cancelled: number;
}

async function startGrpc(): Promise<{ port: number; seen: GrpcSeen }> {
  const seen: GrpcSeen = { deadline: 0, cancelled: 0 };
  const server = new Server();
  server.addService(SERVICE, {
    unary(
      call: {
        request: Buffer;
        getDeadline(): number | Date;
        on(event: "cancelled", listener: () => void): void;
      },
      done: (error: Partial<ServiceError> | null, reply?: Buffer, trailer?: Metadata) => void,
    ) {
      const text = call.request.toString();
      seen.deadline = Number(call.getDeadline());
      call.on("cancelled", () => {
        seen.cancelled += 1;
      });
      if (text === "wait") return;
      if (text === "fail") {
        done({ code: status.FAILED_PRECONDITION, details: "not \u00fc now" });
        return;
      }
      const trailer = new Metadata();
      trailer.set("x-trailer", "1");
      done(null, call.request, trailer);
    },
    chat(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on("data", (message: Buffer) => call.write(message));
      call.on("end", () => {
        call.end();
      });
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  atEnd(() => {
    server.forceShutdown();
  });
  return { port, seen };
}

async function startEcho(): Promise<{ fixture: Fixture; client: Echo; seen: GrpcSeen }> {
  const { port, seen } = await startGrpc();
  const fixture = await startTo(port);
  return { fixture, client: grpcClient(fixture.port), seen };
}

function grpcClient(port: number): Echo {
  const EchoClient = makeGenericClientConstructor(SERVICE, "test.Echo");
  const client = new EchoClient(`127.0.0.1:${port}`, credentials.createInsecure());
  assert.ok(client instanceof Client);
  atEnd(() => {
    client.close();
  });
  return client as unknown as Echo;
}

interface Outcome {
  readonly code: number;
  readonly details: string;
  readonly reply: string;
}

function call(client: Echo, text: string, options: object = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    client.unary(Buffer.from(text), new Metadata(), options, (error, reply) => {
      const { code = status.OK, details = "" } = error ?? {};
      resolve({ code, details, reply: reply?.toString() ?? "" });
    });
  });
}

test("an endpoint with the client's protocol is spoken to in that of each request", async () => {
  const { port } = await startRawUpstream((socket) => {
    socket.once("data", (first: Buffer) => {
      if (!first.toString("latin1").startsWith("PRI ")) {
        const answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nin h1";
        socket.on("data", () => socket.write(answer));
        socket.write(answer);
        return;
      }
      socket.pause();
      socket.unshift(first);
      performServerHandshake(socket).on("stream", (stream) => {
        stream.respond({ ":status": 200 });
        stream.end("in h2");
      });
    });
  });
  const to = { ...cluster("a"), protocol: "client" as const };
  const snapshot = gatewaySnapshot(80, [forwardRoute(to.name)], {
    clusters: { [to.name]: to },
    endpoints: { [to.name]: { endpoints: [endpoint(port)] } },
  });
  const fixture = await startFixture(snapshot);
  const session = connect(`http://127.0.0.1:${fixture.port}`);
  atEnd(() => {
    session.destroy();
  });
  const client = await RawClient.open(fixture.port);
  for (let round = 0; round < 2; round += 1) {
    client.received = "";
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.match(await client.until(/in h\d/), /in h1/);
    assert.equal(await bodyOf(session.request({ ":path": "/" })), "in h2");
  }
  assert.deepEqual(fixture.assertions, []);
});

describe("gRPC", () => {
  test("unary calls bring their reply, or their status and its text", async () => {
    const { client, fixture } = await startEcho();
    assert.deepEqual(await call(client, "hi"), { code: status.OK, details: "", reply: "hi" });
    const failed = await call(client, "fail");
    assert.equal(failed.code, status.FAILED_PRECONDITION);
    assert.equal(failed.details, "not \u00fc now");
    assert.deepEqual(fixture.assertions, []);
  });

  test("both sides of a stream speak in turn, and it ends with OK", async () => {
    const { client } = await startEcho();
    const chat = client.chat();
    const got: string[] = [];
    chat.on("data", (message: Buffer) => got.push(message.toString()));
    for (const text of ["one", "two", "three"]) {
      const before = got.length;
      chat.write(Buffer.from(text));
      await eventually(() => got.length > before);
    }
    const ended = once(chat, "status");
    chat.end();
    const [end] = (await ended) as [{ code: number }];
    assert.equal(end.code, status.OK);
    assert.deepEqual(got, ["one", "two", "three"]);
  });

  test("a stream that nobody reads is held back, and loses nothing", async () => {
    const { client } = await startEcho();
    const chat = client.chat();
    const message = Buffer.alloc(100_000, "x");
    const count = 40;
    chat.pause();
    for (let index = 0; index < count; index++) chat.write(message);
    chat.end();
    let bytes = 0;
    const ended = once(chat, "end");
    chat.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    chat.resume();
    await ended;
    assert.equal(bytes, count * message.length);
  });

  test("the deadline and a cancellation reach the server", async () => {
    const { client, seen, fixture } = await startEcho();
    const outcome = await call(client, "wait", { deadline: Date.now() + 300 });
    assert.equal(outcome.code, status.DEADLINE_EXCEEDED);
    assert.ok(Math.abs(seen.deadline - Date.now()) < 5_000);
    await eventually(() => seen.cancelled === 1);
    const started = client.unary(Buffer.from("wait"), new Metadata(), {}, () => undefined);
    await eventually(
      () =>
        fixture.context.pools.activeCount({
          address: "127.0.0.1",
          port: Number(/\d+$/.exec(fixture.records[0]?.upstream ?? "")?.[0]),
        }) === 1,
    );
    started.cancel();
    await eventually(() => fixture.records.length === 2);
    assert.equal(fixture.records[1]?.flags, "downstream_gone");
  });

  test("an answer of ours is a status of gRPC", async () => {
    const fixture = await startTo(await freePort());
    const outcome = await call(grpcClient(fixture.port), "hi");
    assert.equal(outcome.code, status.UNAVAILABLE);
    assert.match(outcome.details, /^upstream_connect_failed: service default\/a /);
  });
});
