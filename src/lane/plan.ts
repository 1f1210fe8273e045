//! What a change of shares does to the keys of users, before it is made: who moves where.

import type { CohortDeal, CohortInterval, Cohorts } from "../snapshot/cohort.ts";
import { DEFAULT_TABLE, intervalAt } from "./cohort.ts";
import { makeKeyHash } from "./key-hash.ts";
import type { KeyHash } from "./key-hash.ts";

/** Keys that are named for each kind of move. */
export const EXAMPLES_MAX = 5;

export interface Example {
  readonly key: string;
  /** Null is the baseline. */
  readonly from: string | null;
  readonly to: string | null;
}

/** One kind of move. */
export interface Moves {
  count: number;
  readonly examples: Example[];
}

/** The shares of one base route before and after. */
export interface TablePlan {
  /** `*`, or the base route. */
  readonly table: string;
  readonly shares: readonly {
    readonly lane: string;
    readonly nowPpm: number;
    readonly thenPpm: number;
  }[];
  /** From the baseline into a lane, out of a lane to the baseline, from lane to lane. */
  readonly in: Moves;
  readonly out: Moves;
  readonly between: Moves;
  stayCount: number;
}

interface Side {
  readonly hash: KeyHash | null;
  readonly intervals: readonly CohortInterval[];
}

export class SharePlan {
  readonly tables: readonly TablePlan[];
  /** Null where each request is drawn: then no key moves, and none stays. */
  readonly deal: CohortDeal | null;
  readonly #sides: readonly (readonly [now: Side, then: Side])[];

  constructor(now: Cohorts | undefined, then: Cohorts | undefined) {
    const names = new Set([DEFAULT_TABLE, ...namesOf(now), ...namesOf(then)]);
    const ordered = [...names].sort();
    const [nowHash, thenHash] = [hashOf(now), hashOf(then)];
    this.deal = then?.deal ?? now?.deal ?? null;
    this.#sides = ordered.map((name) => [
      { hash: nowHash, intervals: intervalsOf(now, name) },
      { hash: thenHash, intervals: intervalsOf(then, name) },
    ]);
    this.tables = ordered.map((table, index) => {
      const [before, after] = this.#sides[index] ?? [];
      return {
        table,
        shares: sharesOf(before?.intervals ?? [], after?.intervals ?? []),
        ...{ in: noMoves(), out: noMoves(), between: noMoves(), stayCount: 0 },
      };
    });
  }

  /** Counts one key, a wire text; `shown` is how it is named in an example. */
  add(wireKey: string, shown: string): void {
    for (const [index, [now, then]] of this.#sides.entries()) {
      const plan = this.tables[index];
      if (plan === undefined) continue;
      const from = laneOf(now, wireKey);
      const to = laneOf(then, wireKey);
      if (from === to) plan.stayCount += 1;
      else count(movesOf(plan, from, to), { key: shown, from, to });
    }
  }
}

function movesOf(plan: TablePlan, from: string | null, to: string | null): Moves {
  if (from === null) return plan.in;
  return to === null ? plan.out : plan.between;
}

function count(moves: Moves, example: Example): void {
  moves.count += 1;
  if (moves.examples.length < EXAMPLES_MAX) moves.examples.push(example);
}

function laneOf({ hash, intervals }: Side, wireKey: string): string | null {
  if (hash === null || wireKey === "") return null;
  return intervalAt(intervals, hash.bucketOf(wireKey))?.lane ?? null;
}

function namesOf(cohorts: Cohorts | undefined): string[] {
  return Object.keys(cohorts?.tables ?? {});
}

/** A base route without a table of its own has that of its VirtualService, else the common one. */
function intervalsOf(cohorts: Cohorts | undefined, name: string): readonly CohortInterval[] {
  const owner = name.split("/").slice(0, 2).join("/");
  const { tables = {} } = cohorts ?? {};
  return tables[name] ?? tables[owner] ?? tables[DEFAULT_TABLE] ?? [];
}

function hashOf(cohorts: Cohorts | undefined): KeyHash | null {
  const deal = cohorts?.deal ?? null;
  return deal === null ? null : makeKeyHash(deal);
}

function sharesOf(
  now: readonly CohortInterval[],
  then: readonly CohortInterval[],
): TablePlan["shares"] {
  const lanes = [...new Set([...now, ...then].map(({ lane }) => lane))].sort();
  return lanes.map((lane) => ({ lane, nowPpm: ppmOf(now, lane), thenPpm: ppmOf(then, lane) }));
}

function ppmOf(intervals: readonly CohortInterval[], lane: string): number {
  return intervals
    .filter((interval) => interval.lane === lane)
    .reduce((sum, { fromPpm, toPpm }) => sum + toPpm - fromPpm, 0);
}

function noMoves(): Moves {
  return { count: 0, examples: [] };
}
