//! Deletes objects whose owners have all gone, and lets owners go that wait for their dependents.
//!
//! As Kubernetes' garbage collector decides it: pkg/controller/garbagecollector, and
//! <https://kubernetes.io/docs/concepts/architecture/garbage-collection/>. It looks at what there
//! is and not at what has happened, so a start in the midst goes on.

import type { Clock, Timer } from "../../base/clock.ts";
import type { Resource } from "../../resources/object.ts";
import {
  deleteObjectIn,
  FOREGROUND_FINALIZER,
  finalizersOf,
  isMarked,
  ORPHAN_FINALIZER,
  type Propagation,
} from "../store/deletion.ts";
import { storeKeyOf } from "../store/open-store.ts";
import {
  GROUP_WRITES_MAX,
  keyText,
  type ResourceStore,
  type StoreKey,
  type Watch,
  type WatchEvent,
  type WriteResult,
} from "../store/store.ts";
import { Dependents, ownerKey, ownersOf, type OwnerReference } from "./owners.ts";

/** How soon it is tried again when the store took no write. */
const RETRY_MS = 1_000;

export interface GarbageCollectorOptions {
  readonly store: ResourceStore;
  readonly clock: Clock;
  /** Somebody else deletes it, when what it belongs to has gone: it is only waited for. */
  readonly leaves: (resource: Resource) => boolean;
}

/** Of an object's references; those that are in neither have no owner any more. */
interface Classes {
  readonly solid: readonly OwnerReference[];
  /** The owner waits for its dependents to go. */
  readonly waitingCount: number;
}

export class GarbageCollector {
  readonly #options: GarbageCollectorOptions;
  readonly #dependents = new Dependents();
  /** What is to be looked at, each once: never more than the store has objects. */
  readonly #wanted = new Map<string, StoreKey>();
  #watch: Watch | null = null;
  #retry: Timer | null = null;
  #running: Promise<void> | null = null;

  constructor(options: GarbageCollectorOptions) {
    this.#options = options;
  }

  start(): void {
    const { store } = this.#options;
    const watch = store.watch(null, null, (event) => {
      this.#take(event);
    });
    this.#watch = watch === "expired" ? null : watch;
    for (const object of store.all().items) {
      this.#take({ type: "ADDED", key: storeKeyOf(object), object, previous: null });
    }
  }

  /** What is being written may still be. */
  stop(): void {
    this.#watch?.cancel();
    this.#watch = null;
    this.#retry?.cancel();
    this.#wanted.clear();
    this.#dependents.clear();
  }

  #take(event: Omit<WatchEvent, "revision">): void {
    const { type, key, object, previous } = event;
    this.#dependents.take(event);
    const before = previous === null ? [] : ownersOf(previous);
    if (type === "DELETED") this.#wantDependents(object);
    else if (isHeld(object)) {
      this.#want(key);
      if (isForeground(object)) this.#wantDependents(object);
    } else if (!isSame(before, ownersOf(object))) this.#want(key);
    // Owners that wait for it may go, if it has gone or does not hold them any more.
    for (const owner of before) {
      const place = ownerKey(owner, key.namespace);
      if (place !== null && isHeld(this.#options.store.get(place))) this.#want(place);
    }
  }

  #wantDependents({ metadata }: Resource): void {
    for (const key of this.#dependents.of(metadata.uid)) this.#want(key);
  }

  #want(key: StoreKey): void {
    this.#wanted.set(keyText(key), key);
    this.#run();
  }

