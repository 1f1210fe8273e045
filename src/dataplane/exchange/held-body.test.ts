import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import type { AddressInfo } from "node:net";
import type { Writable } from "node:stream";
import { after, describe, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { RoutePolicy } from "../../snapshot/routing.ts";
import type { LaneGroup } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { RawClient, startFixture, turn } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute } from "../testing/snapshot-maker.ts";
import { gatewaySnapshot } from "../testing/snapshot-maker.ts";

after(endAll);

const A = cluster("a");
const PIECE = Buffer.alloc(1024 * 1024, "b");
const CHUNK_SIZE = `${PIECE.length.toString(16)}\r\n`;
const CHUNK = Buffer.concat([Buffer.from(CHUNK_SIZE), PIECE, Buffer.from("\r\n")]);
/** Far more than sockets hold. */
const PIECES = 96;
const BODY_BYTES = PIECE.length * PIECES;
const DELAY_MS = 5_000;
/** The client has been stopped when none of its bytes moves in so many turns. */
const STILL_TURNS = 2_000;

/** Its rule reads the body, so that the body comes before the request has its route. */
const GROUP = laneGroupOf({
  services: ["default/a"],
  stripFromClients: false,
  operands: { trustedHops: 0, bodyBytesMax: 64 },
  lanes: [
    laneOf("gray", {
      rule: {
        programVersion: 2,
        condition: {
          kind: "test",
          operand: { kind: "bodyJson", name: "user" },
          operator: "==",
          values: ["vip"],
        },
      },
    }),
  ],
});

/** Answers with the number of bytes that it got. */
async function startCounter(): Promise<number> {
  const server = createServer((request, response) => {
    let count = 0;
    request.on("data", (chunk: Buffer) => {
      count += chunk.length;
    });
    request.on("end", () => response.end(`got ${count}.`));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

async function startDelaying(groups: readonly LaneGroup[]) {
  const clock = new FakeClock();
  const policy: RoutePolicy = { fault: { delay: { delayMs: DELAY_MS, sharePpm: 1_000_000 } } };
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name, { policy })], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(await startCounter())] } },
    laneGroups: Object.fromEntries(groups.map((group) => [group.name, group])),
  });
  return { clock, ...(await startFixture(snapshot, clock)) };
}

/** Writes the body as fast as it is taken; `taken` counts what has left for the gateway. */
function pump(to: Writable, piece: Buffer): { taken: number } {
  const state = { taken: 0 };
  const next = (left: number): void => {
    if (left === 0) return;
    to.write(piece, () => {
      state.taken += PIECE.length;
      next(left - 1);
    });
  };
  next(PIECES);
  return state;
}

async function untilStill(state: { readonly taken: number }): Promise<void> {
  let last = -1;
  let turns = 0;
  while (turns < STILL_TURNS) {
    turns = state.taken === last ? turns + 1 : 0;
    last = state.taken;
    await turn();
  }
}

const CASES = [
  { name: "whose route waits", groups: [] },
  { name: "that a rule has read, and whose route waits", groups: [GROUP] },
];

describe("a client whose body is longer than may be held waits with the rest of it", () => {
  for (const { name, groups } of CASES) {
    test(`in a request of HTTP/1.1 ${name}`, async () => {
      const { clock, port, assertions } = await startDelaying(groups);
      const client = await RawClient.open(port);
      client.send(`POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n`);
      const state = pump(client.socket, CHUNK);
      await untilStill(state);
      assert.ok(state.taken < BODY_BYTES, `${state.taken} bytes were taken`);
      clock.advance(DELAY_MS);
      while (state.taken < BODY_BYTES) await turn();
      client.send("0\r\n\r\n");
      assert.match(await client.until(/got \d+\./), new RegExp(`got ${BODY_BYTES}\\.`));
      assert.deepEqual(assertions, []);
    });

    test(`in a request of HTTP/2 ${name}`, async () => {
      const { clock, port, assertions } = await startDelaying(groups);
      const session = connectHttp2(`http://127.0.0.1:${port}`);
      atEnd(() => {
        session.destroy();
      });
      const stream = session.request({ ":method": "POST", ":path": "/", ":authority": "a" });
      stream.setEncoding("latin1");
      let answer = "";
      stream.on("data", (text: string) => {
        answer += text;
      });
      const state = pump(stream, PIECE);
      await untilStill(state);
      assert.ok(state.taken < BODY_BYTES, `${state.taken} bytes were taken`);
      clock.advance(DELAY_MS);
      while (state.taken < BODY_BYTES) await turn();
      stream.end();
      await once(stream, "end");
      assert.equal(answer, `got ${BODY_BYTES}.`);
      assert.deepEqual(assertions, []);
    });
  }
});
