//! All that anybody saw of the order of writes, by revision.

import type { History, Operation, SeenEvent, Version } from "./history.ts";

export interface Entry {
  /** `null`: seen by who reads, who cannot tell an update from a creation. */
  readonly type: SeenEvent["type"] | null;
  readonly key: string;
  readonly version: Version;
  readonly revision: number;
}

export interface Sight {
  readonly revision: number;
  readonly at: number;
}

export class EventLog {
  readonly faults: string[] = [];
  readonly keys: ReadonlySet<string>;
  /** Of each value that anybody saw. */
  readonly revisions: Map<string, number> = new Map<string, number>();
  readonly #byRevision = new Map<number, Entry>();
  readonly #sights = new Map<string, Sight>();
  readonly #ordered: readonly Entry[];
  readonly #byKey = new Map<string, Entry[]>();

  constructor({ operations, listings, watchers }: History) {
    for (const operation of operations) this.#seeAnswer(operation);
    for (const { versions, returnedAt } of listings) {
      for (const [key, version] of versions) this.#see({ type: null, key, version }, returnedAt);
    }
    for (const step of watchers.flat()) if (step.kind === "event") this.#see(step, step.at);
    this.#ordered = [...this.#byRevision.values()].sort((a, b) => a.revision - b.revision);
    for (const entry of this.#ordered) {
      const entries = this.#byKey.get(entry.key);
      if (entries === undefined) this.#byKey.set(entry.key, [entry]);
      else entries.push(entry);
    }
    this.keys = new Set([...this.#byKey.keys(), ...operations.map(({ key }) => key)]);
  }

  firstSight(value: string): Sight | undefined {
    return this.#sights.get(value);
  }

  /** The first that is later than one revision and not later than the other. */
  between(after: number, upTo: number): Entry | undefined {
    const entry = this.#ordered[firstAfter(this.#ordered, after)];
    return entry !== undefined && entry.revision <= upTo ? entry : undefined;
  }

  countAfter(revision: number): number {
    return this.#ordered.length - firstAfter(this.#ordered, revision);
  }

  lastOf(key: string, upTo: number): Entry | undefined {
    const entries = this.#byKey.get(key) ?? [];
    return entries[firstAfter(entries, upTo) - 1];
  }

  #seeAnswer({ key, action, outcome, returnedAt: at }: Operation): void {
    if (outcome.kind === "found" && outcome.version !== null) {
      this.#see({ type: null, key, version: outcome.version }, at);
    }
    if (outcome.kind !== "done" || outcome.revision === null || !("value" in action)) return;
    this.#see(
      { type: null, key, version: { value: action.value, revision: outcome.revision } },
      at,
    );
  }

  #see({ type, key, version }: Omit<Entry, "revision">, at: number): void {
    const { revision, value } = version;
    const known = this.#byRevision.get(revision);
    if (known === undefined || known.type === null) {
      this.#byRevision.set(revision, { type, key, version, revision });
    }
    if (known !== undefined && !isSame(known, { type, key, version })) {
      const two = [known, { type, key, version }].map((one) => JSON.stringify(one)).join(" and ");
      this.faults.push(`two writes at revision ${revision}: ${two}`);
    }
    if (type === "DELETED") return;
    if ((this.revisions.get(value) ?? revision) !== revision) {
      this.faults.push(`${value} of ${key} at two revisions, one of them ${revision}`);
    }
    this.revisions.set(value, revision);
    const sight = this.#sights.get(value);
    if (sight === undefined || at < sight.at) this.#sights.set(value, { revision, at });
  }
}

function isSame(known: Entry, seen: Omit<Entry, "revision">): boolean {
  if (known.key !== seen.key || known.version.value !== seen.version.value) return false;
  // Whoever reads an object sees the revision of a write, never that of a deletion.
  const isOf = (type: Entry["type"]): boolean => known.type === type || seen.type === type;
  if (known.type === null || seen.type === null) return !isOf("DELETED");
  return known.type === seen.type;
}

function firstAfter(entries: readonly Entry[], revision: number): number {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((entries[middle]?.revision ?? Infinity) > revision) high = middle;
    else low = middle + 1;
  }
  return low;
}
