//! Tries that are late and are waited for beside the next one.

import assert from "node:assert/strict";
import { createServer } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { after, describe, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { RetryPolicy } from "../../snapshot/routing.ts";
import { eventually, RawClient, startFixture, turn } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { listening } from "../testing/tls-upstream.ts";

after(endAll);

const HEDGED: RetryPolicy = {
  ...{ retries: 2, perTryTimeoutMs: 1_000, isHedged: true, on: ["5xx"], statuses: [] },
  ...{ backOffBaseMs: 1, backOffMaxMs: 1 },
};
const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

interface Try {
  readonly text: string;
  readonly isClosed: () => boolean;
  /** With a body that says which try it was. */
  readonly answer: (status: number) => void;
  readonly hangUp: () => void;
}

interface Setup extends Fixture {
  readonly client: RawClient;
  readonly tries: Try[];
  /** So many tries have come to the upstream. */
  readonly tried: (count: number) => Promise<void>;
  /** The newest try has had its time. */
  readonly late: () => void;
  /** Nothing is left of the tries. */
  readonly rest: () => Promise<void>;
}

function overSocket(socket: Socket, text: string, index: number): Try {
  return {
    text,
    isClosed: () => socket.destroyed,
    answer: (status) => {
      socket.write(`HTTP/1.1 ${status} X\r\ncontent-length: 5\r\n\r\ntry ${index}`);
    },
    hangUp: () => socket.destroy(),
  };
}

function overStream(stream: ServerHttp2Stream, index: number): Try {
  return {
    text: "",
    isClosed: () => stream.destroyed,
    answer: (status) => {
      stream.respond({ ":status": status });
      stream.end(`try ${index}`);
    },
    hangUp: () => {
      stream.close(2);
    },
  };
}

async function startUpstream(tries: Try[], isHttp2: boolean): Promise<number> {
  if (!isHttp2) {
    const { port } = await startRawUpstream((socket) => {
      socket.on("data", (bytes: Buffer) => {
        tries.push(overSocket(socket, bytes.toString("latin1"), tries.length + 1));
      });
    });
    return port;
  }
  const server = createServer();
  server.on("session", (session) => {
    atEnd(() => {
      session.destroy();
    });
  });
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    tries.push(overStream(stream, tries.length + 1));
  });
  atEnd(() => server.close());
  return listening(server);
}

async function start(changes: Partial<RetryPolicy> = {}, isHttp2 = false): Promise<Setup> {
  const clock = new FakeClock();
  const tries: Try[] = [];
  const port = await startUpstream(tries, isHttp2);
  const a = isHttp2 ? { ...cluster("a"), protocol: "h2" as const } : cluster("a");
  const route = forwardRoute(a.name, { policy: { retry: { ...HEDGED, ...changes } } });
  const snapshot = gatewaySnapshot(80, [route], {
    clusters: { [a.name]: a },
    endpoints: { [a.name]: { endpoints: [endpoint(port)] } },
  });
  const fixture = await startFixture(snapshot, clock);
  const { pools } = fixture.context;
  return {
    ...fixture,
    client: await RawClient.open(fixture.port),
    tries,
    tried: (count) =>
      eventually(() => {
        clock.advance(0);
        return tries.length === count;
      }),
    late: () => {
      clock.advance(HEDGED.perTryTimeoutMs);
    },
    rest: async () => {
      await eventually(() => pools.activeCount(endpoint(port)) === 0);
      assert.deepEqual(fixture.assertions, []);
    },
  };
}

async function startTwo(changes: Partial<RetryPolicy> = {}, isHttp2 = false): Promise<Setup> {
  const setup = await start(changes, isHttp2);
  setup.client.send(GET);
  await setup.tried(1);
  setup.late();
  await setup.tried(2);
  return setup;
}

