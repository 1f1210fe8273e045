import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../resources/object.ts";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import type { LaneContext } from "../snapshot/snapshot.ts";
import { compile } from "./compile.ts";

const CARRIED = "x-asm-prefer-tag";

/** `configuration`: fields beside the route header. */
const group = (configuration = "", services = "{name: a}", isPermissive = true): string => `
apiVersion: istio.alibabacloud.com/v1
kind: ASMSwimLaneGroup
metadata: {name: canary}
spec:
  isPermissive: ${isPermissive}
  permissiveModeConfiguration: {fallbackTarget: s1, routeHeader: ${CARRIED}${configuration}}
  services: [${services}]
---
apiVersion: istio.alibabacloud.com/v1
kind: ASMSwimLane
metadata: {name: s1, labels: {swimlane-group: canary}}
spec: {labelSelector: {ASM_TRAFFIC_TAG: v1}}
---
`;

const propagation = (spec: string): string => `
apiVersion: istio.alibabacloud.com/v1beta1
kind: ASMHeaderPropagation
metadata: {name: carry, namespace: default}
spec: ${spec}
---
`;

const label = (valueFrom: string, name = CARRIED, more = ""): string => `
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {name: carry, namespace: default}
spec:
  ${more}
  rules:
  - labels: [{name: ${name}, valueFrom: [${valueFrom}]}]
    attachTo: [opentracing]
---
`;

interface Outcome {
  readonly context: LaneContext | undefined;
  readonly told: readonly string[];
}

function run(...texts: readonly string[]): Outcome {
  const { documents } = parseManifests(texts.join(""), "t.yaml");
  const resources = documents.map(({ value, positionOf }): Resource => {
    const { resource, faults } = validateResource(value, positionOf);
    assert.ok(resource !== null, JSON.stringify(faults));
    return resource;
  });
  const { snapshot, messages } = compile({ resources, modules: new Map() });
  const told = messages
    .filter(({ code }) => code === "GL0362")
    .map(({ path, message }) => `${path}: ${message}`);
  return { context: snapshot.laneGroups["/canary"]?.context, told };
}

const BAGGAGE = {
  mode: "baggage",
  routeHeader: CARRIED,
  baggageKey: CARRIED,
  stripFromClients: true,
};
const HEADER = { mode: "header", routeHeader: CARRIED };
const traceId = (traceHeader: string): object => ({
  mode: "traceId",
  routeHeader: CARRIED,
  traceHeader,
});
const EXTERNAL = `"$getExternalInboundRequestHeader(X-Request-Id, ${CARRIED})"`;

const HONOURED: readonly (readonly [string, readonly string[], object])[] = [
  [
    "an ASMHeaderPropagation of the route header",
    [group(), propagation(`{headers: [${CARRIED}]}`)],
    BAGGAGE,
  ],
  [
    "an ASMHeaderPropagation beside traceHeader: baggage",
    [group(", traceHeader: baggage"), propagation(`{headers: [${CARRIED}]}`)],
    BAGGAGE,
  ],
  ["a TrafficLabel by a trace id", [group(), label(EXTERNAL)], traceId("x-request-id")],
  [
    "a TrafficLabel with the same trace id as the group's",
    [group(", traceHeader: x-request-id"), label(EXTERNAL)],
    traceId("x-request-id"),
  ],
  [
    "a TrafficLabel of the header itself",
    [group(), label(`"$getInboundRequestHeader(${CARRIED})"`)],
    HEADER,
  ],
  [
    "a TrafficLabel of the pods' label, in strict mode",
    [group("", "{name: a}", false), label("$getLabel(ASM_TRAFFIC_TAG)")],
    HEADER,
  ],
];

for (const [what, texts, expected] of HONOURED) {
  test(`${what} is the group's context`, () => {
    assert.deepEqual(run(...texts), { context: expected, told: [] });
  });
}

const NOT_HONOURED: readonly (readonly [string, readonly string[], object, RegExp])[] = [
  [
    "another header",
    [group(), propagation(`{headers: [version]}`)],
    HEADER,
    /^spec\.headers\[0\]: version is the route header of no lane group here, so it is not carried$/,
  ],
  [
    "other headers of a prefix",
    [group(), propagation(`{headerPrefix: [x-asm-]}`)],
    BAGGAGE,
    /^spec\.headerPrefix\[0\]: of the headers x-asm-… only x-asm-prefer-tag is carried/,
  ],
  [
    "a part of the workloads",
    [group(), propagation(`{workloadSelector: {labels: {app: a}}, headers: [${CARRIED}]}`)],
    HEADER,
    /does not get the baggage: .* a workloadSelector asks for it at some workloads only$/,
  ],
  [
    "a service of another namespace",
    [group("", "{name: a}, {name: b, namespace: far}"), propagation(`{headers: [${CARRIED}]}`)],
    HEADER,
    /its service far\/b is of another namespace$/,
  ],
  [
    "another mode than the group's",
    [group(", traceHeader: x-id"), propagation(`{headers: [${CARRIED}]}`)],
    traceId("x-id"),
    /ASMSwimLaneGroup \/canary carries its tag by the trace id in x-id, .* not the baggage$/,
  ],
  [
    "another trace id than the group's",
    [group(", traceHeader: x-id"), label(EXTERNAL)],
    traceId("x-id"),
    /by the trace id in x-id, and that counts, not the trace id in x-request-id$/,
  ],
  [
    "a label that is no route header",
    [group(), label(EXTERNAL, "x-other")],
    HEADER,
    /^spec\.rules\[0\]\.labels\[0\]\.name: x-other is the route header of no lane group here/,
  ],
  [
    "the pods' label in permissive mode",
    [group(), label("$getLabel(ASM_TRAFFIC_TAG)")],
    HEADER,
    /valueFrom\[0\]: the calling pod's label ASM_TRAFFIC_TAG decides no lane in \/canary/,
  ],
  [
    "a value from elsewhere",
    [group(), label("$getInboundRequestHeader(x-user)")],
    HEADER,
    /\$getInboundRequestHeader\(x-user\) has no effect on x-asm-prefer-tag: /,
  ],
];

for (const [what, texts, context, expected] of NOT_HONOURED) {
  test(`${what}: what is not honoured is told exactly`, () => {
    const outcome = run(...texts);
    assert.deepEqual(outcome.context, context);
    assert.equal(outcome.told.length, 1, outcome.told.join("\n"));
    assert.match(outcome.told[0] ?? "", expected);
  });
}

test("a LaneGroup's own mode counts, and the other is told", () => {
  const own = `
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: shop, namespace: default}
spec:
  entry: {gateways: [{name: gw}]}
  services: [{name: a}]
  baseline: {}
  context: {routeHeader: ${CARRIED}}
---
`;
  const { told } = run(own, propagation(`{headers: [${CARRIED}]}`));
  assert.match(told[0] ?? "", /the LaneGroup default\/shop carries its tag by the header .* alone/);
});

test("an ASMHeaderPropagation that names no header is refused", () => {
  const [document] = parseManifests(propagation("{}"), "t.yaml").documents;
  const { faults } = validateResource(document?.value, document?.positionOf);
  assert.deepEqual(
    faults.map(({ code, path }) => [code, path]),
    [["GL0104", "spec.headers"]],
  );
});
