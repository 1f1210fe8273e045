//! Key-value data that plug-ins of one vm_id share (`proxy_get_shared_data`). The store here lives
//! in one process; an embedder with several may put another behind the interface.

/** Bounds of one vm_id. Setting more fails. */
export const SHARED_KEYS_MAX = 100_000;
export const SHARED_BYTES_MAX: number = 16 * 1024 * 1024;

export interface SharedValue {
  readonly value: Uint8Array;
  /** Changes with every set; greater than 0. */
  readonly cas: number;
}

export type SetOutcome = "ok" | "cas_mismatch" | "full";

export interface SharedDataStore {
  get(vmId: string, key: string): SharedValue | null;
  /** `cas` 0 sets unconditionally; any cas is accepted for a new key, as in Envoy. */
  set(vmId: string, key: string, entry: SharedValue): SetOutcome;
}

interface Space {
  readonly entries: Map<string, SharedValue>;
  bytes: number;
}

export class InProcessSharedData implements SharedDataStore {
  readonly #spaces = new Map<string, Space>();
  #lastCas = 0;

  get(vmId: string, key: string): SharedValue | null {
    return this.#spaces.get(vmId)?.entries.get(key) ?? null;
  }

  set(vmId: string, key: string, { value, cas }: SharedValue): SetOutcome {
    const space = this.#spaces.get(vmId) ?? this.#open(vmId);
    const before = space.entries.get(key);
    if (before !== undefined && cas !== 0 && cas !== before.cas) return "cas_mismatch";
    const bytes =
      space.bytes + value.length - (before === undefined ? -key.length : before.value.length);
    const isNew = before === undefined;
    if (bytes > SHARED_BYTES_MAX || (isNew && space.entries.size >= SHARED_KEYS_MAX)) return "full";
    this.#lastCas = nextCas(this.#lastCas);
    space.entries.set(key, { value, cas: this.#lastCas });
    space.bytes = bytes;
    return "ok";
  }

  #open(vmId: string): Space {
    const space = { entries: new Map<string, SharedValue>(), bytes: 0 };
    this.#spaces.set(vmId, space);
    return space;
  }
}

/** u32, never 0: that one means "whatever it is". */
export function nextCas(cas: number): number {
  return cas === 0xffff_ffff ? 1 : cas + 1;
}
