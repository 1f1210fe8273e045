//! What a change does to requests: who changes lane, and which conditions take nobody.

import type { ExplainRequest, ExplainResult } from "../api/types.ts";

/** Requests that are named for each move. */
const EXAMPLES_MAX = 5;
const EXAMPLE_CHARS_MAX = 160;
/** Pairs of lanes between which moves are told apart; further ones are counted together. */
const MOVES_MAX = 1_000;

/** Requests that one configuration sends one way and the other another. */
export interface LaneMove {
  readonly group: string;
  readonly from: string;
  readonly to: string;
  count: number;
  readonly examples: string[];
}

/** A condition of a lane after the change, on all requests. */
export interface RuleUse {
  readonly group: string;
  readonly lane: string;
  readonly what: "rule" | "forcedIn";
  readonly enabled: boolean;
  /** Requests that meet it. */
  metCount: number;
  /** Requests that it took into the lane. */
  takenCount: number;
  /** Who took those that met it and were not taken: by lane. */
  readonly takenBy: Record<string, number>;
}

export type RuleVerdict = "used" | "dead" | "shadowed" | "closed";

export class LaneDifference {
  readonly moves: LaneMove[] = [];
  readonly rules: RuleUse[] = [];
  stayCount = 0;
  /** Moves beyond the limit of pairs. */
  furtherCount = 0;
  readonly #moves = new Map<string, LaneMove>();
  readonly #rules = new Map<string, RuleUse>();

  add(request: ExplainRequest, now: ExplainResult | null, then: ExplainResult | null): void {
    const [from, to] = [placeOf(now), placeOf(then)];
    if (from === to) this.stayCount += 1;
    else this.#move({ group: groupOf(then) || groupOf(now), from, to }, request);
    if (then !== null) this.#count(then, to);
  }

  #move(move: Pick<LaneMove, "group" | "from" | "to">, request: ExplainRequest): void {
    const key = JSON.stringify([move.group, move.from, move.to]);
    let known = this.#moves.get(key);
    if (known === undefined) {
      if (this.#moves.size >= MOVES_MAX) {
        this.furtherCount += 1;
        return;
      }
      known = { ...move, count: 0, examples: [] };
      this.#moves.set(key, known);
      this.moves.push(known);
    }
    known.count += 1;
    if (known.examples.length < EXAMPLES_MAX) known.examples.push(exampleOf(request));
  }

  #count({ conditions, decision }: ExplainResult, to: string): void {
    for (const { group, lane, what, enabled, isMet } of conditions) {
      if (what === "forcedOut") continue;
      const key = JSON.stringify([group, lane, what]);
      let use = this.#rules.get(key);
      if (use === undefined) {
        use = { group, lane, what, enabled, metCount: 0, takenCount: 0, takenBy: {} };
        this.#rules.set(key, use);
        this.rules.push(use);
      }
      if (!isMet) continue;
      use.metCount += 1;
      const reason = what === "rule" ? "rule" : "forced";
      const isTaken =
        decision?.group === group && decision.lane === lane && decision.reason === reason;
      if (isTaken) use.takenCount += 1;
      else use.takenBy[to] = (use.takenBy[to] ?? 0) + 1;
    }
  }
}

export function verdictOf({ enabled, metCount, takenCount }: RuleUse): RuleVerdict {
  if (!enabled) return "closed";
  if (metCount === 0) return "dead";
  return takenCount === 0 ? "shadowed" : "used";
}

function placeOf(result: ExplainResult | null): string {
  if (result === null) return "no gateway";
  const { decision, route, localReply } = result;
  if (route === null) return localReply === null ? "no route" : `answer ${localReply.status}`;
  return decision === null ? "no lane group" : (decision.lane ?? "baseline");
}

function groupOf(result: ExplainResult | null): string {
  return result?.decision?.group ?? "";
}

/** What tells one user from another comes first to the eye. */
function exampleOf({ method, url, headers }: ExplainRequest): string {
  const { pathname, search } = new URL(url);
  const own = headers.filter(([name]) => !["user-agent", "x-request-id"].includes(name));
  const fields = own.map(([name, value]) => `${name}: ${value}`).join(", ");
  const text = `${method} ${pathname}${search}${fields === "" ? "" : ` (${fields})`}`;
  return text.length > EXAMPLE_CHARS_MAX ? `${text.slice(0, EXAMPLE_CHARS_MAX)}…` : text;
}
