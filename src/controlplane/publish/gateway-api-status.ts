//! Statuses of the Gateway API's objects, whose shape is the specification's own.
//!
//! What others have written is kept: conditions of other types, entries of other controllers.

import { contentHash } from "../../base/canonical-json.ts";
import { timestamp } from "../../base/clock.ts";
import type { Resource } from "../../resources/object.ts";
import { isRecord } from "./inputs.ts";
import type { StatusWrite } from "./object-status.ts";

type Fields = Readonly<Record<string, unknown>>;

interface Moment {
  readonly observedGeneration: number;
  readonly nowMs: number;
}

/** The status with what is wanted in it; null: it says so already. */
export function nextApiStatus(
  resource: Resource,
  wanted: Fields,
  nowMs: number,
): StatusWrite["status"] | null {
  const current = isRecord(resource.status) ? resource.status : {};
  const moment = { observedGeneration: resource.metadata.generation ?? 0, nowMs };
  const next: Record<string, unknown> = {};
  for (const [field, value] of Object.entries({ ...current, ...wanted })) {
    if (value !== undefined) next[field] = value;
  }
  if (wanted["conditions"] !== undefined) {
    next["conditions"] = conditionsOf(current, wanted, moment);
  }
  for (const [field, identity] of Object.entries(IDENTITIES)) {
    if (wanted[field] === undefined) continue;
    next[field] = entriesOf(listOf(current[field]), listOf(wanted[field]), identity, moment);
  }
  return contentHash(next) === contentHash(current) ? null : next;
}

/** What tells one entry of a list from another. */
const IDENTITIES: Readonly<Record<string, (entry: Fields) => string>> = {
  listeners: ({ name }) => String(name),
  parents: ({ parentRef, controllerName }) => contentHash({ parentRef, controllerName }),
};

function entriesOf(
  old: readonly Fields[],
  wanted: readonly Fields[],
  identity: (entry: Fields) => string,
  moment: Moment,
): Fields[] {
  const before = new Map(old.map((entry) => [identity(entry), entry]));
  const controllers = new Set(wanted.map(({ controllerName }) => controllerName));
  const others = old.filter(
    ({ controllerName }) => controllerName !== undefined && !controllers.has(controllerName),
  );
  const own = wanted.map((entry) => ({
    ...entry,
    conditions: conditionsOf(before.get(identity(entry)) ?? {}, entry, moment),
  }));
  return [...own, ...others];
}

/** Ours, each with the time since when it has been so, then those of other types. */
function conditionsOf(old: Fields, wanted: Fields, moment: Moment): Fields[] {
  const before = listOf(old["conditions"]);
  const own = listOf(wanted["conditions"]);
  const types = new Set([...own.map(({ type }) => type), ...OPTIONAL_TYPES]);
  return [
    ...own.map((condition) => {
      const same = before.find(
        ({ type, status }) => type === condition["type"] && status === condition["status"],
      );
      const since = same?.["lastTransitionTime"];
      return {
        ...condition,
        observedGeneration: moment.observedGeneration,
        lastTransitionTime: typeof since === "string" ? since : timestamp(moment.nowMs),
      };
    }),
    ...before.filter(({ type }) => !types.has(type)),
  ];
}

/** Conditions of ours that are there only while they are true. */
const OPTIONAL_TYPES: readonly unknown[] = ["PartiallyInvalid"];

function listOf(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