  #run(): void {
    this.#running ??= this.#pass().finally(() => {
      this.#running = null;
      if (this.#wanted.size > 0 && this.#retry === null) this.#run();
    });
  }

  async #pass(): Promise<void> {
    // The writes of one turn are one event for us.
    await new Promise((resolve) => setImmediate(resolve));
    const some = [...this.#wanted].slice(0, GROUP_WRITES_MAX);
    for (const [name] of some) this.#wanted.delete(name);
    const results = await Promise.all(some.map(([, key]) => this.#settle(key)));
    if (this.#watch === null) return;
    for (const [at, result] of results.entries()) {
      const [name, key] = some[at] ?? [];
      if (name === undefined || key === undefined || result === null) continue;
      if (result.ok || result.reason === "not_found") continue;
      this.#wanted.set(name, key);
      if (result.reason !== "conflict") this.#tryLater();
    }
  }

  #tryLater(): void {
    this.#retry ??= this.#options.clock.after(
      RETRY_MS,
      () => {
        this.#retry = null;
        this.#run();
      },
      { unref: true },
    );
  }

  /** Takes the next step with one object; null: there is none. */
  async #settle(key: StoreKey): Promise<WriteResult | null> {
    const live = this.#options.store.get(key);
    if (live === undefined) return null;
    if (isMarked(live)) {
      if (finalizersOf(live).includes(ORPHAN_FINALIZER)) return this.#orphan(live);
      return isForeground(live) ? this.#releaseWhenAlone(live) : null;
    }
    if (this.#options.leaves(live)) return null;
    return this.#judge(live, ownersOf(live));
  }

  /** By its owners; null: it stays as it is. */
  async #judge(live: Resource, references: readonly OwnerReference[]): Promise<WriteResult | null> {
    const classes = this.#classify(references, storeKeyOf(live).namespace);
    if (classes === null || references.length === 0) return null;
    const { solid, waitingCount } = classes;
    if (solid.length > 0) {
      return solid.length === references.length ? null : this.#rewrite(live, solid);
    }
    const dependents = this.#dependents.of(live.metadata.uid);
    if (waitingCount === 0 || dependents.length === 0) return this.#delete(live, policyOf(live));
    // Dependents in a circle would hold each other for ever.
    const isCircle = dependents.some((one) => isForeground(this.#options.store.get(one)));
    if (isCircle && references.some(({ blockOwnerDeletion }) => blockOwnerDeletion === true)) {
      const free = references.map((one) => ({ ...one, blockOwnerDeletion: false }));
      // It is looked at again when that is written.
      return this.#rewrite(live, free);
    }
    return this.#delete(live, "Foreground");
  }

  /** Null: of one of them nobody can tell whether its owner is there. */
  #classify(references: readonly OwnerReference[], namespace: string): Classes | null {
    const { store } = this.#options;
    const solid: OwnerReference[] = [];
    let waitingCount = 0;
    for (const reference of references) {
      const key = ownerKey(reference, namespace);
      if (key === null) return null;
      const owner = store.get(key);
      // What cannot be read has not gone.
      if (owner === undefined && isDamaged(store, key)) return null;
      if (owner?.metadata.uid !== reference.uid) continue;
      if (isForeground(owner)) waitingCount += 1;
      else solid.push(reference);
    }
    return { solid, waitingCount };
  }

  /** Lets the dependents go first, then the owner. */
  async #orphan(owner: Resource): Promise<WriteResult | null> {
    const { uid } = owner.metadata;
    const keys = [...this.#dependents.of(uid)];
    while (keys.length > 0) {
      const some = keys.splice(0, GROUP_WRITES_MAX).flatMap((key) => {
        return this.#options.store.get(key) ?? [];
      });
      const written = some.map((live) =>
        this.#rewrite(
          live,
          ownersOf(live).filter((one) => one.uid !== uid),
        ),
      );
      const results = await Promise.all(written);
      const failed = results.find((one) => !one.ok && one.reason !== "not_found");
      if (failed !== undefined) return failed;
    }
    return this.#release(owner, ORPHAN_FINALIZER);
  }

  /** Null: dependents hold it. */
  async #releaseWhenAlone(owner: Resource): Promise<WriteResult | null> {
    const { store } = this.#options;
    const place = keyText(storeKeyOf(owner));
    const { uid } = owner.metadata;
    const isBlocked = this.#dependents.of(uid).some((key) => {
      const live = store.get(key);
      return (
        live !== undefined &&
        ownersOf(live).some((one) => {
          const at = ownerKey(one, key.namespace);
          const isOwn = one.uid === uid && at !== null && keyText(at) === place;
          return isOwn && one.blockOwnerDeletion === true;
        })
      );
    });
    return isBlocked ? null : this.#release(owner, FOREGROUND_FINALIZER);
  }

  #release(owner: Resource, finalizer: string): Promise<WriteResult> {
    const { store } = this.#options;
    const all = owner.metadata["finalizers"] as readonly string[];
    const finalizers = all.filter((one) => one !== finalizer);
    const wanted = { ...owner, metadata: { ...owner.metadata, finalizers } };
    const isOver = finalizersOf(wanted).length === 0;
    return isOver
      ? store.delete(storeKeyOf(owner), ifSame(owner))
      : store.update(wanted, ifSame(owner));
  }

  #rewrite(live: Resource, references: readonly OwnerReference[]): Promise<WriteResult> {
    const ownerReferences = references.length === 0 ? undefined : references;
    const metadata = { ...live.metadata, ownerReferences };
    return this.#options.store.update({ ...live, metadata }, ifSame(live));
  }

  #delete(live: Resource, propagation: Propagation): Promise<WriteResult> {
    const { store, clock } = this.#options;
    return deleteObjectIn(store, clock, storeKeyOf(live), { ...ifSame(live), propagation });
  }
}

/** Deleted, and held for the sake of its dependents. */
function isHeld(object: Resource | undefined): boolean {
  if (object === undefined || !isMarked(object)) return false;
  const all = finalizersOf(object);
  return all.includes(FOREGROUND_FINALIZER) || all.includes(ORPHAN_FINALIZER);
}

function isForeground(object: Resource | undefined): boolean {
  if (object === undefined || !isMarked(object)) return false;
  return finalizersOf(object).includes(FOREGROUND_FINALIZER);
}

/** What its own finalizers say. */
function policyOf(live: Resource): Propagation {
  const all = finalizersOf(live);
  if (all.includes(ORPHAN_FINALIZER)) return "Orphan";
  return all.includes(FOREGROUND_FINALIZER) ? "Foreground" : "Background";
}

function isSame(before: readonly OwnerReference[], now: readonly OwnerReference[]): boolean {
  if (before.length === 0 && now.length === 0) return true;
  return JSON.stringify(before) === JSON.stringify(now);
}

function isDamaged(store: ResourceStore, key: StoreKey): boolean {
  const name = keyText(key);
  return store.damaged().some((record) => record.key === name);
}

function ifSame({ metadata }: Resource): { readonly ifRevision?: string } {
  const { resourceVersion } = metadata;
  return resourceVersion === undefined ? {} : { ifRevision: resourceVersion };
}
