//! Shares at work: which lane's interval the bucket of a request falls into.
//!
//! The buckets come from a key (sticky) or from a draw for each request. Who has which buckets was
//! decided by `allocate`; here it is only looked up, in a table for each base route.

import type { CohortDeal, CohortInterval, CohortKey, Cohorts } from "../snapshot/cohort.ts";
import { makeKeyHash, PPM_TOTAL } from "./key-hash.ts";
import type { KeyHash } from "./key-hash.ts";
import type { OperandLookup } from "./program.ts";

/** The table of every base route that has none of its own. */
export const DEFAULT_TABLE = "*";

/** What a share needs of a request. */
export interface CohortInput {
  /** Of the base route; null: no route matches. */
  readonly routeId: string | null;
  readonly read: OperandLookup;
  /** A new id for a client without the cookie; undefined: none is made here (explain). */
  issueId(key: IssuedCookie): string | undefined;
  /** Uniform in [0, limit). */
  below(limit: number): number;
}

export type IssuedCookie = Extract<CohortKey, { readonly kind: "issuedCookie" }>;

/** What an issued id looks like; anything else is replaced by a new one. */
const ISSUED_ID = /^[A-Za-z0-9_-]{16,64}$/;

export interface PreparedCohorts {
  readonly cohorts: Cohorts;
  /** Null: a draw for each request. */
  readonly sticky: { readonly deal: CohortDeal; readonly hash: KeyHash } | null;
  readonly tables: ReadonlyMap<string, readonly CohortInterval[]>;
  readonly everyOther: readonly CohortInterval[];
}

export interface CohortExplanation {
  /** `*`, or the base route whose own shares count. */
  readonly table: string;
  /** Null: a draw for each request. */
  readonly deal: CohortDeal | null;
  /** Null: the request does not carry it, or nothing is sticky. */
  readonly keyValue: string | null;
  /** Decimal; null without a key. */
  readonly hash: string | null;
  /** Null without a key: of a draw, only the request itself knows the bucket. */
  readonly bucketPpm: number | null;
  readonly intervals: readonly CohortInterval[];
  /** The one that the bucket is in. */
  readonly hit: CohortInterval | null;
}

export function prepareCohorts(cohorts: Cohorts): PreparedCohorts {
  const tables = new Map<string, readonly CohortInterval[]>();
  for (const [routeId, table] of Object.entries(cohorts.routes)) {
    tables.set(routeId, cohorts.tables[table] ?? []);
  }
  const { deal } = cohorts;
  return {
    cohorts,
    sticky: deal === null ? null : { deal, hash: makeKeyHash(deal) },
    tables,
    everyOther: cohorts.tables[DEFAULT_TABLE] ?? [],
  };
}

/** The lane's name; null is the baseline, also for a request without the key. */
export function cohortLane(prepared: PreparedCohorts, input: CohortInput): string | null {
  const table = tableOf(prepared, input.routeId);
  if (table.length === 0) return null;
  const { sticky } = prepared;
  if (sticky === null) return intervalAt(table, input.below(PPM_TOTAL))?.lane ?? null;
  const key = keyOf(sticky.deal.key, input);
  if (key === undefined) return null;
  return intervalAt(table, sticky.hash.bucketOf(key))?.lane ?? null;
}

/** As `cohortLane`, with all that it looked at. */
export function explainCohort(prepared: PreparedCohorts, input: CohortInput): CohortExplanation {
  const { sticky, cohorts } = prepared;
  const intervals = tableOf(prepared, input.routeId);
  const table = cohorts.routes[input.routeId ?? ""] ?? DEFAULT_TABLE;
  const base = { table, deal: cohorts.deal, intervals };
  const key = sticky === null ? undefined : keyOf(sticky.deal.key, input);
  if (sticky === null || key === undefined) {
    return { ...base, keyValue: null, hash: null, bucketPpm: null, hit: null };
  }
  const { hash, bucketPpm } = sticky.hash.explain(key);
  return { ...base, keyValue: key, hash, bucketPpm, hit: intervalAt(intervals, bucketPpm) };
}

/** Undefined for an empty key too: all who send an empty one are not one user. */
function keyOf(key: CohortKey, input: CohortInput): string | undefined {
  switch (key.kind) {
    case "clientIp":
      return nonEmpty(input.read("clientIp", ""));
    case "issuedCookie": {
      const id = input.read("cookie", key.name);
      return id !== undefined && ISSUED_ID.test(id) ? id : input.issueId(key);
    }
    default:
      return nonEmpty(input.read(key.kind, key.name));
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function tableOf(prepared: PreparedCohorts, routeId: string | null): readonly CohortInterval[] {
  if (prepared.tables.size === 0 || routeId === null) return prepared.everyOther;
  return prepared.tables.get(routeId) ?? prepared.everyOther;
}

/** Binary search: the intervals are in rising order and do not overlap. */
export function intervalAt(
  intervals: readonly CohortInterval[],
  bucketPpm: number,
): CohortInterval | null {
  let low = 0;
  let high = intervals.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const interval = intervals[middle];
    if (interval === undefined) return null;
    if (bucketPpm < interval.fromPpm) high = middle;
    else if (bucketPpm >= interval.toPpm) low = middle + 1;
    else return interval;
  }
  return null;
}
