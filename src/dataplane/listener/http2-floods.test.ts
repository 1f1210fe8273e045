//! Raw frames (RFC 9113 section 4) that cost their sender little and would cost us much.

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";
import { startFixture } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll, startRawUpstream } from "../testing/harness.ts";
import {
  END_HEADERS,
  END_STREAM,
  PREFACE,
  TYPE,
  frame,
  literal,
  readFrames,
} from "../testing/http2-frames.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

const ENHANCE_YOUR_CALM = 11;
const A = cluster("a");

/** GET, http and / stand in HPACK's static table (RFC 7541); the authority is a literal. */
function get(): Buffer {
  const authority = Buffer.from("a.test");
  return Buffer.concat([Buffer.from([0x82, 0x86, 0x84, 0x41, authority.length]), authority]);
}

const RESET = Buffer.from([0, 0, 0, 8]);

/** An upstream that never answers, so that what is opened stays open. */
async function start(): Promise<Fixture> {
  const { port } = await startRawUpstream((socket) => socket.resume());
  return startFixture(
    gatewaySnapshot(80, [forwardRoute(A.name)], {
      clusters: { [A.name]: A },
      endpoints: { [A.name]: { endpoints: [endpoint(port)] } },
    }),
  );
}

interface Attack {
  readonly socket: Socket;
  /** Resolves to all that came when the gateway has closed the connection. */
  readonly closed: Promise<Buffer>;
}

function attack(port: number): Attack {
  const socket = connect(port, "127.0.0.1");
  const came: Buffer[] = [];
  socket.on("data", (chunk) => came.push(chunk));
  socket.on("error", () => undefined);
  atEnd(() => {
    socket.destroy();
  });
  socket.write(Buffer.concat([PREFACE, frame("settings", Buffer.alloc(0))]));
  const closed = new Promise<Buffer>((resolve) => {
    socket.once("close", () => {
      resolve(Buffer.concat(came));
    });
  });
  return { socket, closed };
}

/** The error code of the last GOAWAY among the frames; null when there is none. */
function goawayCode(bytes: Buffer): number | null {
  const goaway = readFrames(bytes).frames.findLast(({ type }) => type === TYPE.goaway);
  return goaway?.payload.readUInt32BE(4) ?? null;
}

const floods: readonly { readonly name: string; readonly bytes: (index: number) => Buffer }[] = [
  {
    name: "requests that are reset at once (CVE-2023-44487)",
    bytes: (index) => {
      const stream = 2 * index + 1;
      return Buffer.concat([
        frame("headers", get(), { flags: END_STREAM | END_HEADERS, stream }),
        frame("reset", RESET, { stream }),
      ]);
    },
  },
  { name: "PING frames (CVE-2019-9512)", bytes: () => frame("ping", Buffer.alloc(8)) },
  { name: "SETTINGS frames (CVE-2019-9515)", bytes: () => frame("settings", Buffer.alloc(0)) },
];

describe("a flood over HTTP/2 is cut off", () => {
  for (const { name, bytes } of floods) {
    test(name, async () => {
      const fixture = await start();
      const { socket, closed } = attack(fixture.port);
      const ROUND = 200;
      const ROUNDS_MAX = 100;
      let rounds = 0;
      const send = (): void => {
        if (socket.destroyed || rounds >= ROUNDS_MAX) return;
        const first = rounds * ROUND;
        rounds += 1;
        const round = Array.from({ length: ROUND }, (_none, index) => bytes(first + index));
        socket.write(Buffer.concat(round), () => setImmediate(send));
      };
      send();
      const came = await closed;
      assert.ok(rounds < ROUNDS_MAX, `${rounds * ROUND} were taken`);
      assert.equal(goawayCode(came), ENHANCE_YOUR_CALM);
      assert.deepEqual(fixture.assertions, []);
    });
  }

  test("header blocks that do not end (CVE-2024-27316)", async () => {
    const fixture = await start();
    const { socket, closed } = attack(fixture.port);
    socket.write(frame("headers", get(), { stream: 1 }));
    const part = Buffer.concat(
      Array.from({ length: 100 }, (_none, index) => literal(`x-${index}`, "y".repeat(100))),
    );
    let sent = 0;
    const SENT_MAX = 64 * 1024 * 1024;
    const send = (): void => {
      if (socket.destroyed || sent > SENT_MAX) return;
      sent += part.length;
      socket.write(frame("continuation", part, { stream: 1 }), () => setImmediate(send));
    };
    send();
    await closed;
    assert.ok(sent < SENT_MAX, `${sent} bytes were taken`);
    assert.deepEqual(fixture.assertions, []);
  });

  test("a refusal whose request goes on is whole before the stream is reset", async () => {
    const fixture = await start();
    const { socket } = attack(fixture.port);
    let came = Buffer.alloc(0);
    const reset = new Promise<void>((resolve) => {
      socket.on("data", (chunk: Buffer) => {
        came = Buffer.concat([came, chunk]);
        if (readFrames(came).frames.some(({ type }) => type === TYPE.reset)) resolve();
      });
    });
    const fields = Buffer.concat([get(), literal("expect", "more")]);
    socket.write(frame("headers", fields, { flags: END_HEADERS, stream: 1 }));
    await reset;
    const own = readFrames(came).frames.filter(({ stream }) => stream === 1);
    assert.deepEqual(
      own.slice(-2).map(({ type, flags }) => ({ type, flags })),
      [
        { type: TYPE.data, flags: END_STREAM },
        { type: TYPE.reset, flags: 0 },
      ],
    );
  });

  test("more streams at once than are offered are refused one by one", async () => {
    const fixture = await start();
    const { socket } = attack(fixture.port);
    const STREAMS = 150;
    let refused = 0;
    let rest = Buffer.alloc(0);
    const enough = new Promise<void>((resolve) => {
      socket.on("data", (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk]);
        while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
          if (rest[3] === TYPE.reset && rest.readUInt32BE(9) === 7) refused += 1;
          rest = rest.subarray(9 + rest.readUIntBE(0, 3));
        }
        if (refused >= 50) resolve();
      });
    });
    for (let index = 0; index < STREAMS; index++) {
      const flags = END_STREAM | END_HEADERS;
      socket.write(frame("headers", get(), { flags, stream: 2 * index + 1 }));
    }
    await enough;
    assert.equal(refused, 50);
  });
});
