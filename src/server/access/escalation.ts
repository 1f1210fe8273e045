//! Who may not do a thing may not grant it: what Kubernetes asks of whoever writes a role, or
//! binds one, so that nobody gives themselves more than they have.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>, its part on the prevention of
//! privilege escalation.

import { canonicalJson } from "../../base/canonical-json.ts";
import type { Resource } from "../../resources/object.ts";
import type { RoleBinding, RoleRef } from "../../resources/kinds/role-binding.ts";
import { RBAC_GROUP, type PolicyRule, type Role } from "../../resources/kinds/role.ts";
import type { KindInfo } from "../../resources/registry.ts";
import type { Call } from "../call.ts";
import { failure, StatusError } from "../status.ts";
import { resourceText, type ResourceAsk } from "./attributes.ts";
import { authorize, coversPath, grantsOf, roleNotFound, rulesOf } from "./rbac.ts";
import { isMaster } from "./user.ts";

/** Into so many rules of one verb, group and resource a role is taken apart at most. */
const SINGLE_RULES_MAX = 20_000;

/**
 * Throws 403 for a role or binding that grants what its writer does not have. `before`: what the
 * writer has seen of it; null: nothing.
 */
export function checkEscalation(
  call: Call,
  info: KindInfo,
  { before, written }: { readonly before: Resource | null; readonly written: Resource },
): void {
  if (info.group !== RBAC_GROUP || isMaster(call.user)) return;
  if (before === null || grantText(before) !== grantText(written)) checkGrant(call, info, written);
}

function checkGrant(call: Call, info: KindInfo, written: Resource): void {
  const namespace = written.metadata.namespace ?? "";
  // That of the path: what is created has none yet, for Kubernetes.
  const name = call.ask.kind === "resource" ? call.ask.name : "";
  if (info.kind === "Role" || info.kind === "ClusterRole") {
    if (mayEven(call, { verb: "escalate", resource: info.plural, namespace, name })) return;
    demandHeld(call, info, written, (written as Role).rules ?? []);
    return;
  }
  const { roleRef } = written as RoleBinding;
  const resource = roleRef.kind === "Role" ? "roles" : "clusterroles";
  if (mayEven(call, { verb: "bind", resource, namespace, name: roleRef.name })) return;
  const rules = rulesOf(call.dependencies.store, roleRef, namespace);
  if (rules === null) throw missingRole(roleRef, resource);
  demandHeld(call, info, written, rules);
}

/** But for what only says when an object may go: whoever deletes it has not granted anything. */
function grantText({ metadata, ...fields }: Resource): string {
  const { labels, annotations } = metadata;
  return canonicalJson({ ...fields, labels: labels ?? {}, annotations: annotations ?? {} });
}

/** Throws 422: what is bound stays what it was, so that who looks at a binding can rely on it. */
export function checkRoleRef(info: KindInfo, before: Resource, after: Resource): void {
  if (info.group !== RBAC_GROUP || !info.kind.endsWith("Binding")) return;
  const [old, fresh] = [before as RoleBinding, after as RoleBinding].map(({ roleRef }) => roleRef);
  if (old?.kind === fresh?.kind && old?.name === fresh?.name) return;
  const { name } = after.metadata;
  const message = "cannot change roleRef";
  const text = `${info.kind}.${info.group} ${JSON.stringify(name)} is invalid: roleRef: ${message}`;
  const causes = [{ reason: "FieldValueInvalid", message, field: "roleRef" }];
  const details = { name, group: info.group, kind: info.kind, causes };
  throw new StatusError(failure(422, "Invalid", text, details));
}

function mayEven(
  { dependencies, user }: Call,
  ask: Pick<ResourceAsk, "verb" | "resource" | "namespace" | "name">,
): boolean {
  const whole = { group: RBAC_GROUP, version: "v1", subresource: "", ...ask } as const;
  return authorize(dependencies.store, user, { kind: "resource", ...whole }).isAllowed;
}

function missingRole(roleRef: RoleRef, resource: string): StatusError {
  const message = roleNotFound(roleRef).replace(/^\w+/, resource);
  const details = { name: roleRef.name, group: RBAC_GROUP, kind: resource };
  return new StatusError(failure(404, "NotFound", message, details));
}

