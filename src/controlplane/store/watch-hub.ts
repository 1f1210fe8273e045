//! Remembers the last events in a ring, and hands each event to the watchers it concerns.

import type { Resource } from "../../resources/object.ts";
import { keyText, type StoreFilter, type Watch, type WatchEvent } from "./store.ts";

/** The kind of what stands for a record that could not be read, when it goes. */
export const DAMAGED = "Damaged";

interface Watcher {
  readonly filter: StoreFilter | null;
  readonly listener: (event: WatchEvent) => void;
}

export class WatchHub {
  readonly #eventsMax: number;
  readonly #events: WatchEvent[];
  readonly #watchers = new Set<Watcher>();
  /** Every event after this revision is in the ring. */
  #completeAfter: number;

  /** `events`: those up to `revision`, none left out. */
  constructor(options: {
    readonly eventsMax: number;
    readonly revision: number;
    readonly events: readonly WatchEvent[];
  }) {
    this.#eventsMax = options.eventsMax;
    const known = options.events.at(-1)?.revision === options.revision ? options.events : [];
    this.#events = [...known];
    this.#completeAfter = (known[0]?.revision ?? options.revision + 1) - 1;
  }

  last(countMax: number): readonly WatchEvent[] {
    return this.#events.slice(-countMax);
  }

  publish(events: readonly WatchEvent[]): void {
    for (const event of events) {
      this.#remember(event);
      for (const watcher of this.#watchers) this.#deliver(watcher, event);
    }
  }

  /**
   * What was otherwise at that revision, by key; `null`: it was not there. What was damaged then
   * is left out, as it was.
   */
  before(
    filter: StoreFilter,
    revision: number,
    lastRevision: number,
  ): ReadonlyMap<string, Resource | null> | "expired" {
    if (revision < this.#completeAfter || revision > lastRevision) return "expired";
    const before = new Map<string, Resource | null>();
    for (let at = this.#events.length - 1; at >= 0; at -= 1) {
      const event = this.#events[at];
      if (event === undefined || event.revision <= revision) break;
      if (!concerns(filter, event)) continue;
      const { previous } = event;
      before.set(keyText(event.key), previous?.kind === DAMAGED ? null : previous);
    }
    return before;
  }

  /** `lastRevision` is the store's: a watcher that claims to know more saw another store. */
  watch(watcher: Watcher, fromRevision: number | null, lastRevision: number): Watch | "expired" {
    if (fromRevision !== null) {
      if (fromRevision < this.#completeAfter || fromRevision > lastRevision) return "expired";
      for (const event of this.#events) {
        if (event.revision > fromRevision) this.#deliver(watcher, event);
      }
    }
    this.#watchers.add(watcher);
    return {
      cancel: () => {
        this.#watchers.delete(watcher);
      },
    };
  }

  clear(): void {
    this.#watchers.clear();
  }

  #remember(event: WatchEvent): void {
    this.#events.push(event);
    // Cut a quarter at a time: shifting one by one would move the whole array for each event.
    if (this.#events.length <= this.#eventsMax) return;
    const gone = this.#events.splice(0, Math.ceil(this.#eventsMax / 4));
    this.#completeAfter = gone.at(-1)?.revision ?? this.#completeAfter;
  }

  #deliver(watcher: Watcher, event: WatchEvent): void {
    if (!concerns(watcher.filter, event)) return;
    try {
      watcher.listener(event);
    } catch (error) {
      // Our own bug, and not the writer's: the write and the other watchers go on.
      this.#watchers.delete(watcher);
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

function concerns(filter: StoreFilter | null, event: WatchEvent): boolean {
  if (filter === null) return true;
  const { group, plural, namespace } = event.key;
  if (filter.group !== group || filter.plural !== plural) return false;
  return filter.namespace === undefined || filter.namespace === namespace;
}
