//! The spec of a review.

import { isObject, type Json } from "../patch/json.ts";
import { readBody, type Call } from "../call.ts";
import { badRequest } from "../status.ts";

export type ReviewKind =
  | "SelfSubjectAccessReview"
  | "SelfSubjectRulesReview"
  | "SelfSubjectReview"
  | "SubjectAccessReview"
  | "TokenReview";

/** Throws 400 or 415. */
export async function readReview(call: Call, kind: ReviewKind): Promise<Json> {
  const body = (await readBody(call)) ?? {};
  if (!isObject(body)) throw badRequest("the body must be an object");
  if ((body["kind"] ?? kind) !== kind) throw badRequest(`the kind must be ${kind}`);
  return isObject(body["spec"]) ? body["spec"] : {};
}
