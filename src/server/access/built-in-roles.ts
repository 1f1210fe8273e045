//! The roles and bindings that are there from the start, after Kubernetes' own: cluster-admin,
//! admin, edit, view, and what every user may do.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings>

import { canonicalJson } from "../../base/canonical-json.ts";
import type { ResourceStore } from "../../controlplane/store/store.ts";
import type { RoleBinding } from "../../resources/kinds/role-binding.ts";
import { RBAC_GROUP, type PolicyRule, type Role } from "../../resources/kinds/role.ts";
import type { Resource } from "../../resources/object.ts";
import { KINDS } from "../../resources/registry.ts";
import { EVERYTHING } from "./rbac.ts";
import { AUTHENTICATED, MASTERS } from "./user.ts";

const READ = ["get", "list", "watch"];
const WRITE = ["create", "delete", "deletecollection", "patch", "update"];
const AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate";
const apiVersion = `${RBAC_GROUP}/v1`;

const NAMESPACED = KINDS.filter(({ namespaced }) => namespaced);
const GROUPS = [...new Set(NAMESPACED.map(({ group }) => group))].filter(
  (group) => group !== RBAC_GROUP,
);

/** The rules for what namespaces hold, but for roles. Secrets are not for who may only view. */
function rulesFor(verbs: readonly string[], withSecrets: boolean): PolicyRule[] {
  return GROUPS.map((group) => {
    const kinds = NAMESPACED.filter((info) => info.group === group);
    const names = kinds.map(({ plural }) => plural);
    const resources = names.filter((name) => withSecrets || name !== "secrets");
    return { verbs, apiGroups: [group], resources };
  });
}

/** Whoever reads a status reads the whole object: no kind that not everybody may view has one. */
function statusRulesFor(verbs: readonly string[]): PolicyRule[] {
  return GROUPS.flatMap((group) => {
    const kinds = NAMESPACED.filter((info) => info.group === group && info.hasStatus);
    const resources = kinds.map(({ plural }) => `${plural}/status`);
    return resources.length === 0 ? [] : [{ verbs, apiGroups: [group], resources }];
  });
}

const VIEW: readonly PolicyRule[] = [
  ...rulesFor(READ, false),
  { verbs: READ, apiGroups: [""], resources: ["namespaces", "namespaces/status", "pods/log"] },
  ...statusRulesFor(READ),
  { verbs: READ, apiGroups: ["apps"], resources: ["deployments/scale"] },
];
const EDIT: readonly PolicyRule[] = [
  ...VIEW,
  { verbs: READ, apiGroups: [""], resources: ["secrets"] },
  ...rulesFor(WRITE, true),
  { verbs: ["create"], apiGroups: [""], resources: ["serviceaccounts/token"] },
  { verbs: WRITE, apiGroups: ["apps"], resources: ["deployments/scale"] },
];
const NAMESPACE_ADMIN: readonly PolicyRule[] = [
  ...EDIT,
  { verbs: [...READ, ...WRITE], apiGroups: [RBAC_GROUP], resources: ["roles", "rolebindings"] },
];

const HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
const DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*"];
const BASIC: readonly PolicyRule[] = [
  {
    verbs: ["create"],
    apiGroups: ["authorization.k8s.io"],
    resources: ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
  },
  { verbs: ["create"], apiGroups: ["authentication.k8s.io"], resources: ["selfsubjectreviews"] },
];

export const BUILT_IN: readonly (Role | RoleBinding)[] = [
  role("cluster-admin", EVERYTHING),
  role("admin", NAMESPACE_ADMIN),
  role("edit", EDIT),
  role("view", VIEW),
  role("system:discovery", [{ verbs: ["get"], nonResourceURLs: [...HEALTH, ...DISCOVERY] }]),
  role("system:basic-user", BASIC),
  binding("cluster-admin", MASTERS),
  binding("system:discovery", AUTHENTICATED),
  binding("system:basic-user", AUTHENTICATED),
];

function metadataOf(name: string): Resource["metadata"] {
  return {
    name,
    labels: { "kubernetes.io/bootstrapping": "rbac-defaults" },
    annotations: { [AUTO_UPDATE]: "true" },
  };
}

function role(name: string, rules: readonly PolicyRule[]): Role {
  return { apiVersion, kind: "ClusterRole", metadata: metadataOf(name), rules };
}

function binding(name: string, group: string): RoleBinding {
  return {
    apiVersion,
    kind: "ClusterRoleBinding",
    metadata: metadataOf(name),
    roleRef: { apiGroup: RBAC_GROUP, kind: "ClusterRole", name },
    subjects: [{ kind: "Group", apiGroup: RBAC_GROUP, name: group }],
  };
}

/**
 * Writes what is not there. What is there keeps what it has and gets what it lacks, unless its
 * annotation says `false`, as a Kubernetes API server does when it starts. A text: why not.
 */
export async function ensureBuiltIn(store: ResourceStore): Promise<string | null> {
  for (const wanted of BUILT_IN) {
    const plural = wanted.kind === "ClusterRole" ? "clusterroles" : "clusterrolebindings";
    const { name } = wanted.metadata;
    const live = store.get({ group: RBAC_GROUP, plural, namespace: "", name });
    if (live?.metadata.annotations?.[AUTO_UPDATE] === "false") continue;
    const completed = live === undefined ? wanted : completedBy(live, wanted);
    if (completed === null) continue;
    const result = await (live === undefined ? store.create(wanted) : store.update(completed));
    if (!result.ok) return `${wanted.kind} ${name}: ${result.message}`;
  }
  return null;
}

/** Null: it lacks nothing. */
function completedBy(live: Role | RoleBinding, wanted: Role | RoleBinding): Resource | null {
  const rules = union(live["rules"], wanted["rules"]);
  const subjects = union(live["subjects"], wanted["subjects"]);
  if (rules === null && subjects === null) return null;
  return { ...live, ...(rules !== null && { rules }), ...(subjects !== null && { subjects }) };
}

/** Null: everything wanted is there. */
function union(has: unknown, wanted: unknown): readonly unknown[] | null {
  const old: readonly unknown[] = Array.isArray(has) ? has : [];
  const all: readonly unknown[] = Array.isArray(wanted) ? wanted : [];
  const known = new Set(old.map((each) => canonicalJson(each)));
  const missing = all.filter((each) => !known.has(canonicalJson(each)));
  return missing.length === 0 ? null : [...old, ...missing];
}
