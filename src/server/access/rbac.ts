//! Who may do what: Kubernetes' RBAC over the roles and bindings of the store. There are only
//! grants: what no rule grants is forbidden.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

import { canonicalJson } from "../../base/canonical-json.ts";
import type { ResourceStore } from "../../controlplane/store/store.ts";
import type { RoleBinding, RoleRef, Subject } from "../../resources/kinds/role-binding.ts";
import { RBAC_GROUP, type PolicyRule, type Role } from "../../resources/kinds/role.ts";
import type { Ask, PathAsk, ResourceAsk } from "./attributes.ts";
import { accountUserName, isMaster, type User } from "./user.ts";

type Reader = Pick<ResourceStore, "get" | "list">;

export type Decision =
  | { readonly isAllowed: true; readonly reason: string }
  | { readonly isAllowed: false; readonly reason: string };

/** What a user has in a namespace, and which roles of theirs could not be found. */
export interface Grants {
  readonly rules: readonly PolicyRule[];
  /** In Kubernetes' words. */
  readonly missing: readonly string[];
}

/** Everything; nobody can take it from `system:masters`. */
export const EVERYTHING: readonly PolicyRule[] = [
  { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
  { verbs: ["*"], nonResourceURLs: ["*"] },
];

/** The reason names the binding that allows, or the roles that were not found. */
export function authorize(store: Reader, user: User, ask: Ask): Decision {
  if (isMaster(user)) return { isAllowed: true, reason: "" };
  const namespace = ask.kind === "resource" ? ask.namespace : "";
  const missing: string[] = [];
  for (const granted of grantedTo(store, user, namespace)) {
    if (granted.rules === null) missing.push(granted.reason);
    else if (granted.rules.some((rule) => ruleAllows(rule, ask))) {
      return { isAllowed: true, reason: granted.reason };
    }
  }
  return { isAllowed: false, reason: missing.length === 0 ? "" : `RBAC: ${joined(missing)}` };
}

/** The rules of a user; without a namespace only those that hold everywhere. */
export function grantsOf(store: Reader, user: User, namespace: string): Grants {
  const all = [...grantedTo(store, user, namespace)];
  const rules = all.flatMap((granted) => granted.rules ?? []);
  if (isMaster(user)) {
    // They have it, too, when nothing binds cluster-admin any more.
    const whole = new Set(EVERYTHING.map((rule) => canonicalJson(rule)));
    const others = rules.filter((rule) => !whole.has(canonicalJson(rule)));
    return { rules: [...EVERYTHING, ...others], missing: [] };
  }
  return {
    rules,
    missing: all.filter(({ rules }) => rules === null).map(({ reason }) => reason),
  };
}

/** Null: there is no such role. */
export function rulesOf(
  store: Reader,
  { kind, name }: RoleRef,
  namespace: string,
): readonly PolicyRule[] | null {
  const key =
    kind === "ClusterRole"
      ? { group: RBAC_GROUP, plural: "clusterroles", namespace: "", name }
      : { group: RBAC_GROUP, plural: "roles", namespace, name };
  const role = store.get(key) as Role | undefined;
  return role === undefined ? null : (role.rules ?? []);
}

/** As an aggregate of errors is written in Go. */
function joined(texts: readonly string[]): string {
  const all = [...new Set(texts)];
  return all.length === 1 ? (all[0] ?? "") : `[${all.join(", ")}]`;
}

export function roleNotFound({ kind, name }: RoleRef): string {
  return `${kind.toLowerCase()}.${RBAC_GROUP} ${JSON.stringify(name)} not found`;
}

interface Granted {
  /** Null: the role was not found. */
  readonly rules: readonly PolicyRule[] | null;
  readonly reason: string;
}

function* grantedTo(store: Reader, user: User, namespace: string): Generator<Granted> {
  const group = RBAC_GROUP;
  const cluster = store.list({ group, plural: "clusterrolebindings" }).items;
  const local =
    namespace === "" ? [] : store.list({ group, plural: "rolebindings", namespace }).items;
  for (const each of [...cluster, ...local]) {
    const { roleRef, subjects, metadata } = each as RoleBinding;
    const own = metadata.namespace ?? "";
    const subject = (subjects ?? []).find((one) => isSubject(one, user, own));
    if (subject === undefined) continue;
    const rules = rulesOf(store, roleRef, own);
    const binding = own === "" ? metadata.name : `${metadata.name}/${own}`;
    const reason =
      rules === null
        ? roleNotFound(roleRef)
        : `RBAC: allowed by ${each.kind} ${JSON.stringify(binding)} of ${roleRef.kind} ` +
          `${JSON.stringify(roleRef.name)} to ${subjectText(subject, own)}`;
    yield { rules, reason };
  }
}

function isSubject(subject: Subject, user: User, namespaceOfBinding: string): boolean {
  switch (subject.kind) {
    case "User":
      return user.name === subject.name;
    case "Group":
      return user.groups.includes(subject.name);
    case "ServiceAccount": {
      const namespace = namespaceOfAccount(subject, namespaceOfBinding);
      return namespace !== "" && user.name === accountUserName({ namespace, name: subject.name });
    }
  }
}

function namespaceOfAccount({ namespace = "" }: Subject, namespaceOfBinding: string): string {
  return namespace === "" ? namespaceOfBinding : namespace;
}

function subjectText(subject: Subject, namespaceOfBinding: string): string {
  const { kind, name } = subject;
  if (kind !== "ServiceAccount") return `${kind} ${JSON.stringify(name)}`;
  return `${kind} ${JSON.stringify(`${name}/${namespaceOfAccount(subject, namespaceOfBinding)}`)}`;
}

export function ruleAllows(rule: PolicyRule, ask: Ask): boolean {
  if (!hasOrAll(rule.verbs, ask.verb)) return false;
  return ask.kind === "path" ? pathAllowed(rule, ask) : resourceAllowed(rule, ask);
}

function pathAllowed({ nonResourceURLs = [] }: PolicyRule, { path }: PathAsk): boolean {
  return nonResourceURLs.some((url) => coversPath(url, path));
}

/** A rule's path may end in `*`. */
export function coversPath(url: string, path: string): boolean {
  if (url === "*" || url === path) return true;
  return url.endsWith("*") && path.startsWith(url.replace(/\*+$/, ""));
}

function resourceAllowed(rule: PolicyRule, ask: ResourceAsk): boolean {
  const { resources = [], resourceNames = [] } = rule;
  if (!hasOrAll(rule.apiGroups ?? [], ask.group)) return false;
  const { resource, subresource } = ask;
  const combined = subresource === "" ? resource : `${resource}/${subresource}`;
  const isResource =
    hasOrAll(resources, combined) || (subresource !== "" && resources.includes(`*/${subresource}`));
  if (!isResource) return false;
  return resourceNames.length === 0 || resourceNames.includes(ask.name);
}

function hasOrAll(words: readonly string[], word: string): boolean {
  return words.includes("*") || words.includes(word);
}
