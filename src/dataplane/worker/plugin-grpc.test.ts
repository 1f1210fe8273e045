//! The gRPC calls of plug-ins against a real server of gRPC.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { Metadata, ServerDuplexStream, ServiceError } from "@grpc/grpc-js";
import { systemClock } from "../../base/clock.ts";
import type { Clock } from "../../base/clock.ts";
import { FakeClock } from "../../base/fake-clock.ts";
import { freePort } from "../../base/testing/free-port.ts";
import type { GrpcRequest, GrpcSink } from "../../wasm/grpc-calls.ts";
import type { HeaderPair } from "../../wasm/header-pairs.ts";
import { DeadlineSweeper } from "../deadlines.ts";
import { eventually } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import { cluster, endpoint } from "../testing/snapshot-maker.ts";
import { UpstreamPools } from "../upstream/upstream-pools.ts";
import { RunningGrpc } from "./plugin-grpc.ts";

const LARGE = 4 * 1024 * 1024;

const buffers = {
  requestSerialize: (value: Buffer) => value,
  requestDeserialize: (value: Buffer) => value,
  responseSerialize: (value: Buffer) => value,
  responseDeserialize: (value: Buffer) => value,
};
const SERVICE = {
  unary: { path: "/test.Echo/Unary", requestStream: false, responseStream: false, ...buffers },
  chat: { path: "/test.Echo/Chat", requestStream: true, responseStream: true, ...buffers },
};

interface Unary {
  readonly request: Buffer;
  readonly metadata: Metadata;
  getDeadline(): number | Date;
  on(event: "cancelled", listener: () => void): void;
}
type Done = (error: Partial<ServiceError> | null, reply?: Buffer, trailer?: Metadata) => void;

class EchoServer {
  readonly #server = new Server({ "grpc.max_receive_message_length": -1 });
  cancelled = 0;
  deadlineMs = 0;
  metadata: Record<string, unknown> = {};
  /** When false, what comes on a chat is not read. */
  isReading = true;
  chats: ServerDuplexStream<Buffer, Buffer>[] = [];

  async start(): Promise<number> {
    this.#server.addService(SERVICE, {
      unary: (call: Unary, done: Done) => {
        this.#unary(call, done);
      },
      chat: (call: ServerDuplexStream<Buffer, Buffer>) => {
        this.chats.push(call);
        call.on("cancelled", () => (this.cancelled += 1));
        if (!this.isReading) return;
        call.on("data", (message: Buffer) => call.write(message));
        call.on("end", () => {
          call.end();
        });
      },
    });
    atEnd(() => {
      this.#server.forceShutdown();
    });
    return new Promise((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      this.#server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
  }

  #unary(call: Unary, done: Done): void {
    const text = call.request.toString("latin1", 0, 16);
    this.deadlineMs = Number(call.getDeadline());
    this.metadata = call.metadata.getMap();
    call.on("cancelled", () => (this.cancelled += 1));
    if (text === "wait") return;
    if (text === "fail") done({ code: status.NOT_FOUND, details: "no such key" });
    else if (text === "large") done(null, Buffer.alloc(LARGE + 1));
    else done(null, call.request);
  }
}

/** Writes down what a plug-in would hear. */
class Heard implements GrpcSink {
  readonly messages: string[] = [];
  readonly parts: string[] = [];
  head: readonly HeaderPair[] = [];
  close: { readonly status: number; readonly text: string } | null = null;

  onInitialMetadata(pairs: readonly HeaderPair[]): void {
    this.head = pairs;
    this.parts.push("head");
  }

  onMessage(message: Uint8Array): void {
    this.messages.push(Buffer.from(message).toString());
    this.parts.push("message");
  }

  onTrailingMetadata(): void {
    this.parts.push("trailers");
  }

  onClose(code: number, text: string): void {
    this.close = { status: code, text };
    this.parts.push("close");
  }
}

const sweeper = new DeadlineSweeper(systemClock);
const pools = new UpstreamPools(sweeper);

after(async () => {
  pools.closeIdle();
  await endAll();
});

const REQUEST: GrpcRequest = {
  cluster: "echo",
  authority: null,
  service: "test.Echo",
  method: "Unary",
  metadata: [],
  timeoutMs: 0,
};

interface Running {
  readonly call: RunningGrpc;
  readonly heard: Heard;
}

function start(
  port: number | null,
  changes: Partial<GrpcRequest> = {},
  clock: Clock = systemClock,
): Running {
  const heard = new Heard();
  const call = new RunningGrpc({ clock, pools }, { ...REQUEST, ...changes }, heard);
  const place = port === null ? null : endpoint(port);
  call.start({ cluster: cluster("echo"), endpoint: place, authority: "echo:80" });
  return { call, heard };
}

/** The same for one message, when it is over. */
async function unary(
  port: number,
  text: string,
  changes: Partial<GrpcRequest> = {},
): Promise<Heard> {
  const { call, heard } = start(port, changes);
  call.send(Buffer.from(text));
  call.end();
  await eventually(() => heard.close !== null);
  return heard;
}

