//! rbac.authorization.k8s.io Role and ClusterRole: what may be done with what.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { notHonoured, text } from "./fields.ts";
import { defineKind, described } from "./kind.ts";
import type { KindInfo, Path, Report } from "./kind.ts";
import { items, member } from "./member.ts";

export const RBAC_GROUP = "rbac.authorization.k8s.io";

export interface PolicyRule {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  /** Empty or absent: all. */
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

/** Also a ClusterRole. */
export interface Role extends Resource {
  readonly rules?: readonly PolicyRule[] | null;
}

const RULES_MAX = 1_000;
const WORDS_MAX = 1_000;

const words = Type.Optional(Type.Array(Type.String(), { maxItems: WORDS_MAX }));
const rule = Type.Object({
  verbs: Type.Array(text(), { minItems: 1, maxItems: WORDS_MAX }),
  apiGroups: words,
  resources: words,
  resourceNames: words,
  nonResourceURLs: words,
});
const rules = Type.Optional(
  Type.Unsafe<readonly PolicyRule[]>({
    type: ["array", "null"],
    items: described<PolicyRule, typeof rule>(rule),
    maxItems: RULES_MAX,
  }),
);

/** As Kubernetes refuses a rule; `isCluster`: it may be of paths. */
function checkRules(object: unknown, report: Report, isCluster: boolean): void {
  for (const [at, each] of items(member(object, "rules")).entries()) {
    const given = (name: string): boolean => items(member(each, name)).length > 0;
    const fault = (field: string, says: string, remedy: string): void => {
      const path: Path = ["rules", at, field];
      report({ code: "GL0130", path, says, remedy });
    };
    if (given("nonResourceURLs")) {
      if (!isCluster) {
        fault("nonResourceURLs", "cannot be in a Role of a namespace", "Write a ClusterRole.");
      }
      if (given("apiGroups") || given("resources") || given("resourceNames")) {
        fault("nonResourceURLs", "stands beside resources", "Make two rules of it.");
      }
      continue;
    }
    if (!given("apiGroups")) fault("apiGroups", "is missing", 'Name groups; "" is the core group.');
    if (!given("resources")) fault("resources", "is missing", 'Name resources, or "*" for all.');
  }
}

export const ROLE: KindInfo = defineKind({
  kind: "Role",
  plural: "roles",
  singular: "role",
  group: RBAC_GROUP,
  versions: ["v1"],
  nameFormat: "path-segment",
  hasStatus: false,
  schema: Type.Object({ rules }),
  check: (object, report) => {
    checkRules(object, report, false);
  },
});

export const CLUSTER_ROLE: KindInfo = defineKind({
  kind: "ClusterRole",
  plural: "clusterroles",
  singular: "clusterrole",
  group: RBAC_GROUP,
  versions: ["v1"],
  namespaced: false,
  nameFormat: "path-segment",
  hasStatus: false,
  schema: Type.Object({ rules, aggregationRule: notHonoured() }),
  check: (object, report) => {
    checkRules(object, report, true);
  },
});
