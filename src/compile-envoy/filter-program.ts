//! The decision program of a gateway: the rules that routes cannot express, for the plug-in
//! `plugins/lane-filter`. It says which of them a request meets; routes ask about that.

import { createHash } from "node:crypto";
import type { JsonObject } from "../base/json.ts";
import type { Condition } from "../snapshot/snapshot.ts";
import { filterTest } from "./filter-test.ts";
import { Inexpressible } from "./inexpressible.ts";

/** Written by the plug-in, and removed by the routes: `,id,id,` of the rules that are met. */
export const RULES_HEADER = "x-graylane-rules";
const VERSION = 1;
/** The limits of the plug-in, and of what one gateway's listeners carry. */
export const RULES_MAX = 1_000;
export const PROGRAM_CHARS_MAX = 262_144;
/** Of conditions within conditions. */
export const LEVELS_MAX = 16;
const ID_CHARS = 16;

export type FilterRule =
  | { readonly kind: "rule"; readonly matcher: JsonObject }
  /** `what` completes "Envoy cannot enter the lane by …". */
  | { readonly kind: "refused"; readonly what: string };

/** Collects the rules of one gateway. */
export class FilterProgram {
  readonly #rules = new Map<string, JsonObject>();
  #chars = 0;

  get isEmpty(): boolean {
    return this.#rules.size === 0;
  }

  /**
   * The matcher of a header that tells whether a request meets the condition.
   *
   * Its id is made of the condition: a route that came before or after the listener's program asks
   * about no other condition than it means.
   */
  add(condition: Condition, trustedHops: number): FilterRule {
    try {
      const program = filterCondition(condition, trustedHops);
      const text = JSON.stringify(program);
      const id = createHash("sha256").update(text).digest("hex").slice(0, ID_CHARS);
      if (!this.#rules.has(id)) this.#take(id, program, text.length);
      const match = { contains: `,${id},` };
      return { kind: "rule", matcher: { name: RULES_HEADER, string_match: match } };
    } catch (error) {
      if (error instanceof Inexpressible) return { kind: "refused", what: error.message };
      throw error;
    }
  }

  clear(): void {
    this.#rules.clear();
    this.#chars = 0;
  }

  configuration(): JsonObject {
    const rules = Array.from(this.#rules, ([id, condition]) => ({ id, condition }));
    return { version: VERSION, header: RULES_HEADER, rules };
  }

  #take(id: string, program: JsonObject, chars: number): void {
    if (this.#rules.size === RULES_MAX || this.#chars + chars > PROGRAM_CHARS_MAX) {
      throw new Inexpressible(
        `more than ${RULES_MAX} rules, or ${PROGRAM_CHARS_MAX} characters of them, at one gateway`,
      );
    }
    this.#rules.set(id, program);
    this.#chars += chars;
  }
}

/** Throws `Inexpressible`. */
function filterCondition(condition: Condition, trustedHops: number, level = 1): JsonObject {
  const inner = (one: Condition): JsonObject => filterCondition(one, trustedHops, level + 1);
  if (level > LEVELS_MAX) throw new Inexpressible(`a rule of more than ${LEVELS_MAX} levels`);
  if (condition.kind === "test") return filterTest(condition, trustedHops);
  if (condition.kind === "not") return { kind: "not", of: inner(condition.of) };
  return { kind: condition.kind, of: condition.of.map(inner) };
}
