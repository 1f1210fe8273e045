//! What users may grant, in whose name they may ask, and what they are told of themselves.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Resource } from "../../resources/object.ts";
import { messageOf, Served, type Answered, type Sent } from "../testing/served.ts";
import { authenticated } from "./user.ts";

const GROUP = "rbac.authorization.k8s.io";
const ROOT = `/apis/${GROUP}/v1`;
const apiVersion = `${GROUP}/v1`;
const READ = ["get", "list", "watch"];

let served: Served;

before(async () => {
  const userOf = (token: string): ReturnType<typeof authenticated> | null =>
    /^\w+$/.test(token) ? authenticated({ name: token, uid: "7", groups: [] }) : null;
  served = await Served.start({ tokens: { userOf } });
  const bind = (name: string, role: string, namespace?: string): Promise<unknown> =>
    demand(binding(name, { kind: "ClusterRole", name: role }, [name], namespace));
  await demand(role("granter", [{ verbs: ["*"], apiGroups: [GROUP], resources: ["*"] }]));
  await demand(
    role("trusted", [{ verbs: ["escalate", "bind"], apiGroups: [GROUP], resources: ["*"] }]),
  );
  await demand(
    role("mimic", [
      { verbs: ["impersonate"], apiGroups: [""], resources: ["users"], resourceNames: ["view"] },
      { verbs: ["impersonate"], apiGroups: [""], resources: ["serviceaccounts", "groups"] },
    ]),
  );
  await bind("admin", "admin", "a");
  await bind("trusted", "trusted");
  await demand(binding("trusted-too", { kind: "ClusterRole", name: "granter" }, ["trusted"]));
  await bind("mimic", "mimic");
  await bind("view", "view", "a");
});

after(async () => {
  await served.stop();
});

function role(name: string, rules: readonly object[], namespace?: string): Resource {
  const metadata = { name, ...(namespace !== undefined && { namespace }) };
  return { apiVersion, kind: namespace === undefined ? "ClusterRole" : "Role", metadata, rules };
}

function binding(
  name: string,
  roleRef: object,
  users: readonly string[],
  namespace?: string,
): Resource {
  return {
    apiVersion,
    kind: namespace === undefined ? "ClusterRoleBinding" : "RoleBinding",
    metadata: { name, ...(namespace !== undefined && { namespace }) },
    roleRef: { apiGroup: GROUP, ...roleRef },
    subjects: users.map((user) => ({ kind: "User", apiGroup: GROUP, name: user })),
  };
}

function pathOf({ kind, metadata: { namespace } }: Resource): string {
  const plural = `${kind.toLowerCase()}s`;
  return namespace === undefined
    ? `${ROOT}/${plural}`
    : `${ROOT}/namespaces/${namespace}/${plural}`;
}

function create(object: Resource, token?: string): Promise<Answered> {
  const who = token === undefined ? {} : { token };
  return served.send({ method: "POST", path: pathOf(object), body: object, ...who });
}

async function demand(object: Resource): Promise<void> {
  const { code, text } = await create(object);
  assert.equal(code, 201, text);
}

const PODS = { verbs: READ, apiGroups: [""], resources: ["pods"] };
const EVERYTHING = { verbs: ["*"], apiGroups: ["*"], resources: ["*"] };
const VIEW = { kind: "ClusterRole", name: "view" };
const LACKS = "is attempting to grant RBAC permissions not currently held:\n";

