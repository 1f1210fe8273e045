//! What is asked of both API servers: every verb on what both know, and what is told apart by
//! little: forms of paths, of watches, of selectors.

import { RBAC_GROUP } from "../../src/resources/kinds/role.ts";
import type { Sent } from "../../src/server/testing/served.ts";

/** A request without its user. */
export type Asked = Omit<Sent, "token">;

const KINDS: readonly (readonly [root: string, plurals: string])[] = [
  ["/api/v1", "configmaps secrets services pods serviceaccounts"],
  ["/apis/apps/v1", "deployments"],
  ["/apis/discovery.k8s.io/v1", "endpointslices"],
  ["/apis/networking.k8s.io/v1", "ingresses"],
  [`/apis/${RBAC_GROUP}/v1`, "roles rolebindings"],
  ["/apis/graylane.io/v1alpha1", "lanes"],
  ["/apis/networking.istio.io/v1", "virtualservices"],
];
const SUBRESOURCES: Readonly<Record<string, readonly string[]>> = {
  pods: ["status", "log", "exec", "eviction"],
  deployments: ["status", "scale"],
  lanes: ["status"],
  configmaps: ["status"],
};
const ONE = ["GET", "PUT", "PATCH", "DELETE"];
const MANY = ["GET", "POST", "DELETE"];

function* onEach(methods: readonly string[], path: string): Generator<Asked> {
  for (const method of methods) {
    const isRead = method === "GET";
    // With a body, Kubernetes reads the options of a deletion from there alone.
    const hasBody = !isRead && method !== "DELETE";
    const query = isRead ? "resourceVersion=0" : "dryRun=All";
    yield { method, path: `${path}?${query}`, ...(hasBody && { body: {} }) };
  }
}

/** Every verb on every kind, in each namespace and across them, and on what lies beneath. */
function* matrix(): Generator<Asked> {
  for (const [root, plurals] of KINDS) {
    for (const plural of plurals.split(" ")) {
      yield* onEach(MANY, `${root}/${plural}`);
      for (const namespace of ["a", "b"]) {
        const path = `${root}/namespaces/${namespace}/${plural}`;
        yield* onEach(MANY, path);
        yield { path: `${path}?watch=1&timeoutSeconds=1&resourceVersion=0` };
        yield* onEach(ONE, `${path}/one`);
        if (plural === "configmaps") yield* onEach(ONE, `${path}/two`);
        for (const sub of SUBRESOURCES[plural] ?? []) yield* onEach(ONE, `${path}/one/${sub}`);
      }
    }
  }
  for (const path of ["/api/v1/namespaces", `/apis/${RBAC_GROUP}/v1/clusterroles`]) {
    yield* onEach(MANY, path);
    yield* onEach(ONE, `${path}/a`);
  }
  yield* onEach(["GET", "PUT", "PATCH"], "/api/v1/namespaces/a/status");
  yield* onEach(["PUT"], "/api/v1/namespaces/a/finalize");
}

