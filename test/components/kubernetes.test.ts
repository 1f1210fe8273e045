//! Against a real Kubernetes API server with etcd: our CRDs, and the controller that reads them.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findKubectl, Kubectl } from "../support/kubectl.ts";
import { KubernetesServer } from "../support/kubernetes.ts";

const CRDS = "generated/crds";
const SETS = ["graylane", "istio", "asm", "higress"];

let server: KubernetesServer;
let kubectl: Kubectl;

before(async () => {
  const [path, started] = await Promise.all([findKubectl(), KubernetesServer.start()]);
  server = started;
  kubectl = new Kubectl(path, server.directory);
  process.stdout.write(await kubectl.demand("version"));
});

after(async () => {
  await server.stop();
});

/** Applies a text. */
function apply(text: string, ...words: readonly string[]): ReturnType<Kubectl["run"]> {
  const file = join(server.directory, "applied.yaml");
  writeFileSync(file, text);
  return kubectl.run("apply", "-f", file, ...words);
}

async function demandApplied(text: string): Promise<void> {
  const { exitCode, stderr } = await apply(text);
  assert.equal(exitCode, 0, stderr);
}

test("our CRDs are taken, established, and have schemas without a fault", async () => {
  const files = SETS.flatMap((name) => ["-f", `${CRDS}/${name}.yaml`]);
  await kubectl.demand("apply", "--server-side", ...files);
  await kubectl.demand("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s");
  // A schema that is not structural is told by this condition.
  const path =
    "jsonpath={range .items[*].status.conditions[?(@.type=='NonStructuralSchema')]}{.message}{end}";
  assert.equal(await kubectl.demand("get", "crd", "-o", path), "");
  assert.match(await kubectl.demand("explain", "lanegroup.spec.context"), /routeHeader/);
});

const EXAMPLES = [
  ...["gateway", "services", "virtual-service", "lanes", "wasm"].map(
    (name) => `examples/asm-hash-tagging/${name}.yaml`,
  ),
  "examples/mse-order",
  "examples/canary-wishes",
];

test("the manifests of our examples apply as they are, unknown fields refused", async () => {
  await kubectl.demand("create", "namespace", "istio-system");
  for (const file of EXAMPLES) {
    await kubectl.demand("apply", "--dry-run=server", "--validate=strict", "-f", file);
  }
});

const GROUP = `apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: { name: shop, namespace: default }
spec:
  entry: { gateways: [{ name: shop }] }
  services: [{ name: cart }]
  context: { routeHeader: x-shop-lane }
`;
const LANE = `apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: { name: gray, namespace: default }
spec:
  group: shop
  selector: { matchLabels: { version: gray } }
`;

const REFUSED = [
  ["a field that is not known", `${LANE}  enabeld: true\n`, /unknown field "spec.enabeld"/],
  [
    "a field of the wrong type",
    `${LANE}  priority: high\n`,
    /spec\.priority.* must be of type int/,
  ],
  ["a missing field", LANE.replace("  group: shop\n", ""), /spec\.group: Required value/],
  ["a value out of its list", `${GROUP}  fallback: maybe\n`, /spec\.fallback: Unsupported value/],
  ["a name that is none", LANE.replace("shop", "Shop_1"), /spec\.group.* should match/],
  [
    "two fields of which one may be given",
    `${GROUP}  baseline: { lane: a, labelKeys: [b] }\n`,
    /needs at most one of labelKeys, lane/,
  ],
] as const;

for (const [what, text, why] of REFUSED) {
  test(`the API server refuses ${what}`, async () => {
    const { exitCode, stderr } = await apply(text, "--dry-run=server");
    assert.equal(exitCode, 1);
    assert.match(stderr, why);
  });
}

test("the API server fills our defaults and drops what it does not know", async () => {
  await demandApplied(GROUP);
  const { exitCode } = await apply(`${LANE}  enabeld: true\n`, "--validate=ignore");
  assert.equal(exitCode, 0);
  const lane = await kubectl.demand("get", "lane", "gray", "-o", "jsonpath={.spec}");
  assert.deepEqual(JSON.parse(lane), {
    ...{ group: "shop", selector: { matchLabels: { version: "gray" } } },
    ...{ enabled: true, priority: 0 },
  });
  const path = "jsonpath={.spec.fallback} {.spec.context.mode} {.spec.baseline}";
  assert.equal(
    await kubectl.demand("get", "lanegroup", "shop", "-o", path),
    "permissive header {}",
  );
  await kubectl.demand("delete", "lane,lanegroup", "--all");
});

test("fields of others' kinds that we do not know are kept", async () => {
  const text = readFileSync("examples/asm-hash-tagging/virtual-service.yaml", "utf8");
  assert.match(text, /^spec:$/m);
  await demandApplied(text.replace(/^spec:$/m, "spec:\n  somethingNew: { of: Istio }"));
  const path = "jsonpath={.items[*].spec.somethingNew.of}";
  const kept = await kubectl.demand("get", "vs", "-A", "-o", path);
  assert.equal(kept, "Istio");
  await kubectl.demand("delete", "vs", "--all", "-A");
});
