//! PATCH of one object, in the four forms that Kubernetes knows.
//!
//! The patch is made against the object as it is, and written on condition that it is still so;
//! when another write came between, it is made again.

import { applyPatch, type Operation } from "rfc6902";
import { keyText, type StoreKey } from "../../controlplane/store/store.ts";
import type { Resource } from "../../resources/object.ts";
import { apiVersionOf } from "../../resources/registry.ts";
import { demand } from "../access/authenticate.ts";
import { isDryRun, parameter, readPatch, type Call } from "../call.ts";
import { managerOf, writeObject, type Written } from "../objects.ts";
import { keyOfPath, kindPathOf, present, type KindPath } from "../kind-path.ts";
import { badRequest, failure, notFound, refuse, StatusError } from "../status.ts";
import { isObject, isUnsafeName, type Json } from "./json.ts";
import { hasStrategicMerge, listRulesOf } from "./list-rules.ts";
import { applyFields, type Conflict } from "./managed-fields.ts";
import { mergePatch } from "./merge-patch.ts";
import { PatchError, strategicMerge } from "./strategic-merge.ts";

export const JSON_PATCH = "application/json-patch+json";
export const MERGE_PATCH = "application/merge-patch+json";
const STRATEGIC_PATCH = "application/strategic-merge-patch+json";
const APPLY_PATCH = "application/apply-patch+yaml";
const TYPES = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH];

/** How often a patch is made again when another write came between (Kubernetes' number). */
const TRIES_MAX = 5;
const OPERATIONS_MAX = 10_000;

interface Patch {
  readonly type: string;
  readonly body: unknown;
  readonly path: KindPath;
  readonly key: StoreKey;
}

export function patchObject(call: Call): Promise<void> {
  return patchPart(call, "");
}

export function patchObjectStatus(call: Call): Promise<void> {
  return patchPart(call, "status");
}

async function patchPart(call: Call, subresource: "" | "status"): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const { type, body } = await readPatch(call, TYPES);
  if (type === STRATEGIC_PATCH && !hasStrategicMerge(path.info.group)) {
    const message = `${path.info.kind} has no strategic merge: send ${MERGE_PATCH} instead`;
    throw refuse(415, "UnsupportedMediaType", message);
  }
  for (let tries = 1; ; tries += 1) {
    const live = call.dependencies.store.get(key) ?? null;
    const written: Written = {
      ...patched(call, { type, body, path, key }, live, subresource),
      path,
      key,
      existing: live,
      subresource,
      dryRun: isDryRun(call),
    };
    try {
      await writeObject(call, written);
      return;
    } catch (error) {
      // The client's own condition may not be tried again: it would mean another object.
      const isConditional = isObject(body) && conditionOf(body) !== undefined;
      if (!isConflict(error) || isConditional || tries === TRIES_MAX) throw error;
    }
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof StatusError && error.status.reason === "Conflict";
}

function conditionOf(body: Json): unknown {
  return isObject(body["metadata"]) ? body["metadata"]["resourceVersion"] : undefined;
}

function patched(
  call: Call,
  patch: Patch,
  live: Resource | null,
  subresource: "" | "status",
): Pick<Written, "body" | "ifRevision" | "isManaged"> {
  if (patch.type === APPLY_PATCH) return applied(call, patch, live, subresource);
  if (live === null) throw notFound(keyText(patch.key));
  const before = present(patch.path, live) as unknown as Json;
  const body = changed(patch, before);
  if (!isObject(body)) throw badRequest("the patch does not leave an object");
  const condition = conditionOf(body);
  const ifRevision = typeof condition === "string" ? condition : live.metadata.resourceVersion;
  return { body, ifRevision, isManaged: false };
}

function changed({ type, body, path }: Patch, before: Json): unknown {
  switch (type) {
    case JSON_PATCH:
      return jsonPatched(before, body);
    case MERGE_PATCH:
      return mergePatch(before, body);
    default:
      if (!isObject(body)) throw badRequest("a strategic merge patch must be an object");
      try {
        return strategicMerge(before, body, listRulesOf(path.info.group, path.info.kind));
      } catch (error) {
        throw error instanceof PatchError ? badRequest(error.message) : error;
      }
  }
}

/** RFC 6902; a failed operation refuses the whole patch. */
export function jsonPatched(before: Json, body: unknown): unknown {
  if (!Array.isArray(body)) throw badRequest("a JSON patch must be a list of operations");
  if (body.length > OPERATIONS_MAX) {
    throw refuse(413, "RequestEntityTooLarge", `a patch may have ${OPERATIONS_MAX} operations`);
  }
  const after = structuredClone(before);
  for (const [at, operation] of body.entries()) {
    const pointer: unknown = isObject(operation) ? operation["path"] : undefined;
    if (typeof pointer !== "string" || pointer.split("/").some(isUnsafeName)) {
      throw badRequest(`operation ${at} of the patch has no usable path`);
    }
    const [problem] = applyPatch(after, [operation as Operation]);
    if (problem === null || problem === undefined) continue;
    const message = `operation ${at} of the patch, ${JSON.stringify(operation)}, failed: `;
    throw refuse(422, "Invalid", `${message}${problem.message || problem.name}`);
  }
  return after;
}

function applied(
  call: Call,
  { body, path, key }: Patch,
  live: Resource | null,
  subresource: "" | "status",
): Pick<Written, "body" | "ifRevision" | "isManaged"> {
  if (!isObject(body)) throw badRequest("what is applied must be an object");
  const metadata = isObject(body["metadata"]) ? body["metadata"] : {};
  if (metadata["managedFields"] !== undefined) {
    throw badRequest("metadata.managedFields must not be set in what is applied");
  }
  if (live === null) {
    if (subresource !== "") throw notFound(keyText(key));
    demand(call, { ...call.ask, verb: "create" });
  }
  if (!call.query.has("fieldManager")) {
    throw badRequest("fieldManager is required for an apply: who applies?");
  }
  const { info, version } = path;
  const writer = managerOf(call, path, subresource);
  const named = { ...body, metadata: { ...metadata, name: key.name } };
  const outcome = applyFields(
    live === null ? null : present(path, live),
    named,
    { ...writer, rules: listRulesOf(info.group, info.kind) },
    isTrue(call.query.get("force")),
  );
  if (outcome.kind === "conflicts") throw conflicting(outcome.conflicts);
  const { object } = outcome;
  const condition = conditionOf(body);
  const ifRevision = typeof condition === "string" ? condition : live?.metadata.resourceVersion;
  const withKind = { ...object, apiVersion: apiVersionOf(info, version), kind: info.kind };
  return { body: withKind, ifRevision, isManaged: true };
}

function isTrue(text: string | null): boolean {
  return text === "true" || text === "1";
}

/** In the words of a Kubernetes API server, which kubectl shows and looks into. */
function conflicting(conflicts: readonly Conflict[]): StatusError {
  const plural = conflicts.length === 1 ? "conflict" : "conflicts";
  const causes = conflicts.map(({ manager, operation, apiVersion, field }) => {
    const how = operation === "Update" ? ` using ${apiVersion}` : "";
    const message = `conflict with ${JSON.stringify(manager)}${how}`;
    return { reason: "FieldManagerConflict", message, field };
  });
  const list = causes.map(({ message, field }) => `${message}: ${field}`).join("; ");
  const text = `Apply failed with ${conflicts.length} ${plural}: ${list}`;
  return new StatusError(failure(409, "Conflict", text, { causes }));
}