const PATHS = [
  "/ /foo /metrics /logs /logs/ /logs/x /metricsx /healthz /healthz/ping /livez /readyz /version",
  "/version/ /api /api/ /api/v1 /api/v1/ /apis /apis/ /apis/apps /apis/apps/v1 /openapi/v2",
  "/openapi/v3 /graylane/v1/status /graylane /graylane/ /api/v2 /apis/none /apis/none/v1",
  "/graylane/v1/st%61tus /%61pi /api%2Fv1",
];
const CONFIG_MAPS = "/api/v1/namespaces/a/configmaps";
const LISTS = [
  "?watch=true&timeoutSeconds=1",
  "?watch=True&timeoutSeconds=1",
  "?watch&timeoutSeconds=1",
  "?watch=yes&timeoutSeconds=1",
  "?watch=0",
  "?watch=false",
  "?watch=FALSE",
  "?watch=0&watch=1&timeoutSeconds=1",
  "?fieldSelector=metadata.name%3Done",
  "?fieldSelector=metadata.name%3D%3Done",
  "?fieldSelector=metadata.name!%3Done",
  "?fieldSelector=metadata.namespace%3Da,metadata.name%3Done",
  "?fieldSelector=metadata.name%3Done,metadata.name%3Dtwo",
  "?fieldSelector=metadata.name%3Dtwo,metadata.name%3Done",
  "?fieldSelector=metadata.name%3Done&watch=1&timeoutSeconds=1",
  "?fieldSelector=metadata.name%3D",
  "?fieldSelector=metadata.name%3D.",
  "?fieldSelector=metadata.name%3Da%252Fb",
  "?fieldSelector=metadata.name%3Da/b",
  "?fieldSelector=metadata.name%3Done&fieldSelector=metadata.name%3Dtwo",
  "?fieldSelector=metadata.name%3Done&limit=x",
  "?fieldSelector=metadata.name",
  "?labelSelector=a%3Db",
];
const ODD: readonly (readonly [method: string, path: string])[] = [
  ["DELETE", `${CONFIG_MAPS}?dryRun=All&fieldSelector=metadata.name%3Done`],
  ["POST", `${CONFIG_MAPS}?dryRun=All&fieldSelector=metadata.name%3Done`],
  ["POST", `${CONFIG_MAPS}/one?dryRun=All`],
  ["PUT", `${CONFIG_MAPS}?dryRun=All`],
  ["PATCH", `${CONFIG_MAPS}?dryRun=All`],
  ["PUT", "/api/v1/configmaps?dryRun=All"],
  ["OPTIONS", CONFIG_MAPS],
  ["POST", "/graylane/v1/shutdown"],
  ["DELETE", "/metrics"],
  ["GET", "/api/v1/namespaces/a/pods/one/exec/more"],
  ["GET", "/api/v1/namespaces/a/pods/one/log/more/still"],
  ["GET", "/api/v1/namespaces/a/pods//log"],
  ["GET", "/api/v1/namespaces//pods"],
  ["GET", "/api/v1//namespaces/a/pods"],
  ["GET", "/api/v1/namespaces/a/"],
  ["GET", "/api/v1/namespaces/a/configmaps/"],
  ["GET", "/api/v1/namespaces/"],
  ["GET", "/api/v1/namespaces/a/status/one"],
  ["GET", "/api/v1/namespaces/a/finalize"],
  ["GET", "/api/v1/namespaces/a%2Fconfigmaps"],
  ["GET", "/api/v1/namespaces/a/configmaps%2Fone"],
  ["GET", "/api/v1/namespaces/a/configmaps/o%6Ee"],
  ["GET", "/api/v1/watch/namespaces/a/configmaps?timeoutSeconds=1"],
  ["GET", "/api/v1/watch/configmaps?timeoutSeconds=1"],
  ["GET", "/api/v1/proxy/namespaces/a/pods/one/x"],
  ["GET", "/api/v1/pods/one"],
  ["GET", "/api/v1/pods/one/log"],
  ["GET", "/apis/apps/v1/namespaces/a"],
  ["GET", "/apis/apps/v1/namespaces/a/status"],
  ["GET", "/apis/apps/v1/namespaces/a/configmaps"],
  ["GET", "/apis/apps/v9/namespaces/a/deployments"],
  ["GET", "/apis/none.example/v1/namespaces/a/things/one/parts"],
  ["GET", "/api/v1/nodes"],
  ["GET", "/api/v1/nodes/n/proxy/x"],
  ["POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/x"],
  ["GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"],
];

function* oddities(): Generator<Asked> {
  for (const path of PATHS.flatMap((line) => line.split(" "))) yield { path };
  for (const query of LISTS) yield { path: `${CONFIG_MAPS}${query}&resourceVersion=0` };
  for (const [method, path] of ODD) {
    yield { method, path, ...(["POST", "PUT", "PATCH"].includes(method) && { body: {} }) };
  }
}

const REVIEWED = [
  ["", "configmaps secrets pods/log pods/exec */status namespaces users groups serviceaccounts *"],
  ["apps", "deployments deployments/scale"],
  ["graylane.io", "lanes"],
  [RBAC_GROUP, "roles clusterroles"],
  ["*", "*"],
] as const;
const REVIEWED_VERBS = ["get", "list", "delete", "deletecollection", "impersonate", "bind", "*"];
const AUTHORIZATION = "/apis/authorization.k8s.io/v1";

function review(spec: object): Asked {
  return { method: "POST", path: `${AUTHORIZATION}/selfsubjectaccessreviews`, body: { spec } };
}

/** What users ask of themselves. */
function* reviews(): Generator<Asked> {
  for (const [group, resources] of REVIEWED) {
    for (const whole of resources.split(" ")) {
      const [resource = "", subresource = ""] = whole.split("/");
      for (const verb of REVIEWED_VERBS) {
        for (const [namespace, name] of [
          ["", ""],
          ["a", ""],
          ["a", "one"],
          ["b", "one"],
        ]) {
          const resourceAttributes = { verb, group, resource, subresource, namespace, name };
          yield review({ resourceAttributes });
        }
      }
    }
  }
  for (const path of ["/api", "/apis/x", "/metrics", "/logs/", "/graylane/v1/x", "", "*"]) {
    for (const verb of ["get", "post", "*"])
      yield review({ nonResourceAttributes: { path, verb } });
  }
  yield review({});
  yield review({ resourceAttributes: {}, nonResourceAttributes: {} });
  for (const namespace of ["a", "b", ""]) {
    const path = `${AUTHORIZATION}/selfsubjectrulesreviews`;
    yield { method: "POST", path, body: { spec: { namespace } } };
  }
}

const apiVersion = `${RBAC_GROUP}/v1`;

