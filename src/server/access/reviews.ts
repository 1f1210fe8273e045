//! What users ask of themselves: `kubectl auth can-i` and `kubectl auth whoami`.

import { isObject, type Json } from "../patch/json.ts";
import { sendJson, type Call } from "../call.ts";
import { badRequest, refuse, refuseInvalid } from "../status.ts";
import type { Ask } from "./attributes.ts";
import { authorize, grantsOf } from "./rbac.ts";
import { userInfo } from "./user.ts";
import { readReview, type ReviewKind } from "./review-body.ts";

/** `/apis/<group>/v1/<plural>`: they are answered, and not stored. */
export const REVIEWS: readonly {
  readonly group: string;
  readonly plural: string;
  readonly kind: ReviewKind;
}[] = [
  {
    group: "authorization.k8s.io",
    plural: "selfsubjectaccessreviews",
    kind: "SelfSubjectAccessReview",
  },
  {
    group: "authorization.k8s.io",
    plural: "selfsubjectrulesreviews",
    kind: "SelfSubjectRulesReview",
  },
  { group: "authentication.k8s.io", plural: "selfsubjectreviews", kind: "SelfSubjectReview" },
  { group: "authorization.k8s.io", plural: "subjectaccessreviews", kind: "SubjectAccessReview" },
  { group: "authentication.k8s.io", plural: "tokenreviews", kind: "TokenReview" },
];

export async function reviewAccess(call: Call): Promise<void> {
  const spec = await readReview(call, "SelfSubjectAccessReview");
  const { isAllowed, reason } = authorize(call.dependencies.store, call.user, askedIn(spec));
  const status = { allowed: isAllowed, ...(reason !== "" && { reason }) };
  answer(call, "SelfSubjectAccessReview", { spec, status });
}

/** What another user may do. */
export async function reviewSubject(call: Call): Promise<void> {
  const kind = "SubjectAccessReview";
  const spec = await readReview(call, kind);
  const [name, uid, given = []] = [textOf(spec, "user"), textOf(spec, "uid"), spec["groups"]];
  if (!Array.isArray(given) || !given.every((one) => typeof one === "string")) {
    throw badRequest("groups must be a list of texts");
  }
  const ask = askedIn(spec);
  if (name === "" && given.length === 0) {
    const message = 'Invalid value: "": at least one of user or group must be specified';
    const causes = [{ reason: "FieldValueInvalid", message, field: "spec.user" }];
    throw refuseInvalid({ group: "authorization.k8s.io", kind, name: "" }, causes);
  }
  const user = { name, uid, groups: given };
  const { isAllowed, reason } = authorize(call.dependencies.store, user, ask);
  answer(call, kind, { spec, status: { allowed: isAllowed, ...(reason !== "" && { reason }) } });
}

export async function reviewRules(call: Call): Promise<void> {
  const spec = await readReview(call, "SelfSubjectRulesReview");
  const namespace = textOf(spec, "namespace");
  if (namespace === "") throw badRequest("no namespace on request");
  const { rules, missing } = grantsOf(call.dependencies.store, call.user, namespace);
  const resourceRules = rules
    .filter(({ resources = [] }) => resources.length > 0)
    .map(({ verbs, apiGroups, resources, resourceNames }) => {
      return { verbs, apiGroups, resources, ...(resourceNames !== undefined && { resourceNames }) };
    });
  const nonResourceRules = rules
    .filter(({ nonResourceURLs = [] }) => nonResourceURLs.length > 0)
    .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs }));
  const evaluationError = missing.join(", ");
  const error = evaluationError === "" ? {} : { evaluationError };
  const status = { resourceRules, nonResourceRules, incomplete: false, ...error };
  answer(call, "SelfSubjectRulesReview", { spec, status });
}

export async function reviewSelf(call: Call): Promise<void> {
  await readReview(call, "SelfSubjectReview");
  answer(call, "SelfSubjectReview", { status: { userInfo: userInfo(call.user) } });
}

export function answer(call: Call, kind: ReviewKind, body: Json): void {
  const group = REVIEWS.find((each) => each.kind === kind)?.group ?? "";
  sendJson(call, 201, { kind, apiVersion: `${group}/v1`, metadata: {}, ...body });
}

function askedIn(spec: Json): Ask {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (isObject(resource) === isObject(path)) {
    const message = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
    throw refuse(422, "Invalid", message);
  }
  if (isObject(path)) {
    return { kind: "path", verb: textOf(path, "verb"), path: textOf(path, "path") };
  }
  const text = (name: string): string => textOf(resource, name);
  return {
    kind: "resource",
    verb: text("verb"),
    group: text("group"),
    version: text("version"),
    resource: text("resource"),
    subresource: text("subresource"),
    namespace: text("namespace"),
    name: text("name"),
  };
}

function textOf(value: unknown, name: string): string {
  const text = isObject(value) ? (value[name] ?? "") : "";
  if (typeof text !== "string") throw badRequest(`${name} must be a text`);
  return text;
}