function demandHeld(
  { dependencies, user }: Call,
  info: KindInfo,
  { metadata }: Resource,
  rules: readonly PolicyRule[],
): void {
  const { rules: held, missing } = grantsOf(dependencies.store, user, metadata.namespace ?? "");
  const lacking = lackingOf(held, rules);
  if (lacking.length === 0) return;
  const list = [...new Set(lacking.map(ruleText))].sort();
  const errors = missing.length === 0 ? "" : `; resolution errors: ${missing.join(", ")}`;
  const why =
    `user ${JSON.stringify(user.name)} (groups=${listText(user.groups)}) is attempting to grant ` +
    `RBAC permissions not currently held:\n${list.join("\n")}${errors}`;
  const { group, plural } = info;
  const { name } = metadata;
  const what = `${resourceText({ group, resource: plural })} ${JSON.stringify(name)}`;
  const details = { name, group, kind: plural };
  throw new StatusError(failure(403, "Forbidden", `${what} is forbidden: ${why}`, details));
}

/** Those of the rules that no held rule covers, verbs of one thing together. */
function lackingOf(
  held: readonly PolicyRule[],
  rules: readonly PolicyRule[],
): readonly PolicyRule[] {
  const lacking = new Map<string, { rule: PolicyRule; verbs: string[] }>();
  let count = 0;
  for (const single of singleRulesOf(rules)) {
    count += 1;
    const isHeld = count <= SINGLE_RULES_MAX && held.some((rule) => covers(rule, single));
    if (isHeld) continue;
    const { verbs, ...thing } = single;
    const key = JSON.stringify(thing);
    const found = lacking.get(key) ?? { rule: single, verbs: [] };
    lacking.set(key, found);
    found.verbs.push(...verbs.filter((verb) => !found.verbs.includes(verb)));
    if (count > SINGLE_RULES_MAX) break;
  }
  return [...lacking.values()].map(({ rule, verbs }) => ({ ...rule, verbs }));
}

function* singleRulesOf(rules: readonly PolicyRule[]): Generator<PolicyRule> {
  for (const rule of rules) yield* singleRules(rule);
}

function* singleRules(rule: PolicyRule): Generator<PolicyRule> {
  const { verbs, apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  for (const verb of verbs) {
    for (const url of nonResourceURLs) yield { verbs: [verb], nonResourceURLs: [url] };
    for (const group of apiGroups) {
      for (const resource of resources) {
        const single = { verbs: [verb], apiGroups: [group], resources: [resource] };
        if (resourceNames.length === 0) yield single;
        for (const name of resourceNames) yield { ...single, resourceNames: [name] };
      }
    }
  }
}

function covers(owner: PolicyRule, single: PolicyRule): boolean {
  if (!hasAll(owner.verbs, single.verbs)) return false;
  const { nonResourceURLs: urls } = single;
  if (urls !== undefined) {
    const owned = owner.nonResourceURLs ?? [];
    return urls.every((path) => owned.some((url) => coversPath(url, path)));
  }
  return (
    hasAll(owner.apiGroups ?? [], single.apiGroups ?? []) &&
    coversResource(owner.resources ?? [], single.resources ?? []) &&
    coversName(owner.resourceNames ?? [], single.resourceNames?.[0])
  );
}

/** Undefined: all names. */
function coversName(owned: readonly string[], name: string | undefined): boolean {
  return owned.length === 0 || (name !== undefined && owned.includes(name));
}

function hasAll(words: readonly string[], wanted: readonly string[]): boolean {
  return words.includes("*") || wanted.every((word) => words.includes(word));
}

/** `*` stands for subresources, too, and `x` does not for `x/status`. */
function coversResource(owned: readonly string[], wanted: readonly string[]): boolean {
  if (owned.includes("*")) return true;
  return wanted.every((resource) => {
    const slash = resource.indexOf("/");
    return (
      owned.includes(resource) || (slash !== -1 && owned.includes(`*${resource.slice(slash)}`))
    );
  });
}

/** `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}` */
function ruleText(rule: PolicyRule): string {
  const parts: readonly (readonly [string, readonly string[] | undefined])[] = [
    ["APIGroups", rule.apiGroups],
    ["Resources", rule.resources],
    ["NonResourceURLs", rule.nonResourceURLs],
    ["ResourceNames", rule.resourceNames],
    ["Verbs", rule.verbs],
  ];
  const given = parts.filter(([, words]) => words !== undefined && words.length > 0);
  return `{${given.map(([name, words]) => `${name}:${listText(words ?? [])}`).join(", ")}}`;
}

/** As Go's `%q` writes a list. */
function listText(words: readonly string[]): string {
  return `[${words.map((word) => JSON.stringify(word)).join(" ")}]`;
}
