import assert from "node:assert/strict";
import { test } from "node:test";
import { diffSnapshots } from "../../snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { turn } from "../testing/fixture.ts";
import { NOTHING_RECENT } from "../recent-decisions.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";
import type { WorkerRole } from "./role.ts";
import { WorkerProcess } from "./worker-process.ts";

function version(name: string): Snapshot {
  return { ...EMPTY_SNAPSHOT, version: name };
}

interface Call {
  readonly version: string;
  readonly finish: (error: string | null) => void;
}

/** A worker whose role prepares for as long as the test wants. */
function startWorker() {
  const sent: FromWorker[] = [];
  const calls: Call[] = [];
  let exitCount = 0;
  const ready: [token: number, count: number][] = [];
  let tell: (message: ToWorker) => void = () => undefined;
  let disconnect: () => void = () => undefined;
  /** What the role accepts with, one for each time that it is asked. */
  const handles: object[] = [];
  const closed = new Set<object>();
  const shown: (object | undefined)[] = [];
  const role: WorkerRole = {
    configure: (snapshot) =>
      new Promise((resolve) => {
        calls.push({ version: snapshot.version, finish: resolve });
      }),
    explain: () => Promise.resolve(null),
    oldRuntimesDrained: () => Promise.resolve(),
    podFailure: () => null,
    drainPod: () => Promise.resolve(),
    listenerHandle: () => handles.shift() ?? null,
    stop: () => Promise.resolve(),
  };
  const channel = {
    send: (message: FromWorker, handle?: object, failed?: () => void) => {
      if (handle !== undefined && closed.has(handle)) {
        failed?.();
        return;
      }
      sent.push(message);
      shown.push(handle);
    },
    onMessage: (listener: (message: ToWorker) => void) => void (tell = listener),
    onDisconnect: (listener: () => void) => void (disconnect = listener),
  };
  new WorkerProcess(channel, role, {
    ejected: () => [],
    setLogLevel: () => undefined,
    metrics: () => ({ families: [] }),
    queueReady: (token, count) => void ready.push([token, count]),
    recent: () => NOTHING_RECENT,
    hops: () => [],
    pluginLines: () => [],
    onAssertion: () => undefined,
    exit: () => void (exitCount += 1),
  }).start();
  return {
    ...{ handles, closed, shown },
    sent,
    ready,
    calls,
    tell: (message: ToWorker) => {
      tell(message);
    },
    disconnect: () => {
      disconnect();
    },
    exitCount: () => exitCount,
    prepared: () => calls.map((call) => call.version),
    push: (id: number, from: Snapshot, to: Snapshot) => {
      tell({ type: "config", id, delta: diffSnapshots(from, to) });
    },
  };
}

test("configurations are prepared one at a time, each against the one before", async () => {
  const worker = startWorker();
  const [one, two] = [version("one"), version("two")];
  worker.push(1, EMPTY_SNAPSHOT, one);
  worker.push(2, one, two);
  await turn();
  assert.deepEqual(worker.prepared(), ["one"]);
  worker.calls[0]?.finish(null);
  await turn();
  assert.deepEqual(worker.prepared(), ["one", "two"]);
  worker.calls[1]?.finish(null);
  await turn();
  assert.deepEqual(worker.sent, [
    { type: "ready" },
    { type: "configured", id: 1, error: null },
    { type: "configured", id: 2, error: null },
  ]);
});

test("after a refusal deltas are made against the version that still runs", async () => {
  const worker = startWorker();
  const [one, two, three] = [version("one"), version("two"), version("three")];
  worker.push(1, EMPTY_SNAPSHOT, one);
  await turn();
  worker.calls[0]?.finish(null);
  worker.push(2, one, two);
  await turn();
  worker.calls[1]?.finish("two is broken");
  worker.push(3, two, three);
  await turn();
  assert.deepEqual(worker.sent.slice(2), [
    { type: "configured", id: 2, error: "two is broken" },
    { type: "configured", id: 3, error: "the delta is for two, but one runs here" },
  ]);
  worker.push(4, one, three);
  await turn();
  worker.calls[2]?.finish(null);
  await turn();
  assert.deepEqual(worker.sent.at(-1), { type: "configured", id: 4, error: null });
});

test("a whole snapshot is taken whatever runs", async () => {
  const worker = startWorker();
  worker.push(1, EMPTY_SNAPSHOT, version("one"));
  await turn();
  worker.calls[0]?.finish(null);
  worker.push(2, EMPTY_SNAPSHOT, version("two"));
  await turn();
  worker.calls[1]?.finish(null);
  await turn();
  assert.deepEqual(worker.sent.at(-1), { type: "configured", id: 2, error: null });
});

test("other questions are answered while a configuration is prepared", async () => {
  const worker = startWorker();
  worker.push(1, EMPTY_SNAPSHOT, version("one"));
  worker.tell({ type: "metrics", id: 2 });
  await turn();
  assert.deepEqual(worker.sent.at(-1), { type: "metrics", id: 2, metrics: { families: [] } });
});

test("news of shared queues are handed on, and not answered", async () => {
  const worker = startWorker();
  worker.tell({
    type: "queuesReady",
    queues: [
      [7, 2],
      [9, 1],
    ],
  });
  await turn();
  assert.deepEqual(worker.ready, [
    [7, 2],
    [9, 1],
  ]);
  assert.deepEqual(worker.sent, [{ type: "ready" }]);
});

test("a worker whose main process has gone ends", () => {
  const worker = startWorker();
  worker.disconnect();
  assert.equal(worker.exitCount(), 1);
});

const [OPEN, CLOSED, CLOSED_TOO] = [{}, {}, {}];
for (const { name, handles, want } of [
  { name: "with its handle", handles: [OPEN], want: OPEN },
  { name: "with the next one when that has been closed", handles: [CLOSED, OPEN], want: OPEN },
  { name: "without any when both have been", handles: [CLOSED, CLOSED_TOO], want: undefined },
]) {
  test(`a listener is handed on ${name}, and answered for once`, async () => {
    const worker = startWorker();
    worker.closed.add(CLOSED).add(CLOSED_TOO);
    worker.handles.push(...handles);
    worker.tell({ type: "listener", id: 7, address: "a:1" });
    await turn();
    assert.deepEqual(worker.sent, [{ type: "ready" }, { type: "listener", id: 7 }]);
    assert.equal(worker.shown[1], want);
  });
}
