import assert from "node:assert/strict";
import { test } from "node:test";
import { validateResource } from "../validate.ts";

function faultsOf(kind: "Lane" | "LaneGroup", ratio: unknown): string[] {
  const specs = {
    Lane: { group: "shop", selector: { matchLabels: { lane: "a" } } },
    LaneGroup: {
      entry: { gateways: [{ name: "edge" }] },
      services: [{ name: "cart" }],
      baseline: {},
      context: { mode: "header", routeHeader: "x-lane" },
    },
  };
  const { faults } = validateResource({
    ...{ apiVersion: "graylane.io/v1alpha1", kind, metadata: { name: "a", namespace: "default" } },
    spec: { ...specs[kind], ratio },
  });
  return faults.map(({ code, path }) => `${code} ${path}`);
}

const key = { header: "x-user-id" };

const cases: readonly (readonly ["Lane" | "LaneGroup", unknown, readonly string[]])[] = [
  ["Lane", { percent: "1‰" }, []],
  ["Lane", { ppm: 1_000 }, []],
  ["Lane", { routes: [{ virtualService: "shop", percent: "1%" }] }, []],
  ["Lane", {}, ["GL0104 spec.ratio"]],
  ["Lane", { percent: 30 }, ["GL0103 spec.ratio.percent"]],
  ["Lane", { percent: "150%" }, ["GL0113 spec.ratio.percent"]],
  ["Lane", { ppm: 1_000_001 }, ["GL0111 spec.ratio.ppm"]],
  ["Lane", { percent: "1%", ppm: 1 }, ["GL0114 spec.ratio"]],
  ["Lane", { routes: [{ virtualService: "shop" }] }, ["GL0114 spec.ratio.routes[0]"]],
  ["LaneGroup", {}, []],
  ["LaneGroup", { key, salt: "spring" }, []],
  ["LaneGroup", { key: { issuedCookie: {} } }, []],
  ["LaneGroup", { key: { clientIp: {} }, hash: "fnv1a", modulo: 1_000 }, []],
  ["LaneGroup", { sticky: true }, ["GL0104 spec.ratio.key"]],
  ["LaneGroup", { key: { header: "a", cookie: "b" } }, ["GL0114 spec.ratio.key"]],
  ["LaneGroup", { key, hash: "md5", salt: "spring" }, ["GL0105 spec.ratio.hash"]],
  ["LaneGroup", { key, hash: "fnv1a", salt: "spring" }, ["GL0119 spec.ratio.salt"]],
  ["LaneGroup", { key, hash: "unleash" }, ["GL0104 spec.ratio.salt"]],
  ["LaneGroup", { key, modulo: 100 }, ["GL0119 spec.ratio.modulo"]],
  ["LaneGroup", { key, hash: "fnv1a", modulo: 7 }, ["GL0113 spec.ratio.modulo"]],
  ["LaneGroup", { key, salt: "s".repeat(254) }, ["GL0113 spec.ratio.salt"]],
];

for (const [kind, ratio, want] of cases) {
  const what = JSON.stringify(ratio).slice(0, 90);
  test(`the ratio ${what} of a ${kind} is ${want.length === 0 ? "right" : "refused"}`, () => {
    assert.deepEqual(faultsOf(kind, ratio), want);
  });
}
