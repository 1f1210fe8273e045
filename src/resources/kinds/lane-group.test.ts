import assert from "node:assert/strict";
import { test } from "node:test";
import { parseManifests } from "../parse.ts";
import { validateResource } from "../validate.ts";

/** `line:column code path` of every fault. */
function faultsOf(trace: string): string[] {
  const text = `apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: shop}
spec:
  entry: {gateways: [{name: gw}]}
  services: [{name: a}]
  context: {routeHeader: x-lane}
  ${trace}`;
  const [document] = parseManifests(text, "t.yaml").documents;
  assert.ok(document !== undefined);
  return validateResource(document.value, document.positionOf).faults.map(
    ({ position, code, path }) => `${position?.line ?? 0}:${position?.column ?? 0} ${code} ${path}`,
  );
}

const tooMany = Array.from({ length: 101 }, (_none, at) => `10.0.0.${at}`).join(", ");
const cases = [
  { trace: "trace: {allowFrom: [10.0.0.0/8, 192.0.2.7, '2001:db8::/32', '::1']}", want: [] },
  { trace: "trace: {allowFrom: []}", want: [] },
  { trace: "trace: {}", want: ["8:10 GL0104 spec.trace.allowFrom"] },
  { trace: "trace: {tokenFrom: {secretName: s, key: token}}", want: [] },
  { trace: "trace: {allowFrom: [], tokenFrom: {secretName: s, key: token}}", want: [] },
  {
    trace: "trace: {tokenFrom: {secretName: S_}}",
    want: ["8:22 GL0104 spec.trace.tokenFrom.key", "8:35 GL0113 spec.trace.tokenFrom.secretName"],
  },
  {
    trace: "trace: {allowFrom: [10.0.0.0/8, 10.0.0.0/33, office]}",
    want: ["8:35 GL0113 spec.trace.allowFrom[1]", "8:48 GL0113 spec.trace.allowFrom[2]"],
  },
  { trace: `trace: {allowFrom: [${tooMany}]}`, want: ["8:22 GL0111 spec.trace.allowFrom"] },
];
for (const { trace, want } of cases) {
  const says = want.length === 0 ? "is taken" : `is refused at ${want.join(" and ")}`;
  test(`a lane group with ${trace.slice(0, 70)} ${says}`, () => {
    assert.deepEqual(faultsOf(trace), want);
  });
}
