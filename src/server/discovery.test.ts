//! Which kinds have a status of their own, in discovery and by its path.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ApiResourceList } from "../api/types.ts";
import { messageOf, Served } from "./testing/served.ts";

const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const MERGE = { "content-type": "application/merge-patch+json" };
const metadata = { name: "one", namespace: "a" };

let served: Served;

before(async () => {
  served = await Served.start();
  for (const object of [
    { apiVersion: "v1", kind: "Secret", metadata, stringData: { key: "hidden" } },
    { apiVersion: "v1", kind: "ConfigMap", metadata },
    { apiVersion: "v1", kind: "Service", metadata, spec: { ports: [{ port: 80 }] } },
  ]) {
    const path = `/api/v1/namespaces/a/${object.kind.toLowerCase()}s`;
    await served.demand({ method: "POST", path, body: object });
  }
});

after(async () => {
  await served.stop();
});

const ONES: readonly (readonly [root: string, place: string, hasStatus: boolean])[] = [
  ["/api/v1", "namespaces/a/secrets/one", false],
  ["/api/v1", "namespaces/a/configmaps/one", false],
  ["/apis/discovery.k8s.io/v1", "namespaces/a/endpointslices/one", false],
  ["/apis/gateway.networking.k8s.io/v1beta1", "namespaces/a/referencegrants/one", false],
  [RBAC, "namespaces/a/roles/one", false],
  [RBAC, "namespaces/a/rolebindings/one", false],
  [RBAC, "clusterroles/cluster-admin", false],
  [RBAC, "clusterrolebindings/cluster-admin", false],
  ["/api/v1", "namespaces/a/services/one", true],
];

for (const [root, place, hasStatus] of ONES) {
  test(`${place} has ${hasStatus ? "a" : "no"} status, and discovery says so`, async () => {
    const path = `${root}/${place}/status`;
    const plural = place.split("/").at(-2) ?? "";
    for (const [method, headers, body] of [
      ["GET", {}, undefined],
      ["PATCH", MERGE, { status: { loadBalancer: {} } }],
      ["PUT", {}, { metadata, status: {} }],
    ] as const) {
      const answer = await served.send({ method, path, headers, body });
      assert.equal(answer.code, hasStatus ? 200 : 404, `${method}: ${answer.text}`);
      if (!hasStatus) assert.match(messageOf(answer), new RegExp(`the resource ${plural}/status`));
      assert.doesNotMatch(answer.text, /hidden|aGlkZGVu/);
    }
    const { text } = await served.send({ path: root });
    const names = (JSON.parse(text) as ApiResourceList).resources.map(({ name }) => name);
    assert.ok(names.includes(plural), text);
    assert.equal(names.includes(`${plural}/status`), hasStatus);
  });
}
