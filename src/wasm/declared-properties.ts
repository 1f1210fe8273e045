//! Properties that a plug-in has declared (foreign function `declare_property`).

import { LifeSpan, Status } from "./enums.ts";

/** Of one context; more are refused. */
const DECLARED_MAX = 1_024;

/** How a property of `proxy_set_property` behaves, from its first value on. */
export interface DeclaredProperty {
  readonly isReadOnly: boolean;
  readonly lifeSpan: LifeSpan;
}

export const UNDECLARED: DeclaredProperty = { isReadOnly: false, lifeSpan: LifeSpan.filterChain };

export class DeclaredProperties {
  readonly #declared = new Map<string, DeclaredProperty>();

  /** A name is declared once: a second time is a bad argument, as in Envoy. */
  declare(name: string, declared: DeclaredProperty): Status {
    if (this.#declared.has(name)) return Status.badArgument;
    if (this.#declared.size >= DECLARED_MAX) return Status.internalFailure;
    this.#declared.set(name, declared);
    return Status.ok;
  }

  of(name: string): DeclaredProperty {
    return this.#declared.get(name) ?? UNDECLARED;
  }
}
