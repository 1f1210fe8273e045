import assert from "node:assert/strict";
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { RecordingOwner, runSharedStoreCases, text } from "../../wasm/shared-store-cases.ts";
import type { SharedStores } from "../../wasm/shared-store-cases.ts";
import { openMapped } from "./open-mapped.ts";
import { QueueNews } from "./queue-news.ts";

const WRITER = new URL(`./shared-writer${extname(import.meta.filename)}`, import.meta.url);
const root = mkdtempSync(
  join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "graylane-shared-test-"),
);
const opened: ReturnType<typeof openMapped>[] = [];
after(async () => {
  await Promise.all(opened.map(({ file }) => file.close()));
  rmSync(root, { recursive: true });
});

type Mapped = SharedStores & ReturnType<typeof openMapped> & { readonly told: string[] };

/** What one worker has mapped. */
function map(directory: string, workerId = "a"): Mapped {
  const tasks: (() => void)[] = [];
  const told: string[] = [];
  const mapped = openMapped(directory, {
    workerId,
    later: (task) => tasks.push(task),
    tell: (worker, token) => told.push(`${worker}:${token}`),
  });
  opened.push(mapped);
  const run = (): void => {
    while (tasks.length > 0) tasks.shift()?.();
  };
  return { ...mapped, told, run };
}

function folder(): string {
  return mkdtempSync(join(root, "f-"));
}

function startWriter(directory: string, times: number): ChildProcess {
  return fork(WRITER, [directory, String(times)]);
}

runSharedStoreCases("in shared memory", () => map(folder()));

test("processes that open it and count one number up while others do lose no count", async () => {
  const directory = folder();
  const { data } = map(directory);
  // There from the start, since the first write cannot compare: 0 asks for no comparison.
  data.set("vm", "n", { value: Buffer.alloc(4), cas: 0 });
  const writers = Array.from({ length: 4 }, () => startWriter(directory, 1_500));
  await Promise.all(writers.map((writer) => once(writer, "exit")));
  const { value, cas } = data.get("vm", "n") ?? { value: text(""), cas: 0 };
  assert.equal(Buffer.from(value).readUInt32LE(0), 6_000);
  assert.equal(cas, 6_001);
});

test("a writer that is killed leaves nothing half written, and nobody waiting", async () => {
  const directory = folder();
  const { data } = map(directory);
  for (let round = 1; round <= 3; round++) {
    const writer = startWriter(directory, 0);
    await once(writer, "message");
    while ((data.get("vm", "n")?.cas ?? 0) < round * 100) data.get("vm", "n");
    writer.kill("SIGKILL");
    await once(writer, "exit");
    // One commit may be complete and not yet seen: the next writer finds it.
    data.set("other", "k", { value: text(""), cas: 0 });
    const { value, cas } = data.get("vm", "n") ?? { value: text(""), cas: 0 };
    assert.equal(Buffer.from(value).readUInt32LE(0), cas);
    assert.equal(data.set("vm", "n", { value, cas: cas + 1 }), "cas_mismatch");
  }
});

test("the worker that registered a queue last is told, wherever the item comes from", () => {
  const directory = folder();
  const [a, b] = [map(directory, "a"), map(directory, "b")];
  const [ownerA, ownerB] = [new RecordingOwner(), new RecordingOwner()];
  const token = a.queues.register("vm", "q", ownerA) ?? 0;
  assert.equal(b.queues.register("vm", "q", ownerB), token);
  assert.equal(a.queues.enqueue(token, text("from a")), "ok");
  assert.equal(b.queues.enqueue(token, text("from b")), "ok");
  assert.deepEqual(a.told, [`b:${token}`]);
  b.queues.ready(token, 1);
  for (const worker of [a, b]) worker.run();
  assert.deepEqual(ownerA.told, []);
  assert.deepEqual(ownerB.told, [token, token]);
  assert.deepEqual(Buffer.from(a.queues.dequeue(token)), text("from a"));
  assert.deepEqual(Buffer.from(b.queues.dequeue(token)), text("from b"));
});

test("the worker that takes the place of a dead one is told of what was left", () => {
  const directory = folder();
  const [a, dead] = [map(directory, "a"), map(directory, "dead")];
  const token = dead.queues.register("vm", "q", new RecordingOwner()) ?? 0;
  a.queues.enqueue(token, text("one"));
  a.queues.enqueue(token, text("two"));
  const next = map(directory, "next");
  const owner = new RecordingOwner();
  next.queues.register("vm", "q", owner);
  next.run();
  assert.deepEqual(owner.told, [token, token]);
});

test("what belongs to a vm_id that is gone is erased, and nothing else", () => {
  const { file, data, queues } = map(folder());
  for (const vmId of ["gone", "kept"]) {
    data.set(vmId, "k", { value: text("v"), cas: 0 });
    data.set(vmId, "k".repeat(2_000), { value: text("v"), cas: 0 });
    queues.enqueue(queues.register(vmId, "q", new RecordingOwner()) ?? 0, text("x"));
  }
  file.write(100, (transaction) => {
    data.erase("gone", transaction);
    queues.erase("gone", transaction);
  });
  assert.equal(data.get("gone", "k"), null);
  assert.equal(data.get("gone", "k".repeat(2_000)), null);
  assert.equal(queues.resolve("gone", "q"), null);
  assert.equal(queues.dequeue(1), "unknown");
  assert.equal(data.get("kept", "k")?.cas, 1);
  assert.deepEqual(Buffer.from(queues.dequeue(2)), text("x"));
});

test("news of one turn for one worker travel in one message", () => {
  const clock = new FakeClock();
  const sent: unknown[] = [];
  const news = new QueueNews(clock, (worker, queues) => sent.push([worker, queues]));
  for (const token of [1, 2, 1]) news.add("b", token);
  news.add("c", 3);
  assert.deepEqual(sent, []);
  clock.advance(0);
  assert.deepEqual(sent, [
    [
      "b",
      [
        [1, 2],
        [2, 1],
      ],
    ],
    ["c", [[3, 1]]],
  ]);
});
