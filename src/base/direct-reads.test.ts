import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { test } from "node:test";
import { readDirectly, readInto } from "./direct-reads.ts";

const SENT = Buffer.from(Uint32Array.from({ length: 1 << 18 }, (_none, index) => index).buffer);

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Each of the two ways, of the sockets that each is for. */
const ways = [
  {
    way: "directly",
    read: readDirectly,
    open: (server: Server) => connect(portOf(server), "127.0.0.1"),
  },
  {
    way: "into a buffer of ours",
    read: (socket: Socket, onChunk: (chunk: Buffer) => void) => {
      const buffers = [Buffer.alloc(10_000), Buffer.alloc(100_000)] as const;
      let count = 0;
      const onRead = (byteCount: number, into: Buffer): void => {
        onChunk(Buffer.from(into.subarray(0, byteCount)));
        into.fill(0);
      };
      const buffer = (): Buffer => buffers[count++ % 2 === 0 ? 0 : 1];
      assert.ok(readInto(socket, { buffer, onRead, onChunk }), "this version of Node can");
    },
    open: async (server: Server) => {
      const accepted = once(server, "connection") as Promise<[Socket]>;
      connect(portOf(server), "127.0.0.1").end(SENT);
      return (await accepted)[0];
    },
  },
];
const paces = [
  { name: "flows", pausesEvery: Number.POSITIVE_INFINITY },
  { name: "is paused after each read", pausesEvery: 1 },
  { name: "is paused now and then", pausesEvery: 3 },
];
for (const { way, read, open } of ways) {
  for (const { name, pausesEvery } of paces) {
    test(`all bytes come once, in order, and the end, ${way}, while a socket ${name}`, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      if (way === "directly") server.on("connection", (socket) => socket.end(SENT));
      await once(server, "listening");
      const socket = await open(server);
      const got: Buffer[] = [];
      let paused = false;
      read(socket, (chunk) => {
        assert.ok(!paused, "nothing comes while it is paused");
        got.push(chunk);
        if (got.length % pausesEvery !== 0) return;
        paused = true;
        socket.pause();
        setImmediate(() => {
          paused = false;
          socket.resume();
        });
      });
      await once(socket, "end");
      server.close();
      assert.ok(Buffer.concat(got).equals(SENT));
    });
  }
}
