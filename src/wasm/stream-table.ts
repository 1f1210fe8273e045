//! The live stream contexts of one VM by id. Every exchange enters and leaves it, and ids count up,
//! so nearly all of them find a slot of their own; the rest (long-lived ones) go to a map.

const SLOTS = 1024;

export class StreamTable<T extends { readonly id: number }> {
  readonly #slots: (T | undefined)[] = new Array<T | undefined>(SLOTS).fill(undefined);
  readonly #crowded = new Map<number, T>();

  get(id: number): T | undefined {
    const entry = this.#slots[id & (SLOTS - 1)];
    return entry?.id === id ? entry : this.#crowded.get(id);
  }

  /** All of them, as they are now. For rare moments: it looks at every slot. */
  list(): T[] {
    return [...this.#slots.filter((entry) => entry !== undefined), ...this.#crowded.values()];
  }

  add(entry: T): void {
    const index = entry.id & (SLOTS - 1);
    if (this.#slots[index] === undefined) this.#slots[index] = entry;
    else this.#crowded.set(entry.id, entry);
  }

  /** All of them, as they are now. */
  all(): T[] {
    const slots = this.#slots.filter((entry) => entry !== undefined);
    return [...slots, ...this.#crowded.values()];
  }

  /** False when it was not there. */
  delete(entry: T): boolean {
    const index = entry.id & (SLOTS - 1);
    if (this.#slots[index] !== entry) return this.#crowded.delete(entry.id);
    this.#slots[index] = undefined;
    return true;
  }
}
