//! One evaluation: where attributes come from, what the variables are, and what is left to spend.

import { CelFault } from "./values.ts";
import type { CelValue } from "./values.ts";

/** A few milliseconds: a step for each part each time, and for 64 bytes of a text. */
const STEPS_MAX = 20_000;

/** Finds what an expression names; undefined: nothing of that name. */
export type Attributes = (name: string) => CelValue | undefined;

export class Run {
  readonly attributes: Attributes;
  /** Of the comprehensions around the part that is evaluated. */
  readonly variables: CelValue[] = [];
  #steps = STEPS_MAX;

  constructor(attributes: Attributes) {
    this.attributes = attributes;
  }

  /** An expression that costs too much has no value. */
  spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw new CelFault(`the expression takes more than ${STEPS_MAX} steps`);
  }
}