function role(kind: "Role" | "ClusterRole", rules: readonly object[], name = "one"): object {
  const metadata = kind === "Role" ? { name, namespace: "a" } : { name };
  return { apiVersion, kind, metadata, rules };
}

function binding(kind: "RoleBinding" | "ClusterRoleBinding", ref: string): object {
  const [refKind, name] = ref.split("/");
  return {
    ...{ apiVersion, kind },
    metadata: kind === "RoleBinding" ? { name: "new", namespace: "a" } : { name: "new" },
    roleRef: { apiGroup: RBAC_GROUP, kind: refKind, name },
    subjects: [{ kind: "User", apiGroup: RBAC_GROUP, name: "eve" }],
  };
}

const GET = { verbs: ["get"], apiGroups: [""], resources: ["configmaps"] };
const GRANTS: readonly (readonly object[])[] = [
  [],
  [GET],
  [{ ...GET, resourceNames: ["one"] }],
  [{ ...GET, verbs: ["get", "list", "watch", "escalate"], resources: ["pods", "pods/exec"] }],
  [{ ...GET, resources: ["*"] }],
  [{ ...GET, resources: ["*/status"] }],
  [{ ...GET, verbs: ["*"], apiGroups: ["*"], resources: ["*"] }],
  [{ verbs: ["get"], apiGroups: [RBAC_GROUP], resources: ["roles", "clusterroles"] }],
];

/** Roles and bindings that give more than their writer has, or not. */
function* grants(): Generator<Asked> {
  const root = `/apis/${RBAC_GROUP}/v1`;
  const [roles, bindings] = [`${root}/namespaces/a/roles`, `${root}/namespaces/a/rolebindings`];
  const dry = "dryRun=All";
  for (const rules of GRANTS) {
    yield { method: "POST", path: `${roles}?${dry}`, body: role("Role", rules) };
    yield { method: "PUT", path: `${roles}/kept?${dry}`, body: role("Role", rules, "kept") };
    yield { method: "POST", path: `${root}/clusterroles?${dry}`, body: role("ClusterRole", rules) };
  }
  const url = [{ verbs: ["get"], nonResourceURLs: ["/metrics", "/logs/*", "/api"] }];
  yield { method: "POST", path: `${root}/clusterroles?${dry}`, body: role("ClusterRole", url) };
  for (const ref of ["edit", "view", "cluster-admin", "one", "none", "keeper"]) {
    const of = `ClusterRole/${ref}`;
    yield { method: "POST", path: `${bindings}?${dry}`, body: binding("RoleBinding", of) };
    yield {
      method: "POST",
      path: `${bindings}?${dry}`,
      body: binding("RoleBinding", `Role/${ref}`),
    };
    const path = `${root}/clusterrolebindings?${dry}`;
    yield { method: "POST", path, body: binding("ClusterRoleBinding", of) };
  }
  const merge = { "content-type": "application/merge-patch+json" };
  for (const body of [
    { metadata: { finalizers: ["example.com/x"] } },
    { metadata: { labels: { x: "y" } } },
    { rules: [{ ...GET, resources: ["secrets"] }] },
  ]) {
    yield { method: "PATCH", path: `${roles}/kept?${dry}`, headers: merge, body };
    yield { method: "PATCH", path: `${roles}/logs?${dry}`, headers: merge, body };
  }
}

const MASKS: readonly Readonly<Record<string, string | readonly string[]>>[] = [
  { "impersonate-user": "nobody" },
  { "impersonate-user": "editor-of-a" },
  { "impersonate-user": "root" },
  { "impersonate-user": "nobody", "impersonate-group": "viewers" },
  { "impersonate-user": "nobody", "impersonate-group": ["viewers", "system:masters"] },
  { "impersonate-user": "nobody", "impersonate-group": "system:authenticated" },
  { "impersonate-user": "nobody", "impersonate-group": "system:unauthenticated" },
  { "impersonate-user": "system:serviceaccount:a:robot" },
  { "impersonate-user": "system:serviceaccount:b:robot" },
  { "impersonate-user": "system:serviceaccount:a:other" },
  { "impersonate-user": "system:serviceaccount:a:robot", "impersonate-group": "viewers" },
  { "impersonate-user": "system:serviceaccount:a" },
  { "impersonate-user": "system:anonymous" },
  { "impersonate-user": "system:anonymous", "impersonate-group": "viewers" },
  { "impersonate-user": "somebody", "impersonate-group": "system:masters" },
];

/** In others' names. */
function* masks(): Generator<Asked> {
  const who = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  for (const headers of MASKS) {
    yield { path: CONFIG_MAPS, headers };
    yield { path: "/api/v1/namespaces/b/secrets", headers };
    yield { method: "POST", path: who, headers, body: {} };
  }
}

export function* everythingAsked(): Generator<Asked> {
  yield* matrix();
  yield* oddities();
  yield* reviews();
  yield* grants();
  yield* masks();
}