for (const isHttp2 of [false, true]) {
  describe(`to an upstream of HTTP/${isHttp2 ? "2" : "1.1"}`, () => {
    test("a late try is not ended, and the first answer is the client's", async () => {
      const { client, tries, records, rest } = await startTwo({}, isHttp2);
      assert.ok(tries.every((one) => !one.isClosed()));
      tries[0]?.answer(200);
      assert.match(await client.until(/try \d/), /^HTTP\/1.1 200 [^]*try 1/);
      await eventually(() => tries[1]?.isClosed() === true && records.length === 1);
      assert.equal(records[0]?.attempts, 2);
      await rest();
    });

    test("so it is when the try after it answers before", async () => {
      const { client, tries, rest } = await startTwo({}, isHttp2);
      tries[1]?.answer(200);
      assert.match(await client.until(/try \d/), /^HTTP\/1.1 200 [^]*try 2/);
      await eventually(() => tries[0]?.isClosed() === true);
      await rest();
    });

    test("an answer to be tried again is passed over while others may answer", async () => {
      const { client, tries, rest } = await startTwo({}, isHttp2);
      tries[0]?.answer(503);
      await eventually(() => tries[0]?.isClosed() === true);
      assert.equal(client.received, "");
      tries[1]?.answer(200);
      assert.match(await client.until(/try \d/), /^HTTP\/1.1 200 [^]*try 2/);
      await rest();
    });
  });
}

const OUTCOMES = [
  {
    name: "an answer of the last try that is not good waits for a late one",
    last: (one: Try) => {
      one.answer(503);
    },
    late: (one: Try) => {
      one.answer(200);
    },
    want: /^HTTP\/1.1 200 [^]*try 1/,
  },
  {
    name: "so does its failure",
    last: (one: Try) => {
      one.hangUp();
    },
    late: (one: Try) => {
      one.answer(200);
    },
    want: /^HTTP\/1.1 200 [^]*try 1/,
  },
  {
    name: "the last answer of all is the client's, good or not",
    last: (one: Try) => {
      one.answer(503);
    },
    late: (one: Try) => {
      one.answer(502);
    },
    want: /^HTTP\/1.1 502 [^]*try 1/,
  },
  {
    name: "when all have failed the client is told of the last",
    last: (one: Try) => {
      one.answer(503);
    },
    late: (one: Try) => {
      one.hangUp();
    },
    want: /^HTTP\/1.1 502 [^]*the last try was answered 503\n$/,
  },
] as const;

for (const { name, last, late, want } of OUTCOMES) {
  test(name, async () => {
    const { client, tries, rest } = await startTwo({ retries: 1 });
    const [first, second] = tries;
    assert.ok(first !== undefined && second !== undefined);
    last(second);
    await eventually(() => second.isClosed());
    assert.equal(client.received, "");
    late(first);
    assert.match(await client.until(/try \d$|\n$/), want);
    await rest();
  });
}

test("when no try may follow, the last one is waited for beyond its time", async () => {
  const { client, tries, late, rest } = await startTwo({ retries: 1 });
  late();
  await turn();
  late();
  assert.equal(tries.length, 2);
  tries[1]?.answer(200);
  assert.match(await client.until(/try \d/), /^HTTP\/1.1 200 [^]*try 2/);
  await rest();
});

test("a body is sent again whole", async () => {
  const { client, tries, tried, late, rest } = await start();
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
  await tried(1);
  late();
  await tried(2);
  assert.match(tries[1]?.text ?? "", /\r\n\r\nhello$/);
  tries[0]?.answer(200);
  assert.match(await client.until(/try \d/), /try 1$/);
  await rest();
});

test("a try whose request has not been sent whole is ended", async () => {
  const { client, tries, tried, late, rest } = await start();
  client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhe");
  await tried(1);
  late();
  await tried(2);
  assert.equal(tries[0]?.isClosed(), true);
  client.send("llo");
  await eventually(() => tries.length === 3);
  tries[2]?.answer(200);
  assert.match(await client.until(/try \d/), /try 3$/);
  await rest();
});

test("a client that goes ends every try", async () => {
  const { client, tries, rest } = await startTwo();
  client.socket.destroy();
  await eventually(() => tries.every((one) => one.isClosed()));
  await rest();
});
