import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot, Workload } from "../../snapshot/snapshot.ts";
import { TYPE_URLS } from "../../compile-envoy/envoy-config.ts";
import { AdsSession } from "./ads-session.ts";
import type { AdsResponse } from "./ads-session.ts";
import { EnvoyNode } from "./envoy-node.ts";
import { SharedConfigs } from "./shared-configs.ts";

const POD = "default/cart-1";
const WORKLOAD: Workload = {
  sidecar: "envoy",
  ...{ name: "cart-1", namespace: "default", labels: {} },
  ...{ address: "10.1.0.7", inbound: [], outbound: { address: "127.0.0.1", port: 15_001 } },
};

function snapshotOf(version: string, workloads: Snapshot["workloads"]): Snapshot {
  return { ...EMPTY_SNAPSHOT, version, workloads };
}

test("a sidecar is told nothing until its Pod is known, and holds up nobody", async () => {
  const sent: AdsResponse[] = [];
  const unknown: string[] = [];
  const session = new AdsSession((response) => void sent.push(response));
  const node = new EnvoyNode(
    "a",
    { role: "sidecar", pod: POD },
    {
      session,
      configs: new SharedConfigs(),
      onTaken: () => undefined,
      onUnknown: (pod) => void unknown.push(pod),
    },
  );
  const ask = { subscribe: [], unsubscribe: [], initialVersions: new Map(), error: null };
  session.onRequest({ ...ask, typeUrl: TYPE_URLS.clusters, nonce: "" });
  session.onRequest({ ...ask, typeUrl: TYPE_URLS.listeners, nonce: "" });
  const others = { "default/other": { ...WORKLOAD, name: "other" } };
  for (const version of ["1", "2"]) {
    assert.equal((await node.run(snapshotOf(version, others))).ok, true);
  }
  assert.deepEqual(sent, []);
  assert.deepEqual(unknown, [POD], "it is said once");
  assert.match(node.status().error, /^no Pod default\/cart-1 with an address .*told nothing$/);
  assert.deepEqual(new Set(Object.values(node.status().types)), new Set(["NOT SENT"]));

  void node.run(snapshotOf("3", { ...others, [POD]: WORKLOAD }));
  assert.deepEqual(
    sent.map(({ type }) => type),
    ["clusters"],
  );
  assert.equal(node.status().error, "");
});
