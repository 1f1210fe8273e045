//! Users for the tests of authorization: the roles and bindings that they have, and beside it, by
//! hand, what each of them may do. Nothing here is made from the other.

import type { Resource } from "../../resources/object.ts";

/** What somebody may do; words are parted by spaces. */
export interface Entitled {
  readonly verbs: string;
  /** `pods`, `pods/log`, `deployments.apps`. */
  readonly resources?: string;
  /** `all`: in every one, and across them. */
  readonly namespaces?: string;
  readonly names?: string;
  readonly paths?: string;
}

/** Names, which are the tokens, and groups. */
export const USERS: Readonly<Record<string, readonly string[]>> = {
  nobody: [],
  "viewer-of-a": ["viewers"],
  "editor-of-a": [],
  "admin-of-a": [],
  "viewer-of-all": [],
  "keeper-of-one": [],
  "logs-of-b": [],
  operator: [],
  "status-writer": [],
  "system:serviceaccount:a:robot": [],
  root: ["system:masters"],
};

const READ = "get list watch";
const WRITE = "create update patch delete deletecollection";
const REVIEWS =
  "selfsubjectaccessreviews.authorization.k8s.io selfsubjectrulesreviews.authorization.k8s.io " +
  "selfsubjectreviews.authentication.k8s.io";
const DISCOVERY =
  "/api /api/v1 /apis /apis/apps /apis/apps/v1 /apis/graylane.io /apis/graylane.io/v1alpha1 " +
  "/apis/rbac.authorization.k8s.io /apis/rbac.authorization.k8s.io/v1 " +
  "/openapi/v2 /openapi/v3 /openapi/v3/api/v1 /openapi/v3/apis/apps/v1 " +
  "/openapi/v3/apis/graylane.io/v1alpha1 /openapi/v3/apis/rbac.authorization.k8s.io/v1";

const EVERYONE: readonly Entitled[] = [
  { verbs: "get", paths: DISCOVERY },
  { verbs: "create", resources: REVIEWS, namespaces: "all" },
];
const VIEWED =
  "configmaps pods pods/status pods/log namespaces namespaces/status " +
  "deployments.apps deployments.apps/status deployments.apps/scale " +
  "lanes.graylane.io lanes.graylane.io/status";
const EDITED = "configmaps secrets pods deployments.apps deployments.apps/scale lanes.graylane.io";
const EDITOR: readonly Entitled[] = [
  { verbs: `${READ} ${WRITE}`, resources: EDITED, namespaces: "a" },
  { verbs: READ, resources: VIEWED, namespaces: "a" },
  { verbs: "create", resources: "serviceaccounts/token", namespaces: "a" },
];

export const TABLE: Readonly<Record<string, readonly Entitled[] | "everything">> = {
  nobody: EVERYONE,
  "viewer-of-a": [...EVERYONE, { verbs: READ, resources: VIEWED, namespaces: "a" }],
  "editor-of-a": [...EVERYONE, ...EDITOR],
  "admin-of-a": [
    ...EVERYONE,
    ...EDITOR,
    { verbs: `${READ} ${WRITE}`, resources: "roles.rbac.authorization.k8s.io", namespaces: "a" },
  ],
  "viewer-of-all": [...EVERYONE, { verbs: READ, resources: VIEWED, namespaces: "all" }],
  "keeper-of-one": [
    ...EVERYONE,
    { verbs: "get update delete", resources: "configmaps", namespaces: "a b", names: "one" },
  ],
  "logs-of-b": [...EVERYONE, { verbs: "get", resources: "pods/log", namespaces: "b" }],
  operator: [
    ...EVERYONE,
    { verbs: "get", paths: "/graylane/v1/status /graylane/v1/configdump" },
    { verbs: "post", paths: "/graylane/v1/shutdown" },
  ],
  "status-writer": [
    ...EVERYONE,
    {
      verbs: "get patch",
      resources:
        "configmaps/status secrets/status pods/status namespaces/status deployments.apps/status",
      namespaces: "all",
    },
  ],
  "system:serviceaccount:a:robot": [
    ...EVERYONE,
    { verbs: "list create", resources: "lanes.graylane.io", namespaces: "b" },
  ],
  root: "everything",
};

const GROUP = "rbac.authorization.k8s.io";
const apiVersion = `${GROUP}/v1`;

function user(name: string): object {
  return { kind: "User", apiGroup: GROUP, name };
}

function role(name: string, rules: readonly object[], namespace?: string): Resource {
  const metadata = { name, ...(namespace !== undefined && { namespace }) };
  return { apiVersion, kind: namespace === undefined ? "ClusterRole" : "Role", metadata, rules };
}

function binding(name: string, subject: object, ref: string, namespace?: string): Resource {
  const [kind, roleName] = ref.split("/");
  return {
    apiVersion,
    kind: namespace === undefined ? "ClusterRoleBinding" : "RoleBinding",
    metadata: { name, ...(namespace !== undefined && { namespace }) },
    roleRef: { apiGroup: GROUP, kind, name: roleName },
    subjects: [user("somebody-else"), subject],
  };
}

const ONE = {
  ...{ verbs: ["get", "update", "delete"], apiGroups: [""] },
  ...{ resources: ["configmaps"], resourceNames: ["one", "uno"] },
};
const STATUS = { verbs: ["get", "patch"], apiGroups: ["", "apps"], resources: ["*/status"] };

export const ASSIGNMENTS: readonly Resource[] = [
  role("keeper", [ONE], "a"),
  role("keeper", [ONE], "b"),
  role("logs", [{ verbs: ["get"], apiGroups: [""], resources: ["pods/log"] }], "b"),
  // Of the same name elsewhere: a binding means the role of its own namespace.
  role("logs", [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }], "a"),
  role("lanes", [
    { verbs: ["list", "create"], apiGroups: ["graylane.io"], resources: ["lanes"] },
    // Paths are granted for the whole server only.
    { verbs: ["get"], nonResourceURLs: ["/graylane/*"] },
  ]),
  role("operator", [
    { verbs: ["get"], nonResourceURLs: ["/graylane/v1/st*", "/graylane/v1/configdump"] },
    { verbs: ["post"], nonResourceURLs: ["/graylane/v1/shutdown"] },
  ]),
  role("status-writer", [STATUS]),
  binding("viewers", { kind: "Group", apiGroup: GROUP, name: "viewers" }, "ClusterRole/view", "a"),
  binding("editor", user("editor-of-a"), "ClusterRole/edit", "a"),
  binding("admin", user("admin-of-a"), "ClusterRole/admin", "a"),
  binding("viewer", user("viewer-of-all"), "ClusterRole/view"),
  binding("keeper", user("keeper-of-one"), "Role/keeper", "a"),
  binding("keeper", user("keeper-of-one"), "Role/keeper", "b"),
  binding("logs", user("logs-of-b"), "Role/logs", "b"),
  binding("operator", user("operator"), "ClusterRole/operator"),
  binding("status-writer", user("status-writer"), "ClusterRole/status-writer"),
  binding(
    "robot",
    { kind: "ServiceAccount", name: "robot", namespace: "a" },
    "ClusterRole/lanes",
    "b",
  ),
  // Of another namespace, so of another account.
  binding(
    "robots",
    { kind: "ServiceAccount", name: "robot", namespace: "b" },
    "ClusterRole/edit",
    "b",
  ),
];