/** Who writes what, and what is missing; null: it is taken. */
const GRANTS: readonly (readonly [
  what: string,
  user: string,
  object: Resource,
  lacks: string | null,
])[] = [
  ["a role of what its writer has", "admin", role("pods", [PODS], "a"), null],
  ["a part of it", "admin", role("p", [{ ...PODS, resourceNames: ["x"] }], "a"), null],
  [
    "a status beside it",
    "admin",
    role("s", [{ ...PODS, resources: ["pods/status", "pods/exec"] }], "a"),
    '{APIGroups:[""], Resources:["pods/exec"], Verbs:["get" "list" "watch"]}',
  ],
  [
    "a verb more",
    "admin",
    role("v", [{ ...PODS, verbs: ["get", "escalate"] }], "a"),
    '{APIGroups:[""], Resources:["pods"], Verbs:["escalate"]}',
  ],
  [
    "everything",
    "admin",
    role("all", [EVERYTHING], "a"),
    '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}',
  ],
  [
    "a group and a resource that are not had together",
    "admin",
    role("g", [{ ...PODS, apiGroups: ["apps"] }], "a"),
    '{APIGroups:["apps"], Resources:["pods"], Verbs:["get" "list" "watch"]}',
  ],
  ["everything, by who may escalate", "trusted", role("any", [EVERYTHING], "a"), null],
  ["a binding of a role that is had", "admin", binding("b", VIEW, ["bob"], "a"), null],
  [
    "a binding of more than is had",
    "admin",
    binding("c", { ...VIEW, name: "cluster-admin" }, ["bob"], "a"),
    '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}\n{NonResourceURLs:["*"], Verbs:["*"]}',
  ],
  ["a binding, by who may bind", "trusted", binding("d", VIEW, ["bob"], "b"), null],
];

for (const [what, user, object, lacks] of GRANTS) {
  test(`${what} is ${lacks === null ? "granted" : "refused"}`, async () => {
    const answer = await create(object, user);
    if (lacks === null) {
      assert.equal(answer.code, 201, answer.text);
      return;
    }
    assert.equal(answer.code, 403, answer.text);
    const { name } = object.metadata;
    const plural = `${object.kind.toLowerCase()}s.${GROUP}`;
    const who = `user "${user}" (groups=["system:authenticated"]) ${LACKS}`;
    assert.equal(messageOf(answer), `${plural} "${name}" is forbidden: ${who}${lacks}`);
  });
}

test("an update, a patch and an apply may not grant more, either", async () => {
  await demand(role("grown", [PODS], "a"));
  const path = `${ROOT}/namespaces/a/roles/grown`;
  const token = "admin";
  const body = role("grown", [EVERYTHING], "a");
  const patch = { method: "PATCH", path, token, body };
  const merge = { "content-type": "application/merge-patch+json" };
  const apply = { "content-type": "application/apply-patch+yaml" };
  const tries: readonly Sent[] = [
    { method: "PUT", path, token, body },
    { ...patch, body: { rules: [EVERYTHING] }, headers: merge },
    { ...patch, path: `${path}?fieldManager=m&force=true`, headers: apply },
  ];
  for (const each of tries) {
    const answer = await served.send(each);
    assert.equal(answer.code, 403, answer.text);
    assert.match(messageOf(answer), /permissions not currently held/);
  }
  assert.deepEqual((await served.demand({ path }))["rules"], [PODS]);
});

test("a role that is not there cannot be bound, and what is bound cannot be changed", async () => {
  const missing = await create(binding("m", { ...VIEW, name: "none" }, ["bob"], "a"), "admin");
  assert.equal(missing.code, 404);
  assert.equal(messageOf(missing), `clusterroles.${GROUP} "none" not found`);
  await demand(binding("fixed", VIEW, ["bob"], "a"));
  const body = binding("fixed", { ...VIEW, name: "edit" }, ["bob"], "a");
  const path = `${ROOT}/namespaces/a/rolebindings/fixed`;
  const changed = await served.send({ method: "PUT", path, body });
  assert.equal(changed.code, 422);
  assert.match(messageOf(changed), /cannot change roleRef$/);
});

test("an apply that creates needs the right to create", async () => {
  await demand(role("patcher", [{ verbs: ["patch"], apiGroups: [""], resources: ["configmaps"] }]));
  await demand(binding("patcher", { kind: "ClusterRole", name: "patcher" }, ["patcher"]));
  const path = "/api/v1/namespaces/a/configmaps/new";
  const headers = { "content-type": "application/apply-patch+yaml" };
  const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "new" } };
  const ask = { method: "PATCH", path: `${path}?fieldManager=m`, headers, body };
  const answer = await served.send({ ...ask, token: "patcher" });
  assert.equal(answer.code, 403);
  assert.match(messageOf(answer), /User "patcher" cannot create resource "configmaps"/);
  assert.equal((await served.send(ask)).code, 201);
  assert.equal((await served.send({ ...ask, token: "patcher" })).code, 200);
});

