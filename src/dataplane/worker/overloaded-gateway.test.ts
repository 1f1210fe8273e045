import assert from "node:assert/strict";
import { after, test } from "node:test";
import { freePort } from "../../base/testing/free-port.ts";
import { VirtualClock } from "../../base/virtual-clock.ts";
import { systemClock } from "../../base/clock.ts";
import { SILENT_OBSERVER } from "../observer.ts";
import { OverloadGuard } from "../overload.ts";
import { eventually, observedContext, RawClient } from "../testing/fixture.ts";
import type { Fixture } from "../testing/fixture.ts";
import { atEnd, endAll, preparer, startRawUpstream } from "../testing/harness.ts";
import { cluster, endpoint, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { GatewayRole } from "./gateway-role.ts";

after(endAll);

const A = cluster("a");
const MIB = 1_048_576;

interface Overloaded extends Fixture {
  readonly guard: OverloadGuard;
  readonly refusedConnections: string[];
  readonly setHeap: (usedMib: number) => void;
}

/** A gateway whose heap of 100 MiB is as full as the test says. */
async function start(connectionsMax: number): Promise<Overloaded> {
  const upstream = await startRawUpstream((socket) => {
    socket.on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
  });
  const snapshot = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(upstream.port)] } },
  });
  const time = new VirtualClock();
  let heapUsed = 0;
  const limits = { delayMs: 100, memoryBytes: 1_000 * MIB, connectionsMax };
  const guard = new OverloadGuard(time, limits, {
    memory: () => ({ heapUsed, heapLimit: 100 * MIB, external: 0 }),
    cpuMs: () => 0,
    collectGarbage: () => undefined,
    onDelay: () => undefined,
    onChange: () => undefined,
  });
  const refusedConnections: string[] = [];
  const parts = observedContext(systemClock);
  const observer = {
    ...{ ...SILENT_OBSERVER, ...parts.context.observer },
    onRefusedConnection: (reason: string): void => {
      refusedConnections.push(reason);
    },
  };
  const port = await freePort();
  const options = {
    ...({ role: "gateway", id: "test", gatewayHost: "127.0.0.1" } as const),
    ...({ accessLogPath: "", logLevel: "silent", logPath: "" } as const),
    portMap: { "80": port },
  };
  const context = { ...parts.context, observer, overload: guard };
  const role = new GatewayRole(options, context, preparer(context));
  atEnd(() => role.stop());
  assert.equal(await role.configure(snapshot), null);
  return {
    ...{ ...parts, context, role, port, guard, refusedConnections },
    setHeap: (usedMib) => {
      heapUsed = usedMib * MIB;
      time.advance(1_000);
    },
  };
}

test("an overloaded gateway answers 503 with Retry-After on connections that stay", async () => {
  const { port, guard, records, setHeap } = await start(10);
  const client = await RawClient.open(port);
  setHeap(96);
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  const answer = await client.until(/try again\n$/);
  assert.match(answer, /^HTTP\/1\.1 503 [^]*\r\nretry-after: 1\r\n[^]*\r\noverload: /);
  assert.doesNotMatch(answer, /connection: close/);
  assert.equal(guard.shedCount, 1);
  assert.deepEqual(
    records.map(({ status, flags }) => [status, flags]),
    [[503, "overload"]],
  );
  setHeap(10);
  client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.match(await client.until(/\r\n\r\nok$/), /HTTP\/1\.1 200 OK/);
});

test("an overloaded gateway tells gRPC clients UNAVAILABLE", async () => {
  const { port, setHeap } = await start(10);
  const client = await RawClient.open(port);
  setHeap(96);
  client.send("POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n\r\n");
  assert.match(await client.until(/\r\n\r\n/), /^HTTP\/1\.1 200 [^]*grpc-status: 14\r\n/);
});

test("connections over the limit, or with the memory very full, are closed at once", async () => {
  const { port, guard, refusedConnections, setHeap } = await start(1);
  const first = await RawClient.open(port);
  first.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await first.until(/ok$/);
  assert.equal(guard.connectionCount, 1);
  const second = await RawClient.open(port);
  assert.equal(await second.closed(), "");
  first.socket.destroy();
  await eventually(() => guard.connectionCount < 1);
  setHeap(99);
  const third = await RawClient.open(port);
  assert.equal(await third.closed(), "");
  assert.deepEqual(refusedConnections, ["overflow", "overload"]);
});
