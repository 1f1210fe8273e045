import assert from "node:assert/strict";
import { test } from "node:test";
import type { RuntimeStatus, WorkerStatus } from "../../src/api/types.ts";
import { explainUnsettled } from "./settled.ts";

const gateway: WorkerStatus = {
  id: "gateway-1",
  role: "gateway",
  pid: 1,
  state: "ready",
  snapshotVersion: "b",
  restartCount: 0,
  message: "",
};

const status: RuntimeStatus = {
  version: "0.1.0",
  pid: 1,
  startedAt: "2026-11-21T08:00:00Z",
  stateDirectory: "/state",
  resourceVersion: "12",
  snapshot: { version: "b", resourceVersion: "10", publishedAt: "", messages: [] },
  workers: [gateway],
  listeners: [],
  envoys: [],
  damaged: [],
};

const cases = [
  { claim: "a snapshot that holds the revision everywhere is settled", change: {}, says: "" },
  {
    claim: "no snapshot is not settled",
    change: { snapshot: null },
    says: "there is no snapshot yet",
  },
  {
    claim: "a worker that serves the one before is named",
    change: { workers: [gateway, { ...gateway, id: "sidecar-1", snapshotVersion: "a" }] },
    says: "sidecar-1 is ready",
  },
  {
    claim: "a worker that is not ready is named with its reason",
    change: {
      workers: [gateway, { ...gateway, id: "sidecar-1", state: "stale", message: "slow" }],
    },
    says: "sidecar-1 is stale: slow",
  },
  {
    claim: "without a gateway worker nothing is settled",
    change: { workers: [] },
    says: "there is no gateway worker",
  },
] satisfies { claim: string; change: Partial<RuntimeStatus>; says: string }[];

for (const { claim, change, says } of cases) {
  test(claim, () => {
    assert.equal(explainUnsettled({ ...status, ...change }, "9"), says);
  });
}

test("an older snapshot than the write is not settled, compared as numbers", () => {
  const says = "the snapshot holds revision 10, not 11";
  assert.equal(explainUnsettled(status, "11"), says);
  assert.equal(explainUnsettled(status, "9"), "");
});
