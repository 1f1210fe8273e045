//! Properties that a plug-in has declared (foreign function `declare_property`).

import { LifeSpan, Status } from "./enums.ts";

/** Of one context; more are refused. */
const DECLARED_MAX = 1_024;

/**
 * What the bytes of a property are for expressions: themselves, a text, or a serialized message of
 * that type (`type.googleapis.com/google.protobuf.Struct`).
 */
export type PropertyType =
  { readonly kind: "bytes" | "text" } | { readonly kind: "message"; readonly typeUrl: string };

export const BYTES: PropertyType = { kind: "bytes" };

/** How a property of `proxy_set_property` behaves, from its first value on. */
export interface DeclaredProperty {
  readonly isReadOnly: boolean;
  readonly lifeSpan: LifeSpan;
  readonly type: PropertyType;
}

export const UNDECLARED: DeclaredProperty = {
  isReadOnly: false,
  lifeSpan: LifeSpan.filterChain,
  type: BYTES,
};

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
