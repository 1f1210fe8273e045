import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { readDirectly } from "./direct-reads.ts";

const SENT = Buffer.from(Uint32Array.from({ length: 1 << 18 }, (_none, index) => index).buffer);

const readers = [
  { name: "flows", pausesEvery: Number.POSITIVE_INFINITY },
  { name: "is paused after each read", pausesEvery: 1 },
  { name: "is paused now and then", pausesEvery: 3 },
];
for (const { name, pausesEvery } of readers) {
  test(`all bytes come once and in order, and then the end, while a socket ${name}`, async () => {
    const server = createServer((socket) => socket.end(SENT)).listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    const got: Buffer[] = [];
    let paused = false;
    readDirectly(socket, (chunk) => {
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
