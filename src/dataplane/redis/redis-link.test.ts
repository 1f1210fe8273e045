//! A plug-in's way to Redis against a server that the test plays.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import type { RedisServer } from "../../wasm/redis-calls.ts";
import { eventually } from "../testing/fixture.ts";
import { atEnd, endAll } from "../testing/harness.ts";
import { after } from "node:test";
import { RedisLink } from "./redis-link.ts";
import type { RedisAddress } from "./redis-link.ts";

after(endAll);

const TIMEOUT_MS = 1_000;
const BACK_OFF_MS_MAX = 10_000;
const SERVER: RedisServer = {
  cluster: "redis",
  username: "",
  password: "",
  database: 0,
  timeoutMs: TIMEOUT_MS,
};

class Played {
  readonly sockets: Socket[] = [];
  received = "";
  /** What each piece that comes is answered with. */
  answer: (text: string, socket: Socket) => void = () => undefined;
  port = 0;
  readonly #server: Server;

  constructor() {
    this.#server = createServer((socket) => {
      this.sockets.push(socket);
      socket.on("error", () => undefined);
      socket.on("data", (chunk) => {
        this.received += chunk.toString();
        this.answer(chunk.toString(), socket);
      });
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.port = (this.#server.address() as AddressInfo).port;
    atEnd(() => {
      this.stop();
    });
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}

interface Link {
  readonly played: Played;
  readonly clock: FakeClock;
  readonly link: RedisLink;
  readonly log: string[];
  readonly endpoints: { generation: number; list: RedisAddress[] };
  /** What each call came to, in order: its reply, or null. */
  readonly replies: (string | null)[];
  readonly ask: (...words: string[]) => boolean;
}

async function setUp(changes: Partial<RedisServer> = {}): Promise<Link> {
  const played = new Played();
  await played.listen();
  const clock = new FakeClock();
  const log: string[] = [];
  const note = (message: string, fields = {}): void => {
    log.push(`${message} ${JSON.stringify(fields)}`);
  };
  const logger = { debug: note, info: note, warn: note, error: note };
  const endpoints = { generation: 1, list: [{ address: "127.0.0.1", port: played.port }] };
  const deps = {
    ...{ clock, prng: new SeededPrng(1), logger },
    connect: ({ address, port }: RedisAddress) => connect({ host: address, port }),
  };
  const link = new RedisLink(
    deps,
    { ...SERVER, ...changes },
    {
      get generation() {
        return endpoints.generation;
      },
      pick: () => endpoints.list[0] ?? "it has no endpoint",
      has: ({ port }) => endpoints.list.some((one) => one.port === port),
    },
  );
  atEnd(() => {
    link.close();
  });
  const replies: (string | null)[] = [];
  const ask = (...words: string[]): boolean =>
    link.call(Buffer.from(commandOf(words)), (reply) => {
      replies.push(reply === null ? null : Buffer.from(reply).toString());
    });
  return { played, clock, link, log, endpoints, replies, ask };
}

function commandOf(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;
}

const pong = (_text: string, socket: Socket): void => {
  socket.write("+PONG\r\n");
};

test("commands go out in order, and each gets its reply", async () => {
  const { played, replies, ask } = await setUp();
  played.answer = (_text, socket) => {
    if (played.received.endsWith("third\r\n")) socket.write(":1\r\n:2\r\n$1\r\nc\r\n");
  };
  for (const word of ["first", "second", "third"]) assert.ok(ask(word));
  await eventually(() => replies.length === 3);
  assert.deepEqual(replies, [":1\r\n", ":2\r\n", "$1\r\nc\r\n"]);
  assert.equal(
    played.received,
    ["first", "second", "third"].map((word) => commandOf([word])).join(""),
  );
  assert.equal(played.sockets.length, 1);
});

test("user, password and database come before the first command", async () => {
  const settings = { username: "me", password: "pässword", database: 2 };
  const { played, replies, ask } = await setUp(settings);
  const seen: string[] = [];
  played.answer = (text, socket) => {
    seen.push(
      text
        .split("\r\n")
        .filter((line) => /^[a-zäA-Z0-9]/.test(line))
        .join(" "),
    );
    socket.write("+OK\r\n");
  };
  ask("PING");
  await eventually(() => replies.length === 1);
  assert.deepEqual(seen, ["AUTH me pässword", "SELECT 2", "PING"]);
});

test("a server that wants no password is used, and the log tells no password", async () => {
  const { played, replies, ask, log } = await setUp({ password: "secret" });
  played.answer = (text, socket) => {
    socket.write(text.includes("AUTH") ? "-ERR no password is set\r\n" : "+PONG\r\n");
  };
  ask("PING");
  await eventually(() => replies.length === 1);
  assert.deepEqual(replies, ["+PONG\r\n"]);
  assert.match(log.join("\n"), /refused a plug-in's user or password.*no password is set/);
  assert.ok(!log.join("\n").includes("secret"));
});

test("a database that is refused is not mistaken for another one", async () => {
  const { played, replies, ask, log } = await setUp({ database: 99 });
  played.answer = (_text, socket) => {
    socket.write("-ERR DB index is out of range\r\n");
  };
  ask("SET", "k", "v");
  await eventually(() => replies.length === 1);
  assert.deepEqual(replies, [null]);
  assert.ok(!played.received.includes("SET\r\n"));
  assert.match(log.join("\n"), /refused database 99: ERR DB index is out of range/);
});

test("a server that is silent is left when its time is up, and all that wait hear it", async () => {
  const { played, clock, replies, ask, log } = await setUp();
  ask("GET", "a");
  ask("GET", "b");
  await eventually(() => played.received.endsWith("b\r\n"));
  clock.advance(TIMEOUT_MS - 1);
  assert.deepEqual(replies, []);
  clock.advance(1);
  assert.deepEqual(replies, [null, null]);
  assert.match(log.join("\n"), /it has not answered within 1000 ms/);
});

test("a server that cannot be reached is tried again, with back-off", async () => {
  const { played, clock, replies, ask, log } = await setUp();
  played.stop();
  let waitedMs = 0;
  for (let round = 1; round <= 12; round++) {
    ask("PING");
    await eventually(() => log.length === round);
    await eventually(() => replies.length === 2 * round - 1);
    const waitMs = Number(/"waitMs":([\d.]+)/.exec(log.at(-1) ?? "")?.[1]);
    assert.ok(waitMs >= Math.min(50 * 2 ** (round - 1), BACK_OFF_MS_MAX / 2), String(waitMs));
    assert.ok(waitMs <= Math.min(100 * 2 ** (round - 1), BACK_OFF_MS_MAX), String(waitMs));
    // Within the pause nothing is tried.
    assert.ok(ask("PING"));
    assert.equal(replies.length, 2 * round - 1, "no answer comes from inside the call");
    clock.advance(0);
    assert.equal(replies.at(-1), null);
    clock.advance(waitMs);
    waitedMs += waitMs;
  }
  assert.ok(waitedMs > BACK_OFF_MS_MAX);
});

test("a connection that ends after it has served is made anew at the next call", async () => {
  const { played, replies, ask } = await setUp();
  played.answer = pong;
  ask("PING");
  await eventually(() => replies.length === 1);
  played.answer = (_text, socket) => socket.destroy();
  ask("PING");
  await eventually(() => replies.length === 2);
  played.answer = pong;
  ask("PING");
  await eventually(() => replies.length === 3);
  assert.deepEqual(replies, ["+PONG\r\n", null, "+PONG\r\n"]);
  assert.equal(played.sockets.length, 2);
});

for (const [what, bytes] of [
  ["another protocol", "HTTP/1.1 400 Bad Request\r\n"],
  ["more replies than there were commands", "+PONG\r\n+PONG\r\n"],
] as const) {
  test(`a server that sends ${what} is left`, async () => {
    const { played, replies, ask, log } = await setUp();
    played.answer = (_text, socket) => socket.write(bytes);
    ask("PING");
    await eventually(() => log.length === 1);
    await eventually(() => replies.length === 1);
    assert.match(log[0] ?? "", /cannot be used/);
  });
}

test("a server that turns the connection away is not asked again at once", async () => {
  const { played, replies, ask, clock } = await setUp();
  played.answer = (_text, socket) => socket.end();
  ask("PING");
  await eventually(() => replies.length === 1);
  ask("PING");
  clock.advance(0);
  assert.deepEqual(replies, [null, null]);
  assert.equal(played.sockets.length, 1);
});

test("an endpoint that is gone answers what it had; the next one gets the rest", async () => {
  const { played, replies, ask, endpoints } = await setUp();
  ask("FIRST");
  await eventually(() => played.received.endsWith("FIRST\r\n"));
  const next = new Played();
  await next.listen();
  next.answer = pong;
  endpoints.list = [{ address: "127.0.0.1", port: next.port }];
  endpoints.generation += 1;
  ask("SECOND");
  await eventually(() => replies.length === 1);
  assert.equal(next.received, commandOf(["SECOND"]));
  played.sockets[0]?.write("+LATE\r\n");
  await eventually(() => replies.length === 2);
  assert.deepEqual(replies, ["+PONG\r\n", "+LATE\r\n"]);
});

test("a service without an endpoint fails calls, and says so", async () => {
  const { replies, ask, clock, endpoints, log } = await setUp();
  endpoints.list = [];
  ask("PING");
  clock.advance(0);
  assert.deepEqual(replies, [null]);
  assert.match(log.join(), /it has no endpoint/);
});

test("what waits is limited in bytes", async () => {
  const { ask } = await setUp();
  const large = "x".repeat(1024 * 1024);
  const taken = Array.from({ length: 20 }, () => ask(large)).filter(Boolean).length;
  assert.equal(taken, 15);
});

test("nothing is answered after it has been closed", async () => {
  const { played, link, ask, replies, clock } = await setUp();
  ask("PING");
  await eventually(() => played.received !== "");
  link.close();
  clock.advance(TIMEOUT_MS);
  assert.equal(ask("PING"), false);
  assert.deepEqual(replies, []);
});
