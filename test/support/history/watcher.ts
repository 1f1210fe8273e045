//! What one watcher was told, against what is known of all writes.

import type { EventLog } from "./event-log.ts";
import type { SeenEvent, Version, WatchStep } from "./history.ts";

/** One fault leads to others: these are enough. */
const FAULTS_MAX = 3;

export function watcherFaults(
  steps: readonly WatchStep[],
  log: EventLog,
  eventsKept: number,
): readonly string[] {
  const watcher = new Watcher(log, eventsKept);
  for (const step of steps) watcher.take(step);
  watcher.end();
  return watcher.faults.slice(0, FAULTS_MAX);
}

class Watcher {
  readonly faults: string[] = [];
  readonly #log: EventLog;
  readonly #eventsKept: number;
  #objects = new Map<string, Version>();
  /** It has been told all up to here; `null`: it has to list. */
  #position: number | null = null;
  /** The server's life in which it learnt that. */
  #life = 0;
  #openedIn = 0;

  constructor(log: EventLog, eventsKept: number) {
    this.#log = log;
    this.#eventsKept = eventsKept;
  }

  take(step: WatchStep): void {
    switch (step.kind) {
      case "listed":
        this.#objects = new Map(step.listing.versions);
        this.#position = step.listing.revision;
        this.#life = step.life;
        return;
      case "opened":
        if (step.from !== this.#position) this.#fail(`opened from ${step.from}`);
        this.#openedIn = step.life;
        return;
      case "event":
        this.#event(step);
        return;
      case "bookmark":
        this.#advance(step.revision, "a bookmark");
        return;
      case "expired":
        this.#expired(step.life);
    }
  }

  end(): void {
    const missing = this.#log.between(this.#position ?? 0, Infinity);
    if (missing !== undefined) this.#fail(`ended without ${JSON.stringify(missing)}`);
  }

  #event({ type, key, version }: SeenEvent): void {
    const what = `${type} ${key} ${JSON.stringify(version)}`;
    if (version.revision === this.#position) this.#fail(`told ${what} again`);
    this.#advance(version.revision - 1, what);
    const before = this.#objects.get(key);
    if ((type === "ADDED") !== (before === undefined)) {
      this.#fail(`told ${what}, where it had ${JSON.stringify(before ?? null)}`);
    }
    if (type === "DELETED" && before?.value !== version.value) {
      this.#fail(`told ${what}, where the last value was ${before?.value ?? "none"}`);
    }
    if (type === "DELETED") this.#objects.delete(key);
    else this.#objects.set(key, version);
    this.#position = version.revision;
  }

  /** It was told nothing about what lies between. */
  #advance(revision: number, what: string): void {
    const position = this.#position ?? 0;
    if (this.#position === null) this.#fail(`told ${what} before it had listed`);
    else if (revision < position) this.#fail(`told ${what} out of order`);
    const missing = this.#log.between(position, revision);
    if (missing !== undefined) this.#fail(`told ${what}, without ${JSON.stringify(missing)}`);
    this.#position = Math.max(position, revision);
    this.#life = this.#openedIn;
  }

  #expired(life: number): void {
    const behind = this.#log.countAfter(this.#position ?? 0);
    if (life === this.#life && behind < this.#eventsKept) {
      this.#fail(`refused with 410 by the server that told it, ${behind} events behind at most`);
    }
    this.#position = null;
  }

  #fail(what: string): void {
    this.faults.push(`${what} (it was at ${this.#position ?? "no revision"})`);
  }
}
