//! The store over any medium: plans writes in order, commits them in groups, then makes them seen.
//!
//! Readers see only what the medium has accepted. Writes of one turn share a transaction; they are
//! planned one after the other on an overlay, which becomes the state when the commit has worked
//! and is forgotten when it has not.

import { randomUUID } from "node:crypto";
import { timestamp, type Clock } from "../../base/clock.ts";
import type { Resource } from "../../resources/object.ts";
import type { Medium, RecordChange } from "./medium.ts";
import { planWrite, type Operation, type Plan } from "./plan.ts";
import { DAMAGED, WatchHub } from "./watch-hub.ts";
import {
  GROUP_WRITES_MAX,
  keyText,
  kindText,
  WATCH_EVENTS_MAX,
  WRITES_WAITING_MAX,
  type ConditionalOptions,
  type DamagedRecord,
  type Listing,
  type ResourceStore,
  type StoreFilter,
  type StoreKey,
  type Watch,
  type WatchEvent,
  type WriteOptions,
  type WriteResult,
} from "./store.ts";

export interface CommittedStoreOptions {
  readonly medium: Medium;
  readonly clock: Clock;
  /** Which table a resource belongs to. Throws for a kind that nobody knows. */
  readonly keyOf: (resource: Resource) => StoreKey;
  /** How many events a watcher may lie behind. */
  readonly watchEventsMax?: number;
  /** The last events before this store was opened. */
  readonly events?: readonly WatchEvent[];
}

interface Entry {
  readonly key: StoreKey;
  readonly resource: Resource;
}

/** The objects of a kind. */
class Table {
  readonly #entries = new Map<string, Entry>();
  /** Null: something has come or gone since it was sorted. Pages of a list ask often. */
  #names: readonly string[] | null = null;

  /** By namespace, then name, in code unit order: the same on every machine. */
  get names(): readonly string[] {
    this.#names ??= [...this.#entries.keys()].sort();
    return this.#names;
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** True: it was not there. */
  put(entry: Entry): boolean {
    const name = keyText(entry.key);
    const isNew = !this.#entries.has(name);
    if (isNew) this.#names = null;
    this.#entries.set(name, entry);
    return isNew;
  }

  /** False: there is none. */
  delete(name: string): boolean {
    this.#names = null;
    return this.#entries.delete(name);
  }
}

interface Waiting {
  readonly operation: Operation;
  readonly options: ConditionalOptions;
  readonly resolve: (result: WriteResult) => void;
}

/** One group of writes on its way: what they decided, and the state they would lead to. */
interface Group {
  readonly overlay: Map<string, Resource | null>;
  readonly changes: RecordChange[];
  readonly events: WatchEvent[];
  readonly results: WriteResult[];
  /** Index of the first write that rests on the commit. */
  firstChange: number;
  revision: number;
  objectCount: number;
}

const NOTHING: ReadonlyMap<string, Resource | null> = new Map();

export class CommittedStore implements ResourceStore {
  readonly #medium: Medium;
  readonly #clock: Clock;
  readonly #keyOf: (resource: Resource) => StoreKey;
  readonly #kinds = new Map<string, Table>();
  readonly #damaged: Map<string, DamagedRecord>;
  readonly #hub: WatchHub;
  #waiting: Waiting[] = [];
  #draining: Promise<void> | null = null;
  #objectCount = 0;
  #revision: number;
  #isClosed = false;
  /** Another process may write, and writes wait for what comes of it. */
  #isLent = false;

