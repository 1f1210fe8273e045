//! What the compiler has to say about an object, as the object's `status`.
//!
//! The shape is Istio's (`conditions`, `validationMessages`), so its tools can show it.

import { timestamp } from "../../base/clock.ts";
import type { Fault, Severity } from "../../resources/fault.ts";
import { refOf } from "../../resources/object.ts";
import type { ObjectRef, Resource } from "../../resources/object.ts";
import { isRecord } from "./inputs.ts";

/** How many messages one object's status carries; `analyze` prints all. */
const MESSAGES_MAX = 32;

const LEVELS: Readonly<Record<Severity, string>> = {
  error: "ERROR",
  warning: "WARNING",
  info: "INFO",
};

export interface ValidationMessage {
  readonly type: { readonly name: string; readonly code: string };
  readonly level: string;
  readonly message: string;
}

export interface Condition {
  readonly type: "Accepted";
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

/** One status that is not what it should be. */
export interface StatusWrite {
  readonly resource: Resource;
  readonly status: Readonly<Record<string, unknown>>;
}

/** The statuses to write so that each object tells its own faults, and no others. */
export function statusWrites(
  resources: readonly Resource[],
  faults: readonly Fault[],
  nowMs: number,
): StatusWrite[] {
  const byObject = new Map<string, Fault[]>();
  for (const fault of faults) {
    if (fault.object === null) continue;
    const key = keyOf(fault.object);
    const list = byObject.get(key);
    if (list === undefined) byObject.set(key, [fault]);
    else list.push(fault);
  }
  const writes: StatusWrite[] = [];
  for (const resource of resources) {
    const own = byObject.get(keyOf(refOf(resource))) ?? [];
    const status = nextStatus(resource, own, nowMs);
    if (status !== null) writes.push({ resource, status });
  }
  return writes;
}

/** Null when the status says it already, or when there is nothing to say and nothing was said. */
function nextStatus(
  resource: Resource,
  faults: readonly Fault[],
  nowMs: number,
): StatusWrite["status"] | null {
  const current = isRecord(resource.status) ? resource.status : {};
  const conditions = Array.isArray(current["conditions"])
    ? (current["conditions"] as unknown[])
    : [];
  const old = conditions.find((one) => isRecord(one) && one["type"] === "Accepted");
  if (faults.length === 0 && old === undefined) return null;

  const validationMessages = faults.slice(0, MESSAGES_MAX).map(messageOf);
  const condition = conditionOf(resource, faults);
  const same =
    isRecord(old) &&
    Object.entries(condition).every(([name, value]) => old[name] === value) &&
    JSON.stringify(current["validationMessages"] ?? []) === JSON.stringify(validationMessages);
  if (same) return null;

  const sameTransition = isRecord(old) && old["status"] === condition.status;
  const since = sameTransition ? old["lastTransitionTime"] : undefined;
  const lastTransitionTime = typeof since === "string" ? since : timestamp(nowMs);
  return {
    ...current,
    observedGeneration: condition.observedGeneration,
    conditions: [...conditions.filter((one) => one !== old), { ...condition, lastTransitionTime }],
    validationMessages,
  };
}

function conditionOf(
  resource: Resource,
  faults: readonly Fault[],
): Omit<Condition, "lastTransitionTime"> {
  const errors = faults.filter((fault) => fault.severity === "error");
  const first = errors[0] ?? faults[0];
  return {
    type: "Accepted",
    status: errors.length === 0 ? "True" : "False",
    reason: errors.length > 0 ? "Invalid" : faults.length > 0 ? "HasMessages" : "Accepted",
    message: first === undefined ? "" : `${first.code}: ${first.message}`,
    observedGeneration: resource.metadata.generation ?? 0,
  };
}

function messageOf(fault: Fault): ValidationMessage {
  const remedy = fault.remedy === "" ? "" : `. ${fault.remedy}`;
  const path = fault.path === "" ? "" : `${fault.path}: `;
  return {
    type: { name: fault.code, code: fault.code },
    level: LEVELS[fault.severity],
    message: `${path}${fault.message}${remedy}`,
  };
}

function keyOf(ref: ObjectRef): string {
  return `${ref.kind} ${ref.namespace}/${ref.name}`;
}
