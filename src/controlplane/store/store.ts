//! The resource store: objects by key, one revision that only grows, and a watch on what changes.
//!
//! What a reader sees is durable: an object becomes visible, and its event is delivered, when the
//! medium has it. A listener runs inside that moment, in the order of the revisions.

import type { Resource } from "../../resources/object.ts";

/** The largest object, as JSON text (Kubernetes' and etcd's limit). */
export const OBJECT_BYTES_MAX: number = 1_572_864;
/** How many objects a store holds. */
export const OBJECTS_MAX = 50_000;
/** How many events a watcher may lie behind before it has to list again. */
export const WATCH_EVENTS_MAX = 4_096;
/** How many writes share one transaction: who has many asks for so many at once. */
export const GROUP_WRITES_MAX = 256;
/** How many writes may wait for the medium. */
export const WRITES_WAITING_MAX = 10_000;

/** Where an object lives. All its API versions share one key. */
export interface StoreKey {
  /** `""` for the core group. */
  readonly group: string;
  readonly plural: string;
  /** `""` for a cluster-scoped object. */
  readonly namespace: string;
  readonly name: string;
}

export interface StoreFilter {
  readonly group: string;
  readonly plural: string;
  /** Absent: all namespaces. */
  readonly namespace?: string;
}

export interface Listing {
  readonly items: Resource[];
  /** The store's revision when the items were read: where a watch goes on. */
  readonly revision: number;
}

export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly key: StoreKey;
  /** For DELETED the last state, with the revision of the deletion. */
  readonly object: Resource;
  /** The state before; `null` for ADDED. A selector's watcher tells by it what left its set. */
  readonly previous: Resource | null;
  readonly revision: number;
}

export type WriteFailure =
  "already_exists" | "not_found" | "conflict" | "too_large" | "full" | "storage";

export type WriteResult =
  | { readonly ok: true; readonly resource: Resource; readonly changed: boolean }
  | { readonly ok: false; readonly reason: WriteFailure; readonly message: string };

export interface WriteOptions {
  /** Decides everything as a real write would, and changes nothing. */
  readonly dryRun?: boolean;
}

export interface ConditionalOptions extends WriteOptions {
  /** The write goes through only when the object still has this resourceVersion. */
  readonly ifRevision?: string;
  /** The write goes through only for this incarnation of the object. */
  readonly ifUid?: string;
  /** An update replaces the status, too. */
  readonly withStatus?: boolean;
}

/** A record that could not be read back as it was written. It is never served. */
export interface DamagedRecord {
  readonly key: string;
  readonly reason: string;
}

export interface Watch {
  cancel(): void;
}

/**
 * The store sets `uid`, `creationTimestamp`, `generation` (counts changes outside metadata and
 * status) and `resourceVersion` (the decimal revision of the last write). Objects it hands out are
 * frozen values: never edit them.
 */
export interface ResourceStore {
  readonly revision: number;
  get(key: StoreKey): Resource | undefined;
  list(filter: StoreFilter): Listing;
  /** As `list` was at that revision; `"expired"` where `watch` from there would be. */
  listAt(filter: StoreFilter, revision: number): Listing | "expired";
  all(): Listing;
  /** Keeps `status` when the caller gives one. */
  create(resource: Resource, options?: WriteOptions): Promise<WriteResult>;
  /** Replaces everything but the status. */
  update(resource: Resource, options?: ConditionalOptions): Promise<WriteResult>;
  updateStatus(key: StoreKey, status: unknown, options?: ConditionalOptions): Promise<WriteResult>;
  delete(key: StoreKey, options?: ConditionalOptions): Promise<WriteResult>;
  /**
   * Events after `fromRevision` (`null`: from now on). Those already in the past are delivered
   * before this returns. `"expired"`: they are no longer known, list again.
   */
  watch(
    filter: StoreFilter | null,
    fromRevision: number | null,
    listener: (event: WatchEvent) => void,
  ): Watch | "expired";
  damaged(): readonly DamagedRecord[];
  /** The newest, for another process that goes on with this store. */
  recentEvents(countMax: number): readonly WatchEvent[];
  /**
   * Leaves the directory to another process. Reads go on; writes wait for `takeBack`, or are
   * refused
   * by `close`. Rejects when that cannot be: then nothing has changed.
   */
  lend(): Promise<void>;
  /** What the other process has written, and it must have ended, is undone. Throws as opening. */
  takeBack(): void;
  close(): Promise<void>;
}

/** `<plural>.<group>/<namespace>/<name>`: unique, sorted by kind, and fit for a message. */
export function keyText(key: StoreKey): string {
  return `${kindText(key)}/${key.namespace}/${key.name}`;
}

export function kindText(key: { readonly group: string; readonly plural: string }): string {
  return key.group === "" ? key.plural : `${key.plural}.${key.group}`;
}
