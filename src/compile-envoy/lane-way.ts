//! The ways to meet a rule: by conditions of routes where these suffice, else by what the plug-in
//! `plugins/lane-filter` says of the request.

import type { Condition, LaneGroup, OperandSources } from "../snapshot/snapshot.ts";
import { readsClaims } from "./filter-program.ts";
import type { FilterProgram } from "./filter-program.ts";
import { UNASKED, clausesOf, withoutRemoved } from "./lane-condition.ts";
import type { ClauseOutcome } from "./lane-condition.ts";

export interface Ways {
  /** Lower-case names of headers that are missing to rules. */
  readonly removed: ReadonlySet<string>;
  /** Null: the plug-in is not there. */
  readonly filter: FilterProgram | null;
}

export function waysOf(
  condition: Condition,
  { operands }: LaneGroup,
  { removed, filter }: Ways,
): ClauseOutcome {
  const asked = withoutRemoved(condition, removed);
  const outcome = clausesOf(asked);
  if (outcome.kind === "clauses" || filter === null) return outcome;
  const refused = readsClaims(asked) ? refusedTokens(operands, removed) : null;
  if (refused !== null) return { kind: "refused", what: refused };
  const added = filter.add(asked, operands);
  if (added.kind === "refused") return added;
  return { kind: "clauses", clauses: [{ ...UNASKED, headers: [added.matcher] }] };
}

/** What of tokens is refused; null: nothing. */
export function refusedTokens(
  operands: OperandSources | undefined,
  removed: ReadonlySet<string>,
): string | null {
  const from = operands?.tokens?.from;
  if (from?.kind !== "header" || !removed.has(from.name)) return null;
  return `a token in the header ${from.name}, which is that of lanes`;
}
