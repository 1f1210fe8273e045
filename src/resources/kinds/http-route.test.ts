import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManifests } from "../parse.ts";
import { validateResource } from "../validate.ts";

const PLACE = "spec.rules[0].timeouts.backendRequest";

for (const [timeouts, want] of [
  ["{request: 1s, backendRequest: 1001ms}", [`GL0111 ${PLACE}`]],
  ["{request: 1s, backendRequest: 1000ms}", []],
  ["{request: 1s}", []],
  ["{backendRequest: 1h}", []],
  ["{request: 0s, backendRequest: 1h}", []],
  ["{request: 1s, backendRequest: soon}", [`GL0113 ${PLACE}`]],
] as const) {
  test(`timeouts ${timeouts} are ${want.length === 0 ? "taken" : "refused"}`, () => {
    const text = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: a}
spec:
  parentRefs: [{name: g}]
  rules: [{backendRefs: [{name: s, port: 80}], timeouts: ${timeouts}}]`;
    const [first] = parseManifests(text, "t.yaml").documents;
    assert.ok(first !== undefined);
    const { faults } = validateResource(first.value, first.positionOf);
    assert.deepEqual(
      faults.map(({ code, path }) => `${code} ${path}`),
      want,
    );
  });
}
