//! Objects whose fields can be asked for, and not listed.

import { CelFault, CelMap } from "./values.ts";
import type { CelValue } from "./values.ts";

/** It has fields, and nobody can list them. */
export abstract class Opaque extends CelMap {
  readonly size: number = 0;

  keys(): readonly CelValue[] {
    throw new CelFault("an object whose fields cannot be listed");
  }

  override encoded(): Uint8Array | null {
    return null;
  }
}

export const NO_FIELDS: ReadonlyMap<string, CelValue> = new Map();

/** A message of Envoy's API. */
export class Message extends Opaque {
  readonly #encoded: Uint8Array | null;
  readonly #fields: ReadonlyMap<string, CelValue>;

  /** `encoded` is null where it cannot be written. */
  constructor(encoded: Uint8Array | null, fields: ReadonlyMap<string, CelValue>) {
    super();
    this.#encoded = encoded;
    this.#fields = fields;
  }

  get(key: CelValue): CelValue | undefined {
    return typeof key === "string" ? this.#fields.get(key) : undefined;
  }

  override encoded(): Uint8Array | null {
    return this.#encoded;
  }
}
