import assert from "node:assert/strict";
import { test } from "node:test";

import {
  TRACE_TTL_MS,
  TraceTable,
  carriedHeaderOf,
  contextTag,
  outboundTag,
  traceHeaderOf,
  traceKeyOf,
} from "./context.ts";
import { prepareLaneGroup } from "./decide.ts";
import type { LaneContext } from "../snapshot/snapshot.ts";

function groupWith(context: LaneContext): ReturnType<typeof prepareLaneGroup> {
  return prepareLaneGroup({
    name: "/canary",
    source: { kind: "ASMSwimLaneGroup", namespace: "", name: "canary" },
    gateways: [],
    services: [],
    baseline: { kind: "lane", lane: "s1" },
    fallback: "permissive",
    serviceFallback: {},
    context,
    stripFromClients: false,
    lanes: [],
  });
}

test("a key is known while in flight and for a minute after the last exchange has ended", () => {
  const table = new TraceTable();
  table.begin("jack", "s2", 0);
  table.begin("jack", "s2", 10);
  table.end("jack", 20);
  assert.equal(table.lookup("jack", 10 * TRACE_TTL_MS), "s2", "one is still in flight");
  table.end("jack", 1_000);
  assert.equal(table.lookup("jack", 1_000 + TRACE_TTL_MS - 1), "s2");
  assert.equal(table.lookup("jack", 1_000 + TRACE_TTL_MS), undefined);
  assert.equal(table.size, 0);
});

test("of two exchanges in flight with different lanes the newest wins and is counted", () => {
  const table = new TraceTable();
  table.begin("jack", "s1", 0);
  table.begin("jack", "s1", 1);
  assert.equal(table.conflicts, 0);
  table.begin("jack", "s2", 2);
  assert.equal(table.lookup("jack", 3), "s2");
  assert.equal(table.conflicts, 1);
});

test("a later exchange in another lane is no conflict, and null overrides a lane", () => {
  const table = new TraceTable();
  table.begin("jack", "s2", 0);
  table.end("jack", 1);
  table.begin("jack", null, 2);
  assert.equal(table.lookup("jack", 3), null);
  assert.equal(table.conflicts, 0);
});

test("a full table evicts the longest idle and never one in flight", () => {
  const table = new TraceTable(2);
  table.begin("a", "s1", 0);
  table.begin("b", "s1", 0);
  table.end("b", 1);
  assert.equal(table.begin("c", "s2", 2), true);
  assert.equal(table.lookup("b", 2), undefined);
  assert.equal(table.lookup("a", 2), "s1");
  assert.equal(table.begin("d", "s2", 2), false);
  assert.equal(table.overflow, 1);
  assert.equal(table.size, 2);
});

test("an end without a begin changes nothing", () => {
  const table = new TraceTable();
  table.end("a", 0);
  table.begin("a", "s1", 0);
  table.end("a", 1);
  table.end("a", 50_000);
  assert.equal(table.lookup("a", TRACE_TTL_MS + 1), undefined);
});

test("a key that is used again is kept a minute from its last end", () => {
  const table = new TraceTable();
  for (const startMs of [0, 50_000, 100_000]) {
    table.begin("a", "s1", startMs);
    table.end("a", startMs + 1);
  }
  table.begin("b", "s1", 60_000);
  assert.equal(table.lookup("a", 150_000), "s1");
});

test("in trace-id mode a call's tag comes from its route header, else from the table", () => {
  const context = { mode: "traceId", routeHeader: "x-asm-prefer-tag", traceHeader: "X-User-Id" };
  const group = groupWith(context as LaneContext);
  const table = new TraceTable();
  table.begin("jack", "s2", 0);
  const tag = (headers: Record<string, string>) =>
    outboundTag(group, (name) => headers[name], table, 1);
  assert.equal(traceHeaderOf(group), "x-user-id");
  assert.equal(tag({ "x-user-id": "jack" }), "s2");
  assert.equal(tag({ "x-user-id": "jack", "x-asm-prefer-tag": "s1" }), "s1");
  assert.equal(tag({ "x-user-id": "bob" }), undefined);
  assert.equal(tag({}), undefined);
});

test("in baggage mode the tag is a member's value, and the route header goes before it", () => {
  const group = groupWith({
    mode: "baggage",
    routeHeader: "x-tag",
    baggageKey: "lane.g",
    stripFromClients: true,
  });
  const tag = (headers: Record<string, string>): string | undefined =>
    contextTag(group, (name) => headers[name]);
  assert.equal(tag({ baggage: "user=1,lane.g=gray;p" }), "gray");
  assert.equal(tag({ baggage: "lane.g=gray", "x-tag": "blue" }), "blue");
  assert.equal(tag({ baggage: "lane.h=gray", "x-tag": "" }), undefined);
  assert.equal(tag({ baggage: "lane.g=" }), undefined);
  assert.equal(tag({ baggage: "lane.g=gray%20lane" }), "gray lane");
  // Of these none can be a lane's, and some would end the header field that they are written to.
  for (const text of ["a%0D%0Ahost:%20b", "a%0Ab", "%20a", "a%20", "a%00", "%E7%81%B0", "\u00e9"]) {
    assert.equal(tag({ baggage: `lane.g=${text}` }), undefined, text);
  }
  assert.equal(carriedHeaderOf(group), "baggage");
});

test("several fields of a name and one with a list are alike: the first value counts", () => {
  const group = groupWith({ mode: "traceId", routeHeader: "x-tag", traceHeader: "x-user" });
  const table = new TraceTable();
  table.begin("jack", "s2", 0);
  assert.equal(
    contextTag(group, (name) => (name === "x-tag" ? "s1 , s2" : undefined)),
    "s1",
  );
  const header = (name: string): string | undefined => (name === "x-user" ? "jack, b" : undefined);
  assert.equal(outboundTag(group, header, table, 1), "s2");
});

const TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceKeys = [
  { name: "traceparent", value: `00-${TRACE_ID}-00f067aa0ba902b7-01`, want: TRACE_ID },
  { name: "traceparent", value: "nonsense", want: undefined },
  { name: "b3", value: `${TRACE_ID}-00f067aa0ba902b7-1`, want: TRACE_ID },
  { name: "b3", value: "0", want: undefined },
  { name: "uber-trace-id", value: `${TRACE_ID}:00f067aa0ba902b7:0:1`, want: TRACE_ID },
  { name: "uber-trace-id", value: `${TRACE_ID}%3A00f067aa0ba902b7%3A0%3A1`, want: TRACE_ID },
  { name: "sw8", value: "1-dHJhY2U=-c2Vn-0-a-b-c-d", want: "dHJhY2U=" },
  { name: "x-request-id", value: "4711-a:b", want: "4711-a:b" },
  { name: "x-request-id", value: "x".repeat(257), want: undefined },
  { name: "x-request-id", value: "", want: undefined },
];

for (const { name, value, want } of traceKeys) {
  test(`the key of ${name}: ${value.slice(0, 40)} is ${want ?? "none"}`, () => {
    const group = groupWith({ mode: "traceId", routeHeader: "x-tag", traceHeader: name });
    assert.equal(
      traceKeyOf(group, (asked) => (asked === name ? value : undefined)),
      want,
    );
  });
}

test("in header mode the table is not asked", () => {
  const group = groupWith({ mode: "header", routeHeader: "x-mse-tag" });
  const table = new TraceTable();
  table.begin("gray", "gray", 0);
  assert.equal(traceHeaderOf(group), null);
  assert.equal(
    outboundTag(group, () => undefined, table, 1),
    undefined,
  );
});
