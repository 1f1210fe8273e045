//! Owner references, and who has which dependents.

import { items, member } from "../../resources/kinds/member.ts";
import type { Resource } from "../../resources/object.ts";
import { kindByApiVersion } from "../../resources/registry.ts";
import { keyText, type StoreKey, type WatchEvent } from "../store/store.ts";

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export function ownersOf({ metadata }: Resource): readonly OwnerReference[] {
  return items(metadata["ownerReferences"]).filter(isReference);
}

/** What was stored before they were checked may be anything. */
function isReference(value: unknown): value is OwnerReference {
  return ["apiVersion", "kind", "name", "uid"].every((f) => typeof member(value, f) === "string");
}

/**
 * Where the owner of an object in this namespace is; null: nobody can tell, because its kind is not
 * known or lives in namespaces and the object does not.
 */
export function ownerKey(
  { apiVersion, kind, name }: OwnerReference,
  namespace: string,
): StoreKey | null {
  const info = kindByApiVersion(apiVersion, kind);
  if (info === undefined || (info.namespaced && namespace === "")) return null;
  const { group, plural } = info;
  return { group, plural, namespace: info.namespaced ? namespace : "", name };
}

/** By the uid of an owner, the objects that name it. Kept by the events of the store. */
export class Dependents {
  readonly #byOwner = new Map<string, Map<string, StoreKey>>();

  of(uid: string | undefined): readonly StoreKey[] {
    return uid === undefined ? [] : [...(this.#byOwner.get(uid)?.values() ?? [])];
  }

  clear(): void {
    this.#byOwner.clear();
  }

  take({ type, key, object, previous }: Omit<WatchEvent, "revision">): void {
    if (previous !== null) for (const { uid } of ownersOf(previous)) this.#remove(uid, key);
    if (type !== "DELETED") for (const { uid } of ownersOf(object)) this.#add(uid, key);
  }

  #add(uid: string, key: StoreKey): void {
    const known = this.#byOwner.get(uid);
    if (known === undefined) this.#byOwner.set(uid, new Map([[keyText(key), key]]));
    else known.set(keyText(key), key);
  }

  #remove(uid: string, key: StoreKey): void {
    const known = this.#byOwner.get(uid);
    known?.delete(keyText(key));
    if (known?.size === 0) this.#byOwner.delete(uid);
  }
}
