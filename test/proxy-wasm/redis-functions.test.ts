//! Higress' functions for Redis by their status codes, and the callback that brings the reply.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { OnRedisReply, RedisServer } from "../../src/wasm/redis-calls.ts";
import { Bench, OUT, OUTSIDE } from "../support/bench.ts";

const CLUSTER = "outbound|6379||redis.static";
const PING = "*1\r\n$4\r\nPING\r\n";
const CALLS_PER_EXCHANGE_MAX = 100;
/** Where the guest puts what its callback was given. */
const SEEN = 256;

/** Writes its parameters to `SEEN`, then the reply's address, length and the status of reading. */
const ON_REPLY = `
  (func (export "proxy_on_redis_call_response") (param i32 i32 i32 i32)
    (i32.store (i32.const 256) (local.get 0))
    (i32.store (i32.const 260) (local.get 1))
    (i32.store (i32.const 264) (local.get 2))
    (i32.store (i32.const 268) (local.get 3))
    (i32.store (i32.const 280) (call $read
      (i32.const 9) (i32.const 0) (local.get 3) (i32.const 272) (i32.const 276))))`;
const READ = `(import "env" "proxy_get_buffer_bytes"
  (func $read (param i32 i32 i32 i32 i32) (result i32)))`;

/** A server that keeps what it was asked, and answers when the test says so. */
class FakeRedis {
  readonly opened: RedisServer[] = [];
  readonly commands: string[] = [];
  readonly answers: OnRedisReply[] = [];
  retired = 0;
  closed = 0;
  isFull = false;

  open(server: RedisServer): ReturnType<NonNullable<Bench["services"]["redis"]>> {
    if (!server.cluster.includes("redis")) return null;
    this.opened.push(server);
    return {
      call: (command, onReply) => {
        if (this.isFull) return false;
        this.commands.push(Buffer.from(command).toString());
        this.answers.push(onReply);
        return true;
      },
      retire: () => (this.retired += 1),
      close: () => (this.closed += 1),
    };
  }
}

async function setUp(): Promise<{ bench: Bench; redis: FakeRedis }> {
  const redis = new FakeRedis();
  const services = { redis: (server: RedisServer) => redis.open(server) };
  const bench = await Bench.make("0_2_100", { services, imports: READ, body: ON_REPLY });
  return { bench, redis };
}

function init(bench: Bench, cluster = CLUSTER, password = ""): number {
  return bench.inStream(() => bench.call("proxy_redis_init", cluster, "me", password, 1_000));
}

function call(bench: Bench, cluster = CLUSTER, command = PING): number {
  return bench.inStream(() => bench.call("proxy_redis_call", cluster, command, OUT));
}

const tokenOf = ({ vm }: Bench): number => vm.memory.u32At(OUT);
const seen = ({ vm }: Bench): number[] => [0, 4, 8, 12].map((at) => vm.memory.u32At(SEEN + at));

test("a server is prepared with user, password, database and timeout", async () => {
  const { bench, redis } = await setUp();
  assert.equal(init(bench, `${CLUSTER}?db=3&buffer_flush_timeout=2`, "secret"), 0);
  assert.deepEqual(redis.opened, [
    { cluster: CLUSTER, username: "me", password: "secret", database: 3, timeoutMs: 1_000 },
  ]);
});

test("a command goes out as it is, and its reply comes back as it is", async () => {
  const { bench, redis } = await setUp();
  init(bench);
  assert.equal(call(bench), 0);
  const token = tokenOf(bench);
  assert.equal(token & 3, 3);
  assert.deepEqual(redis.commands, [PING]);
  redis.answers[0]?.(Buffer.from("+PONG\r\n"));
  assert.deepEqual(seen(bench), [bench.root.id, token, 0, 7]);
  const { memory } = bench.vm;
  const at = memory.u32At(SEEN + 16);
  assert.equal(memory.bytes.toString("latin1", at, at + memory.u32At(SEEN + 20)), "+PONG\r\n");
});

test("a call without a reply has another status, and nothing can be read", async () => {
  const { bench, redis } = await setUp();
  init(bench);
  call(bench);
  redis.answers[0]?.(null);
  assert.deepEqual(seen(bench), [bench.root.id, tokenOf(bench), 1, 0]);
  assert.equal(bench.vm.memory.u32At(SEEN + 24), 1);
});

