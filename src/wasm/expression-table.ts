//! Expressions that a plug-in has made (foreign function `expr_create`), by their tokens.

import type { Expression } from "./cel/expression.ts";

/** Of one root context; more are refused. */
const EXPRESSIONS_MAX = 256;
const TOKEN_LIMIT = 2 ** 32;

export class ExpressionTable {
  readonly #expressions = new Map<number, Expression>();
  #nextToken = 0;

  get isFull(): boolean {
    return this.#expressions.size >= EXPRESSIONS_MAX;
  }

  /** Tokens count up, also past texts that could be read but not be compiled, as in Envoy. */
  takeToken(): number {
    let token = this.#nextToken;
    while (this.#expressions.has(token)) token = (token + 1) % TOKEN_LIMIT;
    this.#nextToken = (token + 1) % TOKEN_LIMIT;
    return token;
  }

  add(token: number, expression: Expression): void {
    this.#expressions.set(token, expression);
  }

  get(token: number): Expression | undefined {
    return this.#expressions.get(token);
  }

  delete(token: number): void {
    this.#expressions.delete(token);
  }
}
