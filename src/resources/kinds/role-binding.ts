//! rbac.authorization.k8s.io RoleBinding and ClusterRoleBinding: who has which role.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { oneOf, text } from "./fields.ts";
import { column, defineKind, described, wideColumn } from "./kind.ts";
import type { JsonObject, KindInfo, Path, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { RBAC_GROUP } from "./role.ts";

export interface Subject {
  readonly kind: "User" | "Group" | "ServiceAccount";
  readonly apiGroup?: string;
  readonly name: string;
  /** Of a ServiceAccount. */
  readonly namespace?: string;
}

export interface RoleRef {
  readonly apiGroup: string;
  readonly kind: "Role" | "ClusterRole";
  readonly name: string;
}

/** Also a ClusterRoleBinding. */
export interface RoleBinding extends Resource {
  readonly roleRef: RoleRef;
  readonly subjects?: readonly Subject[] | null;
}

const SUBJECTS_MAX = 10_000;

const subject = Type.Object({
  kind: oneOf(["User", "Group", "ServiceAccount"]),
  apiGroup: Type.Optional(Type.String()),
  name: text(),
  namespace: Type.Optional(Type.String()),
});
const subjects = Type.Optional(
  Type.Unsafe<readonly Subject[]>({
    type: ["array", "null"],
    items: described<Subject, typeof subject>(subject),
    maxItems: SUBJECTS_MAX,
  }),
);

function roleRefOf(kinds: readonly RoleRef["kind"][]): object {
  return Type.Object({
    apiGroup: Type.String({ default: RBAC_GROUP }),
    kind: oneOf(kinds),
    name: text("path-segment"),
  });
}

function fill(object: JsonObject): void {
  for (const each of items(member(object, "subjects"))) {
    if (typeof each !== "object" || each === null) continue;
    const given = each as JsonObject;
    if (given["kind"] === "ServiceAccount") continue;
    given["apiGroup"] ??= RBAC_GROUP;
  }
}

function check(object: JsonObject, report: Report, isCluster: boolean): void {
  const code = "GL0130";
  if ((member(member(object, "roleRef"), "apiGroup") ?? RBAC_GROUP) !== RBAC_GROUP) {
    const says = `must be ${RBAC_GROUP}`;
    report({ code, path: ["roleRef", "apiGroup"], says, remedy: "Leave it out." });
  }
  for (const [at, each] of items(member(object, "subjects")).entries()) {
    const path = (field: string): Path => ["subjects", at, field];
    const fault = (field: string, says: string, remedy: string): void => {
      report({ code, path: path(field), says, remedy });
    };
    if (member(each, "kind") === "ServiceAccount") checkAccount(each, fault, isCluster);
    else checkUser(each, fault);
  }
}

type Fault = (field: string, says: string, remedy: string) => void;

function checkAccount(subject: unknown, fault: Fault, isCluster: boolean): void {
  if ((member(subject, "apiGroup") ?? "") !== "") {
    fault("apiGroup", "must be empty", "Leave it out.");
  }
  if (isCluster && (member(subject, "namespace") ?? "") === "") {
    fault("namespace", "is missing", "Name the namespace of the ServiceAccount.");
  }
}

function checkUser(subject: unknown, fault: Fault): void {
  if ((member(subject, "apiGroup") ?? RBAC_GROUP) !== RBAC_GROUP) {
    fault("apiGroup", `must be ${RBAC_GROUP}`, "Leave it out.");
  }
  if ((member(subject, "namespace") ?? "") !== "") {
    fault("namespace", "is only for a ServiceAccount", "Leave it out.");
  }
}

function subjectNames(binding: Resource, kind: Subject["kind"]): string {
  const all = (binding as RoleBinding).subjects ?? [];
  const names = all
    .filter((each) => each.kind === kind)
    .map(({ name, namespace }) => {
      return kind === "ServiceAccount" ? `${namespace ?? ""}/${name}` : name;
    });
  return names.join(", ");
}

const common = {
  group: RBAC_GROUP,
  versions: ["v1"],
  hasStatus: false,
  nameFormat: "path-segment",
  fill,
  columns: [
    column("ROLE", (object) => {
      const { kind, name } = (object as RoleBinding).roleRef;
      return `${kind}/${name}`;
    }),
    wideColumn("USERS", (object) => subjectNames(object, "User")),
    wideColumn("GROUPS", (object) => subjectNames(object, "Group")),
    wideColumn("SERVICEACCOUNTS", (object) => subjectNames(object, "ServiceAccount")),
  ],
} as const;

export const ROLE_BINDING: KindInfo = defineKind({
  ...common,
  kind: "RoleBinding",
  plural: "rolebindings",
  singular: "rolebinding",
  schema: Type.Object({ roleRef: roleRefOf(["Role", "ClusterRole"]), subjects }),
  check: (object, report) => {
    check(object, report, false);
  },
});

export const CLUSTER_ROLE_BINDING: KindInfo = defineKind({
  ...common,
  kind: "ClusterRoleBinding",
  plural: "clusterrolebindings",
  singular: "clusterrolebinding",
  namespaced: false,
  schema: Type.Object({ roleRef: roleRefOf(["ClusterRole"]), subjects }),
  check: (object, report) => {
    check(object, report, true);
  },
});
