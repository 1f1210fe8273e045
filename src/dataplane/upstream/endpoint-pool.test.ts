import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { DeadlineSweeper } from "../deadlines.ts";
import { eventually } from "../testing/fixture.ts";
import { startRawUpstream } from "../testing/harness.ts";
import {
  CONNECTIONS_PER_ENDPOINT_MAX,
  EndpointPool,
  PENDING_PER_ENDPOINT_MAX,
} from "./endpoint-pool.ts";
import { Headers } from "../../http/headers.ts";
import type { Upstream, UpstreamUser } from "./upstream.ts";

/** Sends one GET when it is given a connection, and keeps it. */
class User implements UpstreamUser {
  connection: Upstream | null = null;
  failure = "";
  ended = false;

  onUpstreamReady(connection: Upstream): void {
    this.connection = connection;
    const headers = new Headers();
    headers.add("host", "a");
    connection.sendHead({ method: "GET", target: "/", headers, hasBody: false });
  }

  onUpstreamFailure(kind: string): void {
    this.failure = kind;
  }

  onInformational(): void {
    // Of no interest here.
  }

  onUpstreamDrain(): void {
    // Nothing waits.
  }

  onResponseHead(): void {
    // Only the end counts.
  }

  onResponseBody(): void {
    // Only the end counts.
  }

  onResponseEnd(): void {
    this.ended = true;
  }

  onUpstreamBatchEnd(): void {
    // Nothing was put off.
  }

  onUpstreamAssertion(error: unknown): void {
    throw error;
  }
}

/** Frees what a user holds, however it came to it. */
function abort(user: User | undefined): void {
  user?.connection?.abort();
}

test("exchanges wait in order for a full pool, which forgets those that leave", async () => {
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  });
  let emptied = 0;
  const at = { proxyHeader: null, address: "127.0.0.1", port: upstream.port, from: "", tls: null };
  const sweeper = new DeadlineSweeper(systemClock);
  const pool = new EndpointPool(at, sweeper, () => {
    emptied += 1;
  });
  const users = Array.from({ length: CONNECTIONS_PER_ENDPOINT_MAX }, () => new User());
  for (const user of users)
    assert.equal(
      pool.acquire(user, { connectTimeoutMs: 30_000, cluster: null }).kind,
      "connecting",
    );

  const [leaving, first, second] = [new User(), new User(), new User()] as const;
  const left = pool.acquire(leaving, { connectTimeoutMs: 1_000, cluster: null });
  assert.ok(left.kind === "waiting");
  for (const user of [first, second])
    assert.equal(pool.acquire(user, { connectTimeoutMs: 1_000, cluster: null }).kind, "waiting");
  const fillers: Parameters<EndpointPool["cancel"]>[0][] = [];
  for (let count = 3; count < PENDING_PER_ENDPOINT_MAX; count++) {
    const filler = pool.acquire(new User(), { connectTimeoutMs: 1_000, cluster: null });
    assert.ok(filler.kind === "waiting");
    fillers.push(filler.waiting);
  }
  assert.equal(
    pool.acquire(new User(), { connectTimeoutMs: 1_000, cluster: null }).kind,
    "overflow",
  );
  pool.cancel(left.waiting);
  for (const waiting of fillers) pool.cancel(waiting);

  await eventually(() => users.every(({ ended }) => ended));
  users[0]?.connection?.release(true);
  assert.ok(first.connection !== null, "the one that waited longest has it at once");
  assert.ok(leaving.connection === null && second.connection === null);
  await eventually(() => first.ended);

  abort(users[1]);
  await eventually(() => second.ended);
  assert.notEqual(second.connection, users[1]?.connection, "a closed one is replaced");

  first.connection.release(true);
  pool.closeIdle();
  abort(second);
  for (const user of users.slice(2)) abort(user);
  assert.equal(emptied, 1);
  assert.equal(sweeper.size, 0);
  sweeper.stop();
  upstream.close();
});
