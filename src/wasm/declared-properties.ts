//! Properties that a plug-in has declared (foreign function `declare_property`).

import { Status } from "./enums.ts";

/** Of one context; more are refused. */
const DECLARED_MAX = 1_024;

export class DeclaredProperties {
  readonly #isReadOnly = new Map<string, boolean>();

  /** A name is declared once: a second time is a bad argument, as in Envoy. */
  declare(name: string, isReadOnly: boolean): Status {
    if (this.#isReadOnly.has(name)) return Status.badArgument;
    if (this.#isReadOnly.size >= DECLARED_MAX) return Status.internalFailure;
    this.#isReadOnly.set(name, isReadOnly);
    return Status.ok;
  }

  isReadOnly(name: string): boolean {
    return this.#isReadOnly.get(name) === true;
  }
}