test("a call brings its message and its end, in the order of the protocol", async () => {
  const port = await new EchoServer().start();
  const heard = await unary(port, "hi");
  assert.deepEqual(heard.parts, ["head", "message", "trailers", "close"]);
  assert.deepEqual(heard.messages, ["hi"]);
  assert.deepEqual(heard.head[0], [":status", "200"]);
  assert.equal(heard.close?.status, status.OK);
});

test("a status of the server comes with its text, as it is encoded", async () => {
  const port = await new EchoServer().start();
  const heard = await unary(port, "fail");
  assert.deepEqual(heard.messages, []);
  assert.deepEqual(heard.close, {
    status: status.NOT_FOUND,
    text: "no%20such%20key{via_upstream}",
  });
});

test("metadata and the timeout reach the server, what is the protocol's own does not", async () => {
  const server = new EchoServer();
  const port = await server.start();
  const metadata: HeaderPair[] = [
    ["x-user", "1"],
    ["te", "gzip"],
    ["content-type", "text/plain"],
    [":path", "/other"],
    ["connection", "close"],
    ["grpc-timeout", "1n"],
  ];
  const heard = await unary(port, "hi", { metadata, timeoutMs: 100_000_000 });
  assert.equal(heard.close?.status, status.OK);
  assert.equal(server.metadata["x-user"], "1");
  assert.ok(server.deadlineMs > systemClock.nowMs() + 50_000_000, "the server knows the deadline");
});

test("the timeout ends a call that nobody answers, and the server hears of it", async () => {
  const server = new EchoServer();
  const port = await server.start();
  const clock = new FakeClock();
  const timeoutMs = 600_000;
  const { call, heard } = start(port, { timeoutMs }, clock);
  call.send(Buffer.from("wait"));
  call.end();
  await eventually(() => server.deadlineMs > 0);
  clock.advance(timeoutMs);
  assert.equal(heard.close?.status, status.UNAVAILABLE);
  assert.match(heard.close.text, /^upstream request timeout/);
  await eventually(() => server.cancelled > 0);
});

test("a call that is cancelled says nothing more, and the server hears of it", async () => {
  const server = new EchoServer();
  const port = await server.start();
  const { call, heard } = start(port, { method: "Chat" });
  call.send(Buffer.from("one"));
  await eventually(() => heard.messages.length === 1);
  call.cancel();
  await eventually(() => server.cancelled === 1);
  assert.deepEqual(heard.parts, ["head", "message"]);
});

test("both sides of a stream speak in turn, and it ends with OK", async () => {
  const port = await new EchoServer().start();
  const { call, heard } = start(port, { method: "Chat" });
  for (const text of ["one", "two", "three"]) {
    const before = heard.messages.length;
    call.send(Buffer.from(text));
    await eventually(() => heard.messages.length > before);
  }
  call.end();
  await eventually(() => heard.close !== null);
  assert.deepEqual(heard.messages, ["one", "two", "three"]);
  assert.equal(heard.close?.status, status.OK);
});

test("a message larger than 4 MiB ends the call with RESOURCE_EXHAUSTED", async () => {
  const port = await new EchoServer().start();
  const heard = await unary(port, "large");
  assert.deepEqual(heard.messages, []);
  assert.equal(heard.close?.status, status.RESOURCE_EXHAUSTED);
});

test("what a server does not read is refused after 8 MiB, and nothing taken is lost", async () => {
  const server = new EchoServer();
  server.isReading = false;
  const port = await server.start();
  const { call, heard } = start(port, { method: "Chat" });
  const message = Buffer.alloc(1024 * 1024, "x");
  let taken = 0;
  while (call.send(message)) {
    taken += 1;
    assert.ok(taken < 100, "it is refused some time");
  }
  await eventually(() => server.chats.length === 1);
  const [chat] = server.chats;
  let bytes = 0;
  chat?.on("data", (part: Buffer) => (bytes += part.length));
  chat?.on("end", () => {
    chat.end();
  });
  call.end();
  await eventually(() => heard.close !== null);
  assert.equal(bytes, taken * message.length);
  assert.equal(heard.close?.status, status.OK);
});

test("small messages that nobody reads are refused after some thousands", async () => {
  const { call } = start(await freePort(), { method: "Chat" });
  let taken = 0;
  while (call.send(Buffer.alloc(0)) && taken < 100_000) taken += 1;
  assert.ok(taken <= 5_000, `${taken} were taken`);
  call.cancel();
});

test("without an endpoint, or a listener there, the call is closed as unavailable", async () => {
  const { heard } = start(null);
  await eventually(() => heard.close !== null);
  assert.deepEqual(heard.close, {
    status: status.UNAVAILABLE,
    text: "no healthy upstream{no_healthy_upstream}",
  });
  const refused = await unary(await freePort(), "hi");
  assert.deepEqual(refused.parts, ["head", "trailers", "close"]);
  assert.equal(refused.close?.status, status.UNAVAILABLE);
  assert.match(refused.close.text, /remote connection failure/);
});
