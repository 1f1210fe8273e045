import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "../resources/object.ts";
import { compile } from "./compile.ts";
import type { CompileResult } from "./compile.ts";

const CLUSTER = "outbound|80||cart.default.svc.cluster.local";
const service: Resource = {
  ...{ apiVersion: "v1", kind: "Service", metadata: { name: "cart", namespace: "default" } },
  spec: {
    type: "ClusterIP",
    selector: { app: "cart" },
    ports: [{ port: 80, targetPort: 8080, protocol: "TCP" }],
  },
};

function compiled(annotations: Readonly<Record<string, string>>, phase = "Running"): CompileResult {
  const labels = { app: "cart" };
  const pod: Resource = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "cart-1", namespace: "default", labels, annotations },
    spec: { containers: [] },
    status: { phase, podIP: "10.1.0.7", conditions: [{ type: "Ready", status: "True" }] },
  };
  return compile({ resources: [service, pod], modules: new Map() });
}

const outbound = { "graylane.io/outbound-port": "15001" };
const inbound = (text: string): Record<string, string> => ({
  ...outbound,
  "graylane.io/inbound-ports": text,
});

test("a Pod that was injected is called at its sidecar's port, which knows the app's", () => {
  const { snapshot, messages } = compiled(inbound("15101=9090, 15100=8080"));
  assert.deepEqual(snapshot.workloads["default/cart-1"], {
    ...{ sidecar: "envoy", name: "cart-1", namespace: "default", labels: { app: "cart" } },
    address: "10.1.0.7",
    inbound: [
      { port: 15_100, appAddress: "127.0.0.1", appPort: 8080, dialledPort: 8080 },
      { port: 15_101, appAddress: "127.0.0.1", appPort: 9090, dialledPort: 9090 },
    ],
    outbound: { address: "127.0.0.1", port: 15_001 },
  });
  assert.equal(snapshot.endpoints[CLUSTER]?.endpoints[0]?.port, 15_100);
  assert.deepEqual(messages, []);
});

test("a port that the sidecar does not have is called at the app", () => {
  const { snapshot } = compiled(inbound("15101=9090"));
  assert.equal(snapshot.endpoints[CLUSTER]?.endpoints[0]?.port, 8080);
  assert.ok("default/cart-1" in snapshot.workloads);
});

test("a Pod that has ended has no sidecar any more, although it has an address", () => {
  for (const phase of ["Succeeded", "Failed"]) {
    const { snapshot, messages } = compiled(inbound("15100=8080"), phase);
    assert.deepEqual([snapshot.workloads, messages], [{}, []]);
  }
});

test("what the local cluster says of its Pod's sidecar counts, not what a template brought", () => {
  const local = {
    "local.graylane.io/ports": '{"8080":"127.64.0.1:1234"}',
    "local.graylane.io/outbound": "127.0.0.1:2345",
  };
  const { snapshot } = compiled({ ...inbound("15100=8080"), ...local });
  assert.equal(snapshot.endpoints[CLUSTER]?.endpoints[0]?.port, 8080);
  assert.equal(snapshot.workloads["default/cart-1"]?.outbound.port, 2345);
  // In the local cluster a Pod may have none at all.
  const none = compiled({ ...inbound("15100=8080"), "local.graylane.io/ports": "{}" });
  assert.deepEqual(none.snapshot.workloads, {});
});

const UNREADABLE: Readonly<Record<string, Record<string, string>>> = {
  "a word for the outbound port": { "graylane.io/outbound-port": "yes" },
  "a port beyond the last": inbound("15100=65536"),
  "a port without the app's": inbound("15100"),
  "three ports in one": inbound("15100=8080=1"),
  "one port for two of the app's": inbound("15100=8080,15100=9090"),
  "the outbound port once more": inbound("15001=8080"),
  "more ports than a Pod has": inbound(
    Array.from({ length: 101 }, (_, at) => `${at + 1}=80`).join(","),
  ),
};

for (const [what, annotations] of Object.entries(UNREADABLE)) {
  test(`annotations that cannot be read are a message, and calls reach the app: ${what}`, () => {
    const { snapshot, messages } = compiled(annotations);
    assert.deepEqual(snapshot.workloads, {});
    assert.equal(snapshot.endpoints[CLUSTER]?.endpoints[0]?.port, 8080);
    assert.deepEqual(
      messages.map(({ code }) => code),
      ["GL0212"],
    );
    assert.match(messages[0]?.remedy ?? "", /inject the workload again/);
  });
}
