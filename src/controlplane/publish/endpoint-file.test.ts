import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { diffSnapshots } from "../../snapshot/delta.ts";
import type { EndpointList } from "../../snapshot/endpoint-list.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import { EndpointFile } from "./endpoint-file.ts";
import { CLUSTER, snapshotOf } from "./testing.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "graylane-endpoint-file-"));
  path = join(folder, "agent", "endpoints.json");
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const fileOf = (clock = new FakeClock(), hasReaders = false): EndpointFile =>
  new EndpointFile({ path, clock, logger: silentLogger, hasReaders: () => hasReaders });
const read = (): EndpointList => JSON.parse(readFileSync(path, "utf8")) as EndpointList;

test("what agents need is written whole, for its owner only, and by deltas", async () => {
  const file = fileOf();
  const first = snapshotOf(["gray"]);
  assert.deepEqual(await file.push(diffSnapshots(EMPTY_SNAPSHOT, first)), { ok: true });
  assert.equal(file.heldVersion, first.version);
  assert.deepEqual(
    read().endpoints[CLUSTER]?.endpoints.map(({ pod }) => pod),
    ["default/a-gray"],
  );
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const second = snapshotOf(["gray", "blue"]);
  await file.push(diffSnapshots(first, second));
  assert.deepEqual(Object.values(read().laneGroups)[0]?.lanes.length, 2);
  assert.equal(file.heldVersion, second.version);
});

test("a change that agents do not need writes no other list", async () => {
  const file = fileOf();
  const first = snapshotOf(["gray"]);
  await file.push(diffSnapshots(EMPTY_SNAPSHOT, first));
  const { ino } = statSync(path);
  await file.push(diffSnapshots(first, { ...first, version: "other", workloads: {} }));
  assert.equal(statSync(path).ino, ino);
  assert.equal(file.heldVersion, "other");
});

test("a change waits until the agents have looked, where there are any", async () => {
  const clock = new FakeClock();
  const file = fileOf(clock, true);
  const state: { isTold: boolean } = { isTold: false };
  const told = file.push(diffSnapshots(EMPTY_SNAPSHOT, snapshotOf(["gray"]))).then(() => {
    state.isTold = true;
  });
  const isWritten = (): boolean => existsSync(path) && !existsSync(`${path}.new`);
  while (!isWritten() || clock.pendingCount === 0) await new Promise(setImmediate);
  assert.equal(state.isTold, false);
  clock.advance(1_000);
  await told;
  assert.ok(state.isTold);
});

test("keys of signed lanes are in the file and not in what is handed out otherwise", async () => {
  const file = fileOf();
  const plain = snapshotOf(["gray"]);
  const [name = "", group] = Object.entries(plain.laneGroups)[0] ?? [];
  const signature = { keys: [{ id: "k", signingSecret: "c2VjcmV0" }], epoch: 0, lifetimeMs: 1 };
  const snapshot = {
    ...plain,
    version: "signed",
    laneGroups: { [name]: { ...group!, signature } },
  };
  await file.push(diffSnapshots(EMPTY_SNAPSHOT, snapshot));
  assert.match(readFileSync(path, "utf8"), /c2VjcmV0/);
  assert.doesNotMatch(JSON.stringify(file.keylessList), /c2VjcmV0/);
});

test("the file's time is renewed every ten seconds", async () => {
  const clock = new FakeClock();
  const file = fileOf(clock);
  await file.push(diffSnapshots(EMPTY_SNAPSHOT, snapshotOf(["gray"])));
  file.start();
  clock.advance(10_000);
  while (statSync(path).mtimeMs !== clock.nowMs()) await new Promise(setImmediate);
  file.stop();
});