  constructor(options: CommittedStoreOptions) {
    this.#medium = options.medium;
    this.#clock = options.clock;
    this.#keyOf = options.keyOf;
    const loaded = options.medium.load();
    this.#revision = loaded.revision;
    this.#damaged = new Map(loaded.damaged.map((record) => [record.key, record]));
    for (const entry of loaded.entries) this.#put(entry.key, deepFreeze(entry.resource));
    const eventsMax = options.watchEventsMax ?? WATCH_EVENTS_MAX;
    this.#hub = new WatchHub({
      eventsMax,
      revision: loaded.revision,
      events: options.events ?? [],
    });
  }

  get revision(): number {
    return this.#revision;
  }

  get(key: StoreKey): Resource | undefined {
    return this.#kinds.get(kindText(key))?.get(keyText(key))?.resource;
  }

  list(filter: StoreFilter): Listing {
    return { items: this.#items(filter, NOTHING), revision: this.#revision };
  }

  listAt(filter: StoreFilter, revision: number): Listing | "expired" {
    const before = this.#hub.before(filter, revision, this.#revision);
    return before === "expired" ? before : { items: this.#items(filter, before), revision };
  }

  /** `instead`: by key, what is to be taken in place of what is there. */
  #items(filter: StoreFilter, instead: ReadonlyMap<string, Resource | null>): Resource[] {
    const table = this.#kinds.get(kindText(filter));
    const isBack = (name: string): boolean => table?.get(name) === undefined;
    const back = [...instead.keys()].filter(isBack);
    const present = table?.names ?? [];
    const names = back.length === 0 ? present : [...present, ...back].sort();
    const items: Resource[] = [];
    for (const name of names) {
      const entry = table?.get(name);
      const { namespace } = filter;
      if (entry !== undefined && (namespace ?? entry.key.namespace) !== entry.key.namespace)
        continue;
      const before = instead.get(name);
      const resource = before === undefined ? entry?.resource : before;
      if (resource != null) items.push(resource);
    }
    return items;
  }

  all(): Listing {
    const items: Resource[] = [];
    for (const kind of [...this.#kinds.keys()].sort()) {
      const table = this.#kinds.get(kind);
      for (const name of table?.names ?? []) {
        const entry = table?.get(name);
        if (entry !== undefined) items.push(entry.resource);
      }
    }
    return { items, revision: this.#revision };
  }

  create(resource: Resource, options: WriteOptions = {}): Promise<WriteResult> {
    return this.#write({ kind: "create", key: this.#keyOf(resource), resource }, options);
  }

  update(resource: Resource, options: ConditionalOptions = {}): Promise<WriteResult> {
    return this.#write({ kind: "update", key: this.#keyOf(resource), resource }, options);
  }

  updateStatus(
    key: StoreKey,
    status: unknown,
    options: ConditionalOptions = {},
  ): Promise<WriteResult> {
    return this.#write({ kind: "status", key, status }, options);
  }

  delete(key: StoreKey, options: ConditionalOptions = {}): Promise<WriteResult> {
    return this.#write({ kind: "delete", key }, options);
  }

  watch(
    filter: StoreFilter | null,
    fromRevision: number | null,
    listener: (event: WatchEvent) => void,
  ): Watch | "expired" {
    return this.#hub.watch({ filter, listener }, fromRevision, this.#revision);
  }

  damaged(): readonly DamagedRecord[] {
    return [...this.#damaged.values()];
  }

  async lend(): Promise<void> {
    this.#isLent = true;
    await this.#draining;
    try {
      await this.#medium.lend();
    } catch (error) {
      this.#resume();
      throw error;
    }
  }

  takeBack(): void {
    try {
      this.#medium.takeBack();
    } finally {
      // Else whoever writes would wait for ever.
      this.#resume();
    }
  }

  recentEvents(countMax: number): readonly WatchEvent[] {
    return this.#hub.last(countMax);
  }

  #resume(): void {
    this.#isLent = false;
    if (this.#waiting.length > 0) this.#draining ??= this.#drain();
  }

  /** Waits for the writes that were begun. Writes after this are refused. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#draining;
    for (const { resolve } of this.#waiting.splice(0)) resolve(CLOSED);
    this.#hub.clear();
    await this.#medium.close();
  }

  #write(operation: Operation, options: ConditionalOptions): Promise<WriteResult> {
    if (this.#isClosed) return Promise.resolve(CLOSED);
    if (this.#waiting.length >= WRITES_WAITING_MAX) {
      const message = `${WRITES_WAITING_MAX} writes are waiting for the disk; try again later`;
      return Promise.resolve({ ok: false, reason: "full", message });
    }
    return new Promise((resolve) => {
      this.#waiting.push({ operation, options, resolve });
      if (!this.#isLent) this.#draining ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#isLent) {
      // Other requests of this turn join the group.
      await new Promise((resolve) => setImmediate(resolve));
      const writes = this.#waiting.slice(0, GROUP_WRITES_MAX);
      this.#waiting = this.#waiting.slice(GROUP_WRITES_MAX);
      const results = this.#commit(writes);
      writes.forEach((write, index) => {
        write.resolve(results[index] ?? storageFailure("no result"));
      });
    }
    this.#draining = null;
  }

  #commit(writes: readonly Waiting[]): readonly WriteResult[] {
    const group: Group = {
      overlay: new Map(),
      changes: [],
      events: [],
      results: [],
      firstChange: Infinity,
      revision: this.#revision,
      objectCount: this.#objectCount,
    };
    for (const write of writes) group.results.push(this.#plan(write, group));
    if (group.changes.length === 0) return group.results;
    try {
      this.#medium.commit(group.changes, group.revision);
    } catch (error) {
      // What was decided on the overlay after the first change rests on something that is not so.
      const failure = storageFailure(error instanceof Error ? error.message : String(error));
      return group.results.map((result, at) => (at < group.firstChange ? result : failure));
    }
    this.#revision = group.revision;
    for (const event of group.events) this.#apply(event);
    this.#hub.publish(group.events);
    return group.results;
  }

  #plan(write: Waiting, group: Group): WriteResult {
    const { operation, options } = write;
    const key = keyText(operation.key);
    const ahead = group.overlay.get(key);
    const existing = ahead === undefined ? this.get(operation.key) : (ahead ?? undefined);
    const isDamaged = ahead === undefined && this.#damaged.has(key);
    if (isDamaged && operation.kind !== "create") return this.#replaceDamaged(write, group);
    const plan = planWrite(operation, {
      existing,
      objectCount: group.objectCount,
      revision: group.revision + 1,
      now: timestamp(this.#clock.nowMs()),
      newUid: randomUUID,
      options,
    });
    return this.#accept({ plan, write, existing }, group);
  }

  /** A record that cannot be read is repaired by writing or deleting it, without a condition. */
  #replaceDamaged(write: Waiting, group: Group): WriteResult {
    const { operation } = write;
    if (operation.kind === "update") {
      const create = { kind: "create", key: operation.key, resource: operation.resource } as const;
      return this.#plan({ ...write, operation: create }, group);
    }
    const key = keyText(operation.key);
    if (operation.kind !== "delete") {
      return storageFailure(`the record of ${key} is damaged; write it again or delete it`);
    }
    const { name, namespace } = operation.key;
    const metadata = namespace === "" ? { name } : { name, namespace };
    const resource: Resource = { apiVersion: "v1", kind: DAMAGED, metadata };
    return this.#accept({ plan: { kind: "remove", resource }, write, existing: resource }, group);
  }

  #accept(
    decided: {
      readonly plan: Plan;
      readonly write: Waiting;
      readonly existing: Resource | undefined;
    },
    group: Group,
  ): WriteResult {
    const { plan, write, existing } = decided;
    if (plan.kind === "refused") return { ok: false, reason: plan.reason, message: plan.message };
    if (plan.kind === "unchanged") return { ok: true, resource: plan.resource, changed: false };
    if (write.options.dryRun === true) return { ok: true, resource: plan.resource, changed: true };

    group.revision += 1;
    group.firstChange = Math.min(group.firstChange, group.results.length);
    const key = keyText(write.operation.key);
    const text = plan.kind === "put" ? plan.text : null;
    // Read back from the text: what is served is what is kept, and no caller holds a part of it.
    const object = deepFreeze(text === null ? plan.resource : (JSON.parse(text) as Resource));
    group.changes.push({ key, revision: group.revision, text });
    group.overlay.set(key, text === null ? null : object);
    if (existing === undefined) group.objectCount += 1;
    else if (text === null) group.objectCount -= 1;
    const type = text === null ? "DELETED" : existing === undefined ? "ADDED" : "MODIFIED";
    const previous = existing ?? null;
    const { revision } = group;
    group.events.push({ type, key: write.operation.key, object, previous, revision });
    return { ok: true, resource: object, changed: true };
  }

  #apply(event: WatchEvent): void {
    this.#damaged.delete(keyText(event.key));
    if (event.type !== "DELETED") {
      this.#put(event.key, event.object);
      return;
    }
    if (this.#kinds.get(kindText(event.key))?.delete(keyText(event.key)) === true) {
      this.#objectCount -= 1;
    }
  }

  #put(key: StoreKey, resource: Resource): void {
    const kind = kindText(key);
    let table = this.#kinds.get(kind);
    if (table === undefined) this.#kinds.set(kind, (table = new Table()));
    if (table.put({ key, resource })) this.#objectCount += 1;
  }
}

function storageFailure(message: string): WriteResult {
  return { ok: false, reason: "storage", message: `nothing was written: ${message}` };
}

const CLOSED: WriteResult = storageFailure("the store is closed");

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const member of Object.values(value)) deepFreeze(member);
  return value;
}
