import assert from "node:assert/strict";
import { test } from "node:test";

import type { Endpoint } from "../../snapshot/snapshot.ts";
import type { OutlierDetection } from "../../snapshot/routing.ts";
import { ClusterState } from "./cluster-state.ts";
import { Outliers } from "./outliers.ts";

const SETTINGS: OutlierDetection = {
  consecutive5xx: 3,
  consecutiveGatewayErrors: 2,
  intervalMs: 1_000,
  baseEjectionMs: 10_000,
  ejectedPercentMax: 50,
  healthyPercentMin: 0,
};
const set: readonly Endpoint[] = [1, 2, 3, 4].map((host) => ({
  address: `10.0.0.${host}`,
  port: 80,
  pod: "",
  labels: {},
}));
const [a, b, c] = set as [Endpoint, Endpoint, Endpoint];

function fail(outliers: Outliers, endpoint: Endpoint, nowMs: number): void {
  for (let count = 0; count < 2; count++) outliers.record(endpoint, null, set, nowMs);
}

test("errors in a row eject an endpoint for its time", () => {
  const outliers = new Outliers(SETTINGS);
  for (const status of [500, 501]) outliers.record(a, status, set, 0);
  assert.equal(outliers.isEjected(a, 0), false);
  outliers.record(a, 500, set, 0);
  assert.equal(outliers.isEjected(a, 9_999), true);
  assert.equal(outliers.isEjected(a, 10_000), false);
  assert.equal(outliers.isEjected(b, 0), false);
});

test("a good answer between errors begins the count anew, and a 404 is a good one", () => {
  const outliers = new Outliers(SETTINGS);
  for (const status of [500, 500, 404, 500, 500]) outliers.record(a, status, set, 0);
  assert.equal(outliers.isEjected(a, 0), false);
});

test("gateway errors have a count of their own", () => {
  const outliers = new Outliers(SETTINGS);
  for (const status of [503, 502]) outliers.record(a, status, set, 0);
  assert.equal(outliers.isEjected(a, 0), true);
});

test("an endpoint that fails again at once stays out longer", () => {
  const outliers = new Outliers(SETTINGS);
  fail(outliers, a, 0);
  fail(outliers, a, 10_000);
  assert.equal(outliers.isEjected(a, 29_999), true);
  assert.equal(outliers.isEjected(a, 30_000), false);
});

test("no more than the given share is ejected, but the first may go", () => {
  const outliers = new Outliers(SETTINGS);
  for (const endpoint of [a, b, c]) fail(outliers, endpoint, 0);
  assert.deepEqual(
    set.map((endpoint) => outliers.isEjected(endpoint, 0)),
    [true, true, false, false],
  );
  const strict = new Outliers({ ...SETTINGS, ejectedPercentMax: 10 });
  for (const endpoint of [a, b]) fail(strict, endpoint, 0);
  assert.deepEqual([strict.isEjected(a, 0), strict.isEjected(b, 0)], [true, false]);
});

test("with too few left the ejections are disregarded", () => {
  const outlierSettings = { ...SETTINGS, healthyPercentMin: 60 };
  const known = { ejected: new Map<string, number>(), health: null };
  const state = new ClusterState({ outliers: outlierSettings }, 0, known);
  const { outliers } = state;
  assert.ok(outliers !== null);
  fail(outliers, a, 0);
  assert.equal(state.next(set, 0, 0), 1);
  fail(outliers, b, 0);
  assert.equal(state.next(set, 0, 0), 0);
});
