//! Decides whether the history of one object is linearizable: whether there is an order of the
//! operations in which each is right by itself, and which keeps the order of any two of which one
//! had ended before the other began (Herlihy and Wing, 1990).
//!
//! The search is Wing and Gong's, with the memory of Lowe ("Testing for linearizability", 2017):
//! what is done and the state that it led to is tried once only.

import type { Action, Operation } from "./history.ts";
import { describeOperation } from "./history.ts";

/** A search that takes longer has decided nothing, and says so. */
const STEPS_MAX = 20_000;

interface State {
  readonly value: string | null;
  /** Of the value; `null`: nobody has seen it. */
  readonly revision: number | null;
  /** No later write may have a lower one. */
  readonly floor: number;
}

const ABSENT: State = { value: null, revision: null, floor: 0 };

/** `null`: it is. Else why not, in words. `revisions`: of each value that anybody has seen. */
export function whyNotLinearizable(
  operations: readonly Operation[],
  revisions: ReadonlyMap<string, number>,
): string | null {
  const ordered = [...operations].sort((a, b) => a.calledAt - b.calledAt);
  const search = new Search(ordered, revisions);
  return search.run();
}

class Search {
  readonly #operations: readonly Operation[];
  readonly #revisions: ReadonlyMap<string, number>;
  readonly #isDone: boolean[];
  readonly #tried = new Set<string>();
  /** Answered ones that have no place yet. */
  #leftCount: number;
  #steps = 0;
  #fewestLeft = Infinity;
  #stuck = "";

  constructor(operations: readonly Operation[], revisions: ReadonlyMap<string, number>) {
    this.#operations = operations;
    this.#revisions = revisions;
    this.#isDone = operations.map(() => false);
    this.#leftCount = operations.filter(isAnswered).length;
  }

  run(): string | null {
    if (this.#go(ABSENT)) return null;
    return this.#steps > STEPS_MAX ? `undecided; at best ${this.#stuck}` : this.#stuck;
  }

  #go(state: State): boolean {
    const taken = this.#takeReads(state);
    if (this.#leftCount === 0) return true;
    this.#steps += 1;
    if (this.#steps > STEPS_MAX) return false;
    const memory = this.#memory(state);
    if (!this.#tried.has(memory)) {
      this.#tried.add(memory);
      for (const at of this.#candidates()) {
        const after = this.#after(state, at);
        if (after === null) continue;
        this.#mark(at, true);
        if (this.#go(after)) return true;
        this.#mark(at, false);
      }
      this.#noteStuck(state);
    }
    for (const at of taken) this.#mark(at, false);
    return false;
  }

  /** What changes nothing and is right now never stands in the way of another order. */
  #takeReads(state: State): readonly number[] {
    const taken: number[] = [];
    for (;;) {
      const right = this.#candidates().find((at) => this.#after(state, at) === state);
      if (right === undefined) return taken;
      this.#mark(right, true);
      taken.push(right);
    }
  }

  /**
   * Those that may be next: nothing that is left had ended before they began, and no lower revision
   * is left. Of those without an answer that come to the same one is enough.
   */
  #candidates(): number[] {
    const answered: number[] = [];
    const unanswered = new Map<string, number>();
    let firstReturn = Infinity;
    for (const [at, operation] of this.#operations.entries()) {
      if (this.#isDone[at] === true) continue;
      if (operation.calledAt > firstReturn) break;
      firstReturn = Math.min(firstReturn, operation.returnedAt);
      if (isAnswered(operation)) answered.push(at);
      else if (!unanswered.has(this.#classOf(operation))) {
        unanswered.set(this.#classOf(operation), at);
      }
    }
    const lowest = Math.min(...answered.map((at) => this.#revisionAt(at) ?? Infinity));
    return [
      ...answered.filter((at) => (this.#revisionAt(at) ?? lowest) === lowest),
      ...unanswered.values(),
    ];
  }

  #revisionAt(at: number): number | null {
    const { outcome } = this.#operations[at] as Operation;
    return outcome.kind === "done" ? outcome.revision : null;
  }

  /** What nobody has seen is as good as what else nobody has seen. */
  #classOf({ action }: Operation): string {
    const value = "value" in action && this.#revisions.has(action.value) ? action.value : "";
    return `${action.kind} ${"expected" in action ? (action.expected ?? "") : ""} ${value}`;
  }

  /** `state` itself when it changes nothing; `null` when it is wrong there. */
  #after(state: State, at: number): State | null {
    const operation = this.#operations[at] as Operation;
    const { outcome } = operation;
    switch (outcome.kind) {
      case "found":
        return isState(state, outcome.version) ? state : null;
      case "missing":
        return state.value === null ? state : null;
      case "exists":
        return state.value === null ? null : state;
      case "conflict":
        return isConflict(state, operation) ? state : null;
      case "done":
      case "unknown":
        return this.#written(state, operation);
    }
  }

  #written(state: State, { action, outcome }: Operation): State | null {
    if (action.kind === "read" || !isWritable(state, action)) return null;
    const told = outcome.kind === "done" ? outcome.revision : null;
    if (action.kind === "delete") {
      return { value: null, revision: null, floor: told ?? state.floor };
    }
    const revision = told ?? this.#revisions.get(action.value) ?? null;
    if (revision !== null && revision <= state.floor) return null;
    return { value: action.value, revision, floor: revision ?? state.floor };
  }

  #mark(at: number, isDone: boolean): void {
    this.#isDone[at] = isDone;
    if (isAnswered(this.#operations[at] as Operation)) this.#leftCount += isDone ? -1 : 1;
  }

  /** The last that is done, those before it that are not, and the state: short for long histories. */
  #memory({ value, revision, floor }: State): string {
    const last = this.#isDone.lastIndexOf(true);
    const left: number[] = [];
    for (let at = 0; at < last; at += 1) if (this.#isDone[at] !== true) left.push(at);
    const state = value === null ? "absent" : `${revision ?? "unseen"}`;
    return `${last}/${left.join(",")}/${state}/${floor}`;
  }

  #noteStuck(state: State): void {
    if (this.#leftCount >= this.#fewestLeft) return;
    this.#fewestLeft = this.#leftCount;
    const next = this.#candidates().map((at) => this.#operations[at] as Operation);
    const is = state.value === null ? "there is no object" : `it is ${JSON.stringify(state)}`;
    const lines = next.filter(isAnswered).map((one) => `\n  ${describeOperation(one)}`);
    this.#stuck = `${is}, and none of these can be next:${lines.join("")}`;
  }
}

function isAnswered({ outcome }: Operation): boolean {
  return outcome.kind !== "unknown";
}

function isWritable(state: State, action: Exclude<Action, { readonly kind: "read" }>): boolean {
  if (action.kind === "create") return state.value === null;
  if (state.value === null) return false;
  return action.expected === null || action.expected === state.revision;
}

function isState(state: State, version: { value: string; revision: number } | null): boolean {
  if (version === null) return state.value === null;
  return state.value === version.value && state.revision === version.revision;
}

/** An object that has gone is no conflict, and who names no revision has none. */
function isConflict(state: State, { action }: Operation): boolean {
  if (action.kind !== "update" && action.kind !== "delete") return false;
  return state.value !== null && action.expected !== null && action.expected !== state.revision;
}