test("a role that is bound and missing is told where something is refused", async () => {
  await demand(binding("dangling", { ...VIEW, name: "gone" }, ["dora"]));
  const answer = await served.send({ path: "/api/v1/pods", token: "dora" });
  const cannot = 'User "dora" cannot list resource "pods" in API group "" at the cluster scope';
  const why = `RBAC: clusterrole.${GROUP} "gone" not found`;
  assert.equal(messageOf(answer), `pods is forbidden: ${cannot}: ${why}`);
});

const CANNOT = "is forbidden: User";
const USERS = 'resource "users" in API group "" at the cluster scope';
const PODS_OF_A = 'resource "pods" in API group "" in the namespace "a"';
const MIMICS: readonly (readonly [
  what: string,
  token: string,
  headers: NonNullable<Sent["headers"]>,
  code: number,
  says: string,
])[] = [
  ["a user that may be", "mimic", { "impersonate-user": "view" }, 200, ""],
  [
    "a user that may not be",
    "mimic",
    { "impersonate-user": "admin" },
    403,
    `users "admin" ${CANNOT} "mimic" cannot impersonate ${USERS}`,
  ],
  [
    "an account that sees nothing",
    "mimic",
    { "impersonate-user": "system:serviceaccount:a:robot" },
    403,
    `pods ${CANNOT} "system:serviceaccount:a:robot" cannot list ${PODS_OF_A}`,
  ],
  [
    "groups, of which any may be",
    "mimic",
    { "impersonate-user": "view", "impersonate-group": ["x", "system:masters"] },
    200,
    "",
  ],
  [
    "anybody, without the right",
    "view",
    { "impersonate-user": "view" },
    403,
    `users "view" ${CANNOT} "view" cannot impersonate ${USERS}`,
  ],
  [
    "a group without a user",
    "mimic",
    { "impersonate-group": "x" },
    400,
    "impersonation needs one Impersonate-User",
  ],
  [
    "what is not served",
    "mimic",
    { "impersonate-user": "view", "impersonate-extra-a": "b" },
    400,
    "impersonate-extra-a is not served: only users and groups are",
  ],
];

for (const [what, token, headers, code, says] of MIMICS) {
  test(`a request in the name of ${what} is answered ${code}`, async () => {
    const answer = await served.send({ path: "/api/v1/namespaces/a/pods", token, headers });
    assert.equal(answer.code, code, answer.text);
    if (says !== "") assert.equal(messageOf(answer), says);
  });
}

const REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

test("users are told what they may do, and who they are", async () => {
  const ask = (spec: object): Sent => ({
    method: "POST",
    path: REVIEW,
    token: "view",
    body: { spec },
  });
  const status = async (spec: object): Promise<unknown> => (await served.demand(ask(spec))).status;
  const pods = { verb: "list", resource: "pods", namespace: "a" };
  assert.deepEqual(await status({ resourceAttributes: pods }), {
    allowed: true,
    reason: 'RBAC: allowed by RoleBinding "view/a" of ClusterRole "view" to User "view"',
  });
  assert.deepEqual(await status({ resourceAttributes: { ...pods, namespace: "b" } }), {
    allowed: false,
  });
  const path = { verb: "get", path: "/graylane/v1/status" };
  assert.deepEqual(await status({ nonResourceAttributes: path }), { allowed: false });
  assert.equal((await served.send(ask({}))).code, 422);
  const self = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  assert.deepEqual((await served.demand({ method: "POST", path: self, token: "view" })).status, {
    userInfo: { username: "view", uid: "7", groups: ["system:authenticated"] },
  });
});
