//! How an object is to be deleted: DeleteOptions of the body, or of the query.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/delete-options/>

import type { StatusCause } from "../api/types.ts";
import {
  PROPAGATIONS,
  type DeleteObjectOptions,
  type Propagation,
} from "../controlplane/store/deletion.ts";
import { isDryRun, readBody, type Call } from "./call.ts";
import type { KindPath } from "./kind-path.ts";
import { conditionsOf } from "./objects.ts";
import { isObject, type Json } from "./patch/json.ts";
import { badRequest, refuseOptions } from "./status.ts";

const POLICY = "propagationPolicy";
const ORPHAN = "orphanDependents";

/** Throws 400 and 422. */
export async function deleteOptionsOf(call: Call, path: KindPath): Promise<DeleteObjectOptions> {
  const body = (await readBody(call)) ?? {};
  if (!isObject(body)) throw badRequest("the body must be a DeleteOptions object");
  const conditions = isObject(body["preconditions"]) ? body["preconditions"] : {};
  const dryRun = isDryRun(call) || isAll(body["dryRun"]);
  const propagation = propagationOf(call, body);
  if (propagation === "Orphan" && path.info.kind === "Deployment") {
    throw badRequest("pods end with their Deployment here: delete it without --cascade=orphan");
  }
  return { ...conditionsOf(conditions), dryRun, propagation };
}

function propagationOf(call: Call, body: Json): Propagation | undefined {
  const policy = body[POLICY] ?? call.query.get(POLICY) ?? undefined;
  const orphans = orphansOf(call, body);
  if (policy === undefined) {
    if (orphans === null) return undefined;
    return orphans ? "Orphan" : "Background";
  }
  if (typeof policy !== "string") throw badRequest(`${POLICY} must be a text`);
  const causes: StatusCause[] = [];
  const value = JSON.stringify(policy);
  const fault = (reason: string, message: string): void => {
    causes.push({ reason, message, field: POLICY });
  };
  if (orphans !== null) {
    const says = "orphanDependents and deletionPropagation cannot be both set";
    fault("FieldValueInvalid", `Invalid value: ${value}: ${says}`);
  }
  const known = PROPAGATIONS.find((one) => one === policy);
  if (known === undefined) {
    const all = [...PROPAGATIONS, "nil"].map((one) => JSON.stringify(one)).join(", ");
    fault("FieldValueNotSupported", `Unsupported value: ${value}: supported values: ${all}`);
  }
  refuseOptions("DeleteOptions", causes);
  return known;
}

/** What older clients say in place of a policy; null: nothing. */
function orphansOf(call: Call, body: Json): boolean | null {
  const given = body[ORPHAN] ?? null;
  if (given !== null && typeof given !== "boolean") throw badRequest(`${ORPHAN} must be a truth`);
  if (given !== null) return given;
  const asked = call.query.get(ORPHAN);
  return asked === null ? null : !["false", "0"].includes(asked.toLowerCase());
}

function isAll(value: unknown): boolean {
  return Array.isArray(value) && value.includes("All");
}
