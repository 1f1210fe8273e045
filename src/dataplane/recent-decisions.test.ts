import assert from "node:assert/strict";
import { test } from "node:test";
import type { ExchangeRecord } from "./observer.ts";
import { RECENT_CHARS_MAX, RecentDecisions } from "./recent-decisions.ts";
import type { RecentClause } from "./recent-decisions.ts";

const RECORD: ExchangeRecord = {
  ...{ role: "gateway", startMs: 0, method: "GET", path: "/cart?x=1", protocol: "HTTP/1.1" },
  ...{ status: 200, flags: "", bytesReceived: 0, bytesSent: 0, durationMs: 1, upstreamMs: 1 },
  ...{ forwardedFor: "203.0.113.9", userAgent: "", requestId: "r", headers: [] },
  ...{ authority: "shop", upstream: "", cluster: "", route: "default/vs/http[0]" },
  ...{ laneGroup: "default/shop", lane: "gray", reason: "rule", fallback: "" },
  ...{ service: "", servedLane: "gray", fallbackReason: "", attempts: 1 },
};

function add(recent: RecentDecisions, user: string, more: Partial<ExchangeRecord> = {}): void {
  const client = { names: ["x-user-id"], values: [user], snapshotVersion: "s1", traceId: "" };
  recent.add({ ...RECORD, ...more }, client);
}

function users(
  recent: RecentDecisions,
  where: readonly RecentClause[] = [],
  limit = 100,
): string[] {
  return recent.search({ where, limit }).decisions.map(({ headers }) => headers[0]?.[1] ?? "");
}

test("the newest come first, and the oldest give way", () => {
  const recent = new RecentDecisions(3);
  for (const user of ["1", "2", "3", "4"]) add(recent, user);
  assert.deepEqual(users(recent), ["4", "3", "2"]);
  assert.deepEqual(users(recent, [], 1), ["4"]);
  const { keptCount, seenCount } = recent.search({ where: [], limit: 1 });
  assert.deepEqual([keptCount, seenCount], [3, 4]);
});

const FOUND: readonly (readonly [clause: RecentClause, users: readonly string[]])[] = [
  [{ field: "header.x-user-id", operator: "=", value: "4711" }, ["4711"]],
  [{ field: "header.X-User-Id", operator: "~", value: "71" }, ["4711"]],
  [{ field: "header.other", operator: "~", value: "" }, []],
  [{ field: "lane", operator: "=", value: "baseline" }, ["5"]],
  [{ field: "path", operator: "~", value: "x=1" }, ["5", "4711"]],
  [{ field: "status", operator: "=", value: "503" }, ["5"]],
  [{ field: "nonsense", operator: "=", value: "" }, []],
];

for (const [clause, expected] of FOUND) {
  const text = `${clause.field}${clause.operator}${clause.value}`;
  test(`${text} finds ${expected.join() || "none"}`, () => {
    const recent = new RecentDecisions(10);
    add(recent, "4711");
    add(recent, "5", { lane: "", status: 503 });
    assert.deepEqual(users(recent, [clause]), expected);
  });
}

test("large requests shorten the list, and the newest stays however large", () => {
  const recent = new RecentDecisions(100);
  const large = "x".repeat(RECENT_CHARS_MAX / 4);
  for (let count = 0; count < 20; count += 1) add(recent, large);
  assert.equal(recent.search({ where: [], limit: 100 }).keptCount, 3);
  add(recent, "y".repeat(2 * RECENT_CHARS_MAX));
  assert.equal(recent.search({ where: [], limit: 100 }).keptCount, 1);
});
