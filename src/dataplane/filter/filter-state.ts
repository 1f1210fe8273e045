//! What plug-ins have stored (`proxy_set_property`, `set_envoy_filter_state`), for an exchange or
//! for the client's connection and with it for all its exchanges: Envoy's filter state.

import { BYTES } from "../../wasm/declared-properties.ts";
import type { DeclaredProperty, PropertyType } from "../../wasm/declared-properties.ts";
import { LifeSpan, Status } from "../../wasm/enums.ts";

interface Stored extends DeclaredProperty {
  readonly value: Uint8Array;
}

export interface FilterStateLimits {
  readonly countMax: number;
  /** Of all values together. */
  readonly bytesMax: number;
}

export class FilterState {
  readonly #limits: FilterStateLimits;
  /** The connection's; null: this is it, or there is none. */
  readonly #parent: { readonly filterState: FilterState } | null;
  readonly #values = new Map<string, Stored>();
  #bytes = 0;

  constructor(
    limits: FilterStateLimits,
    parent: { readonly filterState: FilterState } | null = null,
  ) {
    this.#limits = limits;
    this.#parent = parent;
  }

  /** What was stored last under that name, here or in the connection. */
  get(name: string): Uint8Array | undefined {
    return this.#find(name)?.value;
  }

  /** What it was declared to be. */
  typeOf(name: string): PropertyType {
    return this.#find(name)?.type ?? BYTES;
  }

  /** `declared` counts for the first value of a name; then that one's life span stays. */
  setProperty(name: string, value: Uint8Array, declared: DeclaredProperty): Status {
    const known = this.#find(name);
    if (known?.isReadOnly === true) return Status.badArgument;
    const { isReadOnly, lifeSpan, type } = known ?? declared;
    return this.#put(name, { value, isReadOnly, lifeSpan, type });
  }

  /** An object of another life span stays as it was, and the plug-in is told OK, as in Envoy. */
  setObject(name: string, value: Uint8Array, lifeSpan: LifeSpan): Status {
    const known = this.#find(name);
    if (known !== undefined && known.lifeSpan !== lifeSpan) return Status.ok;
    return this.#put(name, { value, isReadOnly: false, lifeSpan, type: BYTES });
  }

  #find(name: string): Stored | undefined {
    const own = this.#values.get(name);
    return own !== undefined || this.#parent === null ? own : this.#parent.filterState.#find(name);
  }

  #put(name: string, stored: Stored): Status {
    if (this.#parent !== null && stored.lifeSpan === LifeSpan.connection) {
      return this.#parent.filterState.#put(name, stored);
    }
    const before = this.#values.get(name);
    const bytes = this.#bytes + stored.value.length - (before?.value.length ?? 0);
    const isOneMore = before === undefined && this.#values.size >= this.#limits.countMax;
    if (isOneMore || bytes > this.#limits.bytesMax) return Status.internalFailure;
    this.#bytes = bytes;
    this.#values.set(name, stored);
    return Status.ok;
  }
}

/** What the value that a path names was declared to be. */
export function storedType(state: FilterState, path: readonly string[]): PropertyType {
  const name = storedName(path);
  return name === null ? BYTES : state.typeOf(name);
}

/** Under which what a path names is stored; null: a path of nothing that can be stored. */
export function storedName(path: readonly string[]): string | null {
  const [first = "", second = ""] = path;
  if (first !== "filter_state") return path.length === 1 ? first : null;
  if (path.length !== 2) return objectName(path.slice(1).join("\0"));
  return second.startsWith("wasm.") ? second.slice("wasm.".length) : objectName(second);
}

/** Of an object of Envoy's, or of a part of it: no path of one part is the same. */
export function objectName(key: string): string {
  return `filter_state\0${key}`;
}
