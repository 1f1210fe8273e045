//! The allocation as it stands in `LaneGroup.status.allocation`: read back, checked, written.
//!
//! Who is in which lane depends on history, so this part of a status is an input of the compiler.
//! It may have been edited or restored by hand: nothing of it is believed unchecked.

import { canonicalJson } from "../base/canonical-json.ts";
import { INTERVALS_MAX } from "../lane/allocation.ts";
import type { AllocationTable, Interval, LaneIntervals } from "../lane/allocation.ts";
import { PPM_TOTAL } from "../lane/key-hash.ts";
import { KEY_HASHES } from "../snapshot/cohort.ts";
import type { CohortDeal, CohortKey } from "../snapshot/cohort.ts";

/** Tables of one group: `*` and base routes with shares of their own. */
export const TABLES_MAX = 256;

export interface Allocation {
  /** Null while each request is drawn anew. */
  readonly deal: CohortDeal | null;
  /** By base route: `*`, `namespace/name` of a VirtualService, or that and `/route`. */
  readonly tables: ReadonlyMap<string, AllocationTable>;
}

export const NO_ALLOCATION: Allocation = { deal: null, tables: new Map() };

/** The form in the status; `share` is for people and not read back. */
export interface StoredAllocation {
  readonly deal: CohortDeal | null;
  readonly tables: readonly {
    readonly route: string;
    readonly lanes: readonly (LaneIntervals & { readonly sharePpm: number })[];
  }[];
}

export function storeAllocation({ deal, tables }: Allocation): StoredAllocation {
  return {
    deal,
    tables: [...tables]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([route, table]) => ({
        route,
        lanes: table.map(({ lane, intervals }) => ({
          lane,
          sharePpm: intervals.reduce((sum, [from, to]) => sum + to - from, 0),
          intervals,
        })),
      })),
  };
}

/** Whether both say the same, whatever the order of their fields. */
export function isSameAllocation(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/** Whether a status holds an allocation that can be read. */
export function isAllocation(status: unknown): boolean {
  return typeof readAllocation(status) !== "string";
}

/** What a status holds; a text says what is wrong with it. */
export function readAllocation(status: unknown): Allocation | string {
  const stored = fieldOf(status, "allocation");
  if (stored === undefined || stored === null) return NO_ALLOCATION;
  const deal = fieldOf(stored, "deal") ?? null;
  if (deal !== null && !isDeal(deal)) return "deal: a key, a hash, a salt and a modulo are needed";
  const listed = fieldOf(stored, "tables");
  if (!Array.isArray(listed)) return "tables: must be a list";
  if (listed.length > TABLES_MAX) return `tables: there are more than ${TABLES_MAX}`;
  const tables = new Map<string, AllocationTable>();
  for (const [index, entry] of (listed as readonly unknown[]).entries()) {
    const route = fieldOf(entry, "route");
    if (typeof route !== "string") return `tables[${index}].route: must be a text`;
    const table = readTable(fieldOf(entry, "lanes"));
    if (typeof table === "string") return `tables[${index}].lanes: ${table}`;
    tables.set(route, table);
  }
  return { deal, tables };
}

function readTable(value: unknown): AllocationTable | string {
  if (!Array.isArray(value)) return "must be a list";
  const table: LaneIntervals[] = [];
  for (const entry of value as readonly unknown[]) {
    const lane = fieldOf(entry, "lane");
    const intervals = fieldOf(entry, "intervals");
    if (typeof lane !== "string" || !Array.isArray(intervals) || !intervals.every(isInterval)) {
      return "each needs a lane and intervals [from, to) within [0, 1000000)";
    }
    table.push({ lane, intervals: intervals.map(([from, to]) => [from, to] as const) });
  }
  const all = table.flatMap(({ intervals }) => intervals).sort((a, b) => a[0] - b[0]);
  if (all.length > INTERVALS_MAX) return `there are more than ${INTERVALS_MAX} intervals`;
  const clash = all.find(([from], index) => index > 0 && from < (all[index - 1]?.[1] ?? 0));
  if (clash !== undefined) return `two intervals hold bucket ${clash[0]}`;
  if (new Set(table.map(({ lane }) => lane)).size < table.length) return "a lane stands twice";
  return table.sort((a, b) => (a.lane < b.lane ? -1 : 1));
}

function isInterval(value: unknown): value is Interval {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [from, to] = value as readonly unknown[];
  if (!Number.isInteger(from) || !Number.isInteger(to)) return false;
  return (from as number) >= 0 && (from as number) < (to as number) && (to as number) <= PPM_TOTAL;
}

function isDeal(value: unknown): value is CohortDeal {
  const hash = fieldOf(value, "hash");
  const modulo = fieldOf(value, "modulo");
  return (
    isKey(fieldOf(value, "key")) &&
    KEY_HASHES.some((known) => known === hash) &&
    typeof fieldOf(value, "salt") === "string" &&
    typeof modulo === "number" &&
    PPM_TOTAL % modulo === 0
  );
}

function isKey(value: unknown): value is CohortKey {
  const name = fieldOf(value, "name");
  switch (fieldOf(value, "kind")) {
    case "clientIp":
      return true;
    case "issuedCookie":
      return typeof name === "string" && Number.isInteger(fieldOf(value, "maxAgeSeconds"));
    case "header":
    case "cookie":
    case "claim":
      return typeof name === "string";
    default:
      return false;
  }
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
