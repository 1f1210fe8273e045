import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { after, test } from "node:test";
import { freePort } from "../../base/testing/free-port.ts";
import { trafficContext } from "../testing/harness.ts";
import { cluster, endpoint } from "../testing/snapshot-maker.ts";
import { NetworkConnection } from "./network-connection.ts";
import type { TcpTarget } from "./tcp-proxy.ts";

const MUCH_BYTES = 8 * 1024 * 1024;

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

async function listen(accept: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, accept);
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A proxy to these ports; `forgotten` resolves when it has let go of a connection. */
async function proxyTo(
  ports: readonly number[],
): Promise<{ readonly port: number; readonly forgotten: Promise<void> }> {
  const context = trafficContext();
  let forget: () => void = () => undefined;
  const forgotten = new Promise<void>((resolve) => (forget = resolve));
  const target: TcpTarget = {
    cluster: cluster("echo"),
    endpoints: ports.map((port) => endpoint(port)),
    idleTimeoutMs: 60_000,
  };
  const port = await listen((socket) => {
    const parts = {
      context,
      makeHandler: () => {
        throw new Error("no HTTP here");
      },
      tlsServer: null,
      clientNames: () => null,
      ends: null,
      onHttp2: () => undefined,
      onClosed: () => {
        forget();
      },
    };
    new NetworkConnection(socket, parts, {
      plugins: [],
      notes: undefined,
      bufferBytesMax: 65_536,
      target,
      targetOf: () => null,
    });
  });
  return { port, forgotten };
}

async function received(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test("many bytes pass both ways, and each side ends by itself", async () => {
  const upstream = await listen((socket) => socket.pipe(socket));
  const { port } = await proxyTo([upstream]);
  const sent = Buffer.alloc(MUCH_BYTES, "0123456789abcdef!");
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end(sent);
  assert.ok((await received(socket)).equals(sent));
});

test("an upstream that answers only behind the client's end is heard out", async () => {
  const answer = Buffer.alloc(MUCH_BYTES, "x");
  const upstream = await listen((socket) => {
    socket.resume();
    socket.on("end", () => socket.end(answer));
  });
  const { port } = await proxyTo([upstream]);
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.end("question");
  assert.equal((await received(socket)).length, answer.length);
});

test("a client is cut off when nobody listens at the upstream, or there is none", async () => {
  for (const ports of [[await freePort()], []]) {
    const { port, forgotten } = await proxyTo(ports);
    const socket = connect({ port, host: "127.0.0.1" });
    assert.equal((await received(socket)).length, 0);
    await forgotten;
  }
});

test("a client that resets takes its upstream along", async () => {
  const gone = new Promise<void>((resolve) => {
    void listen((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", (chunk) => socket.write(chunk));
      socket.on("end", () => {
        socket.destroy();
        resolve();
      });
    })
      .then((upstream) => proxyTo([upstream]))
      .then(({ port }) => {
        const socket = connect({ port, host: "127.0.0.1" });
        socket.write("hello");
        socket.once("data", () => socket.resetAndDestroy());
      });
  });
  await gone;
});
