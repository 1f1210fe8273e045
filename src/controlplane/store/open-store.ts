//! Opens a store: in a state directory, or in memory.

import { assert } from "../../base/assert.ts";
import type { Clock } from "../../base/clock.ts";
import type { Resource } from "../../resources/object.ts";
import { kindByApiVersion } from "../../resources/registry.ts";
import { CommittedStore } from "./committed-store.ts";
import { LentMedium } from "./lent-medium.ts";
import { memoryMedium } from "./medium.ts";
import type { ResourceStore, StoreKey, WatchEvent } from "./store.ts";

export interface OpenStoreOptions {
  /** The state directory; made when missing. The lock lies in it, the records in `store/`. */
  readonly directory: string;
  readonly clock: Clock;
  readonly watchEventsMax?: number;
  /** The last events, of the process that had the store before. Absent: none are known. */
  readonly events?: readonly WatchEvent[];
}

/**
 * Takes the state directory for this process and opens the store in it. Throws
 * `DirectoryLockedError`, `NewerFormatError`, `DamagedFileError`, or what the file system says.
 */
export function openStore(options: OpenStoreOptions): ResourceStore {
  const medium = new LentMedium(options.directory);
  try {
    return new CommittedStore({ ...options, medium, keyOf: storeKeyOf });
  } catch (error) {
    void medium.close();
    throw error;
  }
}

export function openMemoryStore(options: Omit<OpenStoreOptions, "directory">): ResourceStore {
  return new CommittedStore({ ...options, medium: memoryMedium, keyOf: storeKeyOf });
}

/** The key of a validated resource. A kind that is not in the registry never gets this far. */
export function storeKeyOf(resource: Resource): StoreKey {
  const info = kindByApiVersion(resource.apiVersion, resource.kind);
  assert(info !== undefined, `${resource.apiVersion} ${resource.kind} is a known kind`);
  const { group, plural } = info;
  const namespace = info.namespaced ? (resource.metadata.namespace ?? "default") : "";
  return { group, plural, namespace, name: resource.metadata.name };
}