test("outside its callback no reply can be read", async () => {
  const { bench } = await setUp();
  assert.equal(
    bench.inStream(() => bench.call("proxy_get_buffer_bytes", 9, 0, 10, OUT, OUT + 4)),
    1,
  );
  const write = bench.inStream(() => bench.call("proxy_set_buffer_bytes", 9, 0, 0, "x"));
  assert.equal(write, 1);
});

test("only a root that has prepared a server may call it", async () => {
  const { bench } = await setUp();
  assert.equal(call(bench), 2);
  assert.equal(init(bench, "outbound|80||nobody"), 2);
  assert.equal(init(bench, `${CLUSTER}?db=x`), 2);
  assert.equal(init(bench), 0);
  assert.equal(call(bench, "outbound|6380||redis.static"), 2);
  assert.equal(call(bench, `${CLUSTER}?buffer_flush_timeout=0`), 0);
});

test("without an embedder's Redis there is none", async () => {
  const bench = await Bench.make("0_2_100");
  assert.equal(init(bench), 2);
});

test("what is not one command is refused, and what is outside memory, too", async () => {
  const { bench, redis } = await setUp();
  init(bench);
  assert.equal(call(bench, CLUSTER, ""), 2);
  assert.equal(call(bench, CLUSTER, PING + PING), 2);
  assert.equal(call(bench, CLUSTER, "PING\r\n"), 2);
  const outside = bench.inStream(() => [
    bench.call("proxy_redis_call", CLUSTER, OUTSIDE, 4, OUT),
    bench.call("proxy_redis_call", OUTSIDE, 4, PING, OUT),
    bench.call("proxy_redis_call", CLUSTER, PING, OUTSIDE),
    bench.call("proxy_redis_init", CLUSTER, OUTSIDE, 1, "", 0),
  ]);
  assert.deepEqual(outside, [6, 6, 6, 6]);
  assert.deepEqual(redis.commands, []);
});

test("the same settings keep their connection, others replace it", async () => {
  const { bench, redis } = await setUp();
  init(bench);
  init(bench);
  assert.equal(redis.opened.length, 1);
  init(bench, CLUSTER, "another");
  assert.deepEqual([redis.opened.length, redis.retired], [2, 1]);
});

test("two databases of one server have a connection each", async () => {
  const { bench, redis } = await setUp();
  for (const database of [1, 2, 1]) init(bench, `${CLUSTER}?db=${database}`);
  assert.deepEqual([redis.opened.length, redis.retired], [2, 0]);
});

test("the servers of one root are limited", async () => {
  const { bench } = await setUp();
  const statuses = Array.from({ length: 20 }, (_, at) => init(bench, `outbound|${at}||redis`));
  assert.deepEqual([statuses.indexOf(10), statuses.lastIndexOf(0)], [16, 15]);
});

test("the calls of one exchange that are pending are limited, and an answer makes room", async () => {
  const { bench, redis } = await setUp();
  init(bench);
  bench.inStream(() => {
    const command = bench.put(PING);
    const cluster = bench.put(CLUSTER);
    for (let count = 0; count < CALLS_PER_EXCHANGE_MAX; count++) {
      assert.equal(bench.call("proxy_redis_call", ...cluster, ...command, OUT), 0);
    }
  });
  assert.equal(call(bench), 10);
  redis.answers[0]?.(null);
  assert.equal(call(bench), 0);
  redis.isFull = true;
  redis.answers[1]?.(null);
  assert.equal(call(bench), 10);
});

test("a root that ends hears no more replies", async () => {
  const { bench, redis } = await setUp();
  init(bench);
  call(bench);
  bench.root.shutDown();
  assert.equal(redis.closed, 1);
  redis.answers[0]?.(Buffer.from("+PONG\r\n"));
  assert.deepEqual(seen(bench), [0, 0, 0, 0]);
});

test("an older ABI has no Redis, and may export the callback's name for itself", async () => {
  const body = '(func (export "proxy_on_redis_call_response") (param i64))';
  const bench = await Bench.make("0_2_1", { body });
  assert.ok(!bench.has("proxy_redis_call"));
});
