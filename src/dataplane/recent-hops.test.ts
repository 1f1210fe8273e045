import assert from "node:assert/strict";
import { test } from "node:test";
import { Headers } from "../http/headers.ts";
import type { ExchangeRecord } from "./observer.ts";
import { HOPS_FOUND_MAX, RecentHops, idsOf } from "./recent-hops.ts";
import type { HopIds, HopNote } from "./recent-hops.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";

function record(changes: Partial<ExchangeRecord> = {}): ExchangeRecord {
  const decided = { laneGroup: "default/shop", lane: "gray", reason: "forced", fallback: "" };
  const called = { service: "default/b", servedLane: "gray", fallbackReason: "", status: 200 };
  return { role: "outbound", startMs: 1, ...decided, ...called, ...changes } as ExchangeRecord;
}

function note(ids: Partial<HopIds>, changes: Partial<HopNote> = {}): HopNote {
  const all = { requestId: "", traceId: "", ...ids };
  return { pod: "default/a-1", isInferred: false, startedMs: 0, ids: all, ...changes };
}

function servicesOf(hops: RecentHops, ids: Partial<HopIds>): string[] {
  return hops.find(note(ids).ids).map(({ service }) => service);
}

test("a hop is found by the id of its request and by that of its trace, by nothing else", () => {
  const hops = new RecentHops(10);
  hops.add(record({ service: "a" }), note({ requestId: "r1" }));
  hops.add(record({ service: "b" }), note({ traceId: TRACE }));
  hops.add(record({ service: "c" }), note({ requestId: "r2", traceId: "other" }));
  hops.add(record({ service: "d" }), note({}));
  assert.deepEqual(servicesOf(hops, { requestId: "r1" }), ["a"]);
  assert.deepEqual(servicesOf(hops, { requestId: "r1", traceId: TRACE }), ["a", "b"]);
  assert.deepEqual(servicesOf(hops, { requestId: TRACE, traceId: "r2" }), []);
  assert.deepEqual(servicesOf(hops, {}), []);
});

test("what came in names the pod, and no service that it calls", () => {
  const hops = new RecentHops(10);
  hops.add(record({ role: "inbound", service: "of pod default/a-1" }), note({ requestId: "r" }));
  const [hop] = hops.find({ requestId: "r", traceId: "" });
  assert.deepEqual(
    [hop?.role, hop?.pod, hop?.service, hop?.servedLane, hop?.lane],
    ["inbound", "default/a-1", "", "", "gray"],
  );
});

test("hops are told in the order in which they began, not in which they ended", () => {
  const hops = new RecentHops(10);
  const began = [3, 1, 2];
  for (const startedMs of began) {
    const service = String(startedMs);
    hops.add(record({ service }), note({ requestId: "r" }, { startedMs }));
  }
  assert.deepEqual(servicesOf(hops, { requestId: "r" }), ["1", "2", "3"]);
});

test("the oldest hops give way, and one answer has its limit", () => {
  const hops = new RecentHops(2);
  for (const service of ["a", "b", "c"]) hops.add(record({ service }), note({ requestId: "r" }));
  assert.deepEqual(servicesOf(hops, { requestId: "r" }).sort(), ["b", "c"]);
  const many = new RecentHops(HOPS_FOUND_MAX + 1);
  for (let index = 0; index <= HOPS_FOUND_MAX; index += 1) {
    many.add(record(), note({ requestId: "r" }));
  }
  assert.equal(servicesOf(many, { requestId: "r" }).length, HOPS_FOUND_MAX);
});

for (const [fields, want] of [
  [{}, { requestId: "", traceId: "" }],
  [{ "x-request-id": "r" }, { requestId: "r", traceId: "" }],
  [{ "x-request-id": "r".repeat(129) }, { requestId: "", traceId: "" }],
  [{ traceparent: `00-${TRACE}-00f067aa0ba902b7-01` }, { requestId: "", traceId: TRACE }],
  [{ traceparent: "00-zz-00f067aa0ba902b7-01" }, { requestId: "", traceId: "" }],
] as const) {
  test(`the ids of ${JSON.stringify(fields).slice(0, 60)}`, () => {
    const headers = new Headers();
    for (const [name, value] of Object.entries(fields)) headers.add(name, value);
    assert.deepEqual(idsOf(headers), want);
  });
}
