//! What the compiler has to say about an object, as the object's `status`.
//!
//! The shape is Istio's (`conditions`, `validationMessages`), so its tools can show it.

import { contentHash } from "../../base/canonical-json.ts";
import { timestamp } from "../../base/clock.ts";
import { bringsPlugin } from "../../compile/plugin-kinds.ts";
import type { Fault, Severity } from "../../resources/fault.ts";
import { refOf, refText } from "../../resources/object.ts";
import type { Resource } from "../../resources/object.ts";
import { nextApiStatus } from "./gateway-api-status.ts";
import { FINDINGS, hasFindings, isRecord, without } from "./inputs.ts";

/** How many messages one object's status carries; `analyze` prints all. */
const MESSAGES_MAX = 32;

const LEVELS: Readonly<Record<Severity, string>> = {
  error: "ERROR",
  warning: "WARNING",
  info: "INFO",
};

const FETCHING = "GL0411";

/** What a plug-in's condition says in a word, in place of `Invalid`; part of our interface. */
const REASONS: Readonly<Record<string, string>> = {
  GL0402: "Unreadable",
  GL0403: "NotWasm",
  GL0404: "WrongDigest",
  GL0406: "TooLarge",
  GL0407: "NotFound",
  GL0408: "Unreachable",
  GL0409: "Unauthorized",
  GL0410: "NoPluginInImage",
  GL0411: "Fetching",
  GL0412: "BadPullSecret",
  GL0414: "WrongAbi",
  GL0415: "MissingImport",
  GL0416: "WrongSignature",
  GL0417: "BadModule",
  GL0418: "Refused",
};

export interface ValidationMessage {
  readonly type: { readonly name: string; readonly code: string };
  readonly level: string;
  readonly message: string;
}

export interface Condition {
  readonly type: "Accepted";
  readonly status: "True" | "False" | "Unknown";
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

/** What the compiler and the nodes say of the objects. */
export interface Said {
  readonly faults: readonly Fault[];
  /** By `refText`: fields that the object's status has beside its messages. */
  readonly findings: ReadonlyMap<string, Findings>;
  /** By `refText`: the whole of what the status of an object of the Gateway API says. */
  readonly gatewayApi?: ReadonlyMap<string, Findings>;
}

type Findings = Readonly<Record<string, unknown>>;

/** The statuses to write so that each object tells its own faults, and no others. */
export function statusWrites(
  resources: readonly Resource[],
  { faults, findings, gatewayApi }: Said,
  nowMs: number,
): StatusWrite[] {
  const byObject = new Map<string, Fault[]>();
  for (const fault of faults) {
    if (fault.object === null) continue;
    const key = refText(fault.object);
    const list = byObject.get(key);
    if (list === undefined) byObject.set(key, [fault]);
    else list.push(fault);
  }
  const writes: StatusWrite[] = [];
  for (const resource of resources) {
    const key = refText(refOf(resource));
    const own = { faults: byObject.get(key) ?? [], findings: findings.get(key) };
    const wanted = gatewayApi?.get(key);
    const status =
      wanted === undefined
        ? nextStatus(resource, own, nowMs)
        : nextApiStatus(resource, withMessages(wanted, own.faults), nowMs);
    if (status !== null) writes.push({ resource, status });
  }
  return writes;
}

/**
 * Null when the status says it already, or when there is nothing to say and nothing was said. Of a
 * plug-in it is always said whether it is ready: it may have to be fetched.
 */
function nextStatus(
  resource: Resource,
  own: { readonly faults: readonly Fault[]; readonly findings: Findings | undefined },
  nowMs: number,
): StatusWrite["status"] | null {
  const { faults } = own;
  const current = isRecord(resource.status) ? resource.status : {};
  const conditions = listOf(current["conditions"]);
  const old = conditions.filter(isRecord).find((one) => one["type"] === "Accepted");
  const isSilent = faults.length === 0 && own.findings === undefined && !bringsPlugin(resource);
  if (old === undefined && isSilent) return null;

  const validationMessages = faults.slice(0, MESSAGES_MAX).map(messageOf);
  const condition = conditionOf(resource, faults);
  const found = withFindings(resource, current, own.findings);
  const same =
    found === current &&
    old !== undefined &&
    Object.entries(condition).every(([name, value]) => old[name] === value) &&
    JSON.stringify(current["validationMessages"] ?? []) === JSON.stringify(validationMessages);
  if (same) return null;
  const lastTransitionTime = transitionTime(old, condition.status) ?? timestamp(nowMs);
  return {
    ...found,
    observedGeneration: condition.observedGeneration,
    conditions: [...conditions.filter((one) => one !== old), { ...condition, lastTransitionTime }],
    validationMessages,
  };
}

/** Since when the condition has been so; undefined: it was not. */
function transitionTime(
  old: Readonly<Record<string, unknown>> | undefined,
  status: Condition["status"],
): string | undefined {
  const since = old?.["status"] === status ? old["lastTransitionTime"] : undefined;
  return typeof since === "string" ? since : undefined;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

/** By status: the findings that it says. Most passes find nothing new of thousands of lanes. */
const judged = new WeakMap<StatusWrite["status"], Findings>();

/** `current` itself when it says the same of the lane already. */
function withFindings(
  resource: Resource,
  current: StatusWrite["status"],
  findings: Findings | undefined,
): StatusWrite["status"] {
  if (!hasFindings(resource)) return current;
  if (findings !== undefined && judged.get(current) === findings) return current;
  const names = new Set(FINDINGS);
  const rest = without(current, names);
  // What was found for a lane whose group is gone goes too.
  const next = { ...rest, ...findings };
  if (contentHash(next) !== contentHash(current)) return next;
  if (findings !== undefined) judged.set(current, findings);
  return current;
}

function conditionOf(
  resource: Resource,
  faults: readonly Fault[],
): Omit<Condition, "lastTransitionTime"> {
  const errors = faults.filter((fault) => fault.severity === "error");
  const first = errors[0] ?? faults[0];
  const isWaiting = faults.some(({ code }) => code === FETCHING);
  return {
    type: "Accepted",
    status: errors.length > 0 ? "False" : isWaiting ? "Unknown" : "True",
    reason: reasonOf(errors, faults),
    message: first === undefined ? "" : `${first.code}: ${first.message}`,
    observedGeneration: resource.metadata.generation ?? 0,
  };
}

function reasonOf(errors: readonly Fault[], faults: readonly Fault[]): string {
  const error = errors[0];
  if (error !== undefined) return REASONS[error.code] ?? "Invalid";
  const notice = faults[0];
  if (notice === undefined) return "Accepted";
  return REASONS[notice.code] ?? "HasMessages";
}

function withMessages(wanted: Findings, faults: readonly Fault[]): Findings {
  const messages = faults.slice(0, MESSAGES_MAX).map(messageOf);
  return { ...wanted, validationMessages: messages.length === 0 ? undefined : messages };
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
