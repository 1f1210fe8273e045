//! The decision program of a gateway: the rules that routes cannot express, for the plug-in
//! `plugins/lane-filter`. It says which of them a request meets; routes ask about that.

import { createHash } from "node:crypto";
import type { JsonObject } from "../base/json.ts";
import type { Condition, Operand, OperandSources } from "../snapshot/snapshot.ts";
import { scopeOfBoth } from "./body-scope.ts";
import type { BodyScope } from "./body-scope.ts";
import type { EnvoyResource, EnvoyResources } from "./envoy-config.ts";
import { extensionKey } from "./extension.ts";
import { filterTest, isOfBody, operandOf } from "./filter-test.ts";
import { Inexpressible } from "./inexpressible.ts";
import { claimsConfiguration, gatewayTokens } from "./token-claims.ts";
import type { GatewayTokens } from "./token-claims.ts";
import { configurationOf, withConfiguration } from "./own-extension.ts";

/** Written by the plug-in, and removed by the routes: `,id,id,` of the rules that are met. */
export const RULES_HEADER = "x-graylane-rules";
const VERSION = 1;
/** The limits of the plug-in, and of what one gateway's listeners carry. */
export const RULES_MAX = 1_000;
export const PROGRAM_CHARS_MAX = 262_144;
/** Of conditions within conditions. */
export const LEVELS_MAX = 16;
const ID_CHARS = 16;

/** The plug-in with such a program. */
export const LANE_FILTER = "graylane.lane-filter";

interface Rule {
  readonly id: string;
  readonly condition: JsonObject;
}

interface Program {
  readonly version: number;
  readonly header: string;
  readonly rules: readonly Rule[];
  /** Where bodies are waited for; absent: no rule reads one. */
  readonly body?: BodyScope;
  /** How claims are read; absent: no rule reads one, or nothing verifies tokens. */
  readonly claims?: JsonObject;
  /** Of a share by a claim; absent: there is none. */
  readonly bucket?: JsonObject;
}

export type FilterRule =
  | { readonly kind: "rule"; readonly matcher: JsonObject }
  /** `what` completes "Envoy cannot enter the lane by …". */
  | { readonly kind: "refused"; readonly what: string };

/** Collects the rules of one gateway. */
export class FilterProgram {
  readonly #rules = new Map<string, JsonObject>();
  #chars = 0;
  #readsBody = false;
  #tokens: GatewayTokens | null = null;
  #bucket: JsonObject | null = null;

  /** What rules read claims of; null: none does. */
  get tokens(): GatewayTokens | null {
    return this.#tokens;
  }

  /** Whether a rule reads the body. */
  get readsBody(): boolean {
    return this.#readsBody;
  }

  get isEmpty(): boolean {
    return this.#rules.size === 0 && this.#bucket === null;
  }

  /**
   * The matcher of a header that tells whether a request meets the condition.
   *
   * Its id is made of the condition: a route that came before or after the listener's program asks
   * about no other condition than it means.
   */
  add(condition: Condition, sources: OperandSources | undefined): FilterRule {
    try {
      const program = filterCondition(condition, sources);
      const tokens = readsClaims(condition) ? sources?.tokens : undefined;
      if (tokens !== undefined) this.#tokens ??= gatewayTokens(tokens);
      const text = JSON.stringify(program);
      const id = createHash("sha256").update(text).digest("hex").slice(0, ID_CHARS);
      if (!this.#rules.has(id)) this.#take(id, program, text.length);
      this.#readsBody ||= readsBody(condition);
      const match = { contains: `,${id},` };
      return { kind: "rule", matcher: { name: RULES_HEADER, string_match: match } };
    } catch (error) {
      if (error instanceof Inexpressible) return { kind: "refused", what: error.message };
      throw error;
    }
  }

  /**
   * The bucket of a share whose users a claim tells apart. Gives what is refused, which completes
   * "Envoy cannot enter lanes by shares of users told apart by …"; null: nothing is.
   */
  addBucket(bucket: JsonObject, key: Operand, sources: OperandSources | undefined): string | null {
    try {
      const operand = operandOf(key, sources);
      const tokens = sources?.tokens;
      if (tokens !== undefined) this.#tokens ??= gatewayTokens(tokens);
      this.#bucket = { ...bucket, key: operand };
      return null;
    } catch (error) {
      if (error instanceof Inexpressible) return error.message;
      throw error;
    }
  }

  clear(): void {
    this.#rules.clear();
    this.#chars = 0;
    this.#readsBody = false;
    this.#tokens = null;
    this.#bucket = null;
  }

  /** `scope` counts where a rule reads the body. */
  configuration(scope: BodyScope = {}): JsonObject {
    const rules = Array.from(this.#rules, ([id, condition]) => ({ id, condition }));
    const body = this.#readsBody ? { body: { ...scope } } : {};
    const claims = this.#tokens === null ? null : claimsConfiguration(this.#tokens);
    const read = claims === null ? {} : { claims };
    const bucket = this.#bucket === null ? {} : { bucket: this.#bucket };
    return { version: VERSION, header: RULES_HEADER, rules, ...body, ...read, ...bucket };
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

/**
 * `news` with the rules of `olds` besides, so that old and new routes find theirs while the ones
 * give way to the others. Where both are more than the plug-in takes, it gets the new ones alone.
 */
export function withRulesOf(olds: EnvoyResources, news: EnvoyResources): EnvoyResources {
  const entries = Object.entries(news).map(([name, after]) => {
    const before = name.startsWith(`${extensionKey(LANE_FILTER)}/`) ? olds[name] : undefined;
    return [name, before === undefined ? after : withRules(before, after)] as const;
  });
  return Object.fromEntries(entries);
}

function withRules(before: EnvoyResource, after: EnvoyResource): EnvoyResource {
  const old = JSON.parse(configurationOf(before)) as Program;
  const program = JSON.parse(configurationOf(after)) as Program;
  const known = new Set(program.rules.map(({ id }) => id));
  const rules = [...program.rules, ...old.rules.filter(({ id }) => !known.has(id))];
  const chars = rules.reduce((sum, { condition }) => sum + JSON.stringify(condition).length, 0);
  const { bucket = old.bucket } = program;
  const isWhole = rules.length === known.size && bucket === program.bucket;
  if (isWhole || rules.length > RULES_MAX || chars > PROGRAM_CHARS_MAX) {
    return after;
  }
  const body = scopeOfBoth(old.body, program.body);
  const claims = program.claims ?? old.claims;
  const merged = {
    ...{ ...program, rules },
    ...(body === undefined ? {} : { body }),
    ...(claims === undefined ? {} : { claims }),
    ...(bucket === undefined ? {} : { bucket }),
  };
  return withConfiguration(after, JSON.stringify(merged));
}

/** Throws `Inexpressible`. */
function filterCondition(
  condition: Condition,
  sources: OperandSources | undefined,
  level = 1,
): JsonObject {
  const inner = (one: Condition): JsonObject => filterCondition(one, sources, level + 1);
  if (level > LEVELS_MAX) throw new Inexpressible(`a rule of more than ${LEVELS_MAX} levels`);
  if (condition.kind === "test") return filterTest(condition, sources);
  if (condition.kind === "not") return { kind: "not", of: inner(condition.of) };
  return { kind: condition.kind, of: condition.of.map(inner) };
}

function readsBody(condition: Condition): boolean {
  return reads(condition, isOfBody);
}

export function readsClaims(condition: Condition): boolean {
  return reads(condition, ({ kind }) => kind === "claim");
}

function reads(condition: Condition, isMeant: (operand: Operand) => boolean): boolean {
  if (condition.kind === "test") return isMeant(condition.operand);
  const of = condition.kind === "not" ? [condition.of] : condition.of;
  return of.some((one) => reads(one, isMeant));
}
