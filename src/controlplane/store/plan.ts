//! Decides what a write does to the state before it: pure, so that a dry run is the same decision.

import { canonicalJson } from "../../base/canonical-json.ts";
import type { Resource } from "../../resources/object.ts";
import {
  keyText,
  kindText,
  OBJECT_BYTES_MAX,
  OBJECTS_MAX,
  type ConditionalOptions,
  type StoreKey,
  type WriteFailure,
} from "./store.ts";

export type Operation =
  | { readonly kind: "create"; readonly key: StoreKey; readonly resource: Resource }
  | { readonly kind: "update"; readonly key: StoreKey; readonly resource: Resource }
  | { readonly kind: "status"; readonly key: StoreKey; readonly status: unknown }
  | { readonly kind: "delete"; readonly key: StoreKey };

/** What a decision needs to know of the store. */
export interface Circumstances {
  readonly existing: Resource | undefined;
  readonly objectCount: number;
  /** The revision this write gets if it changes anything. */
  readonly revision: number;
  readonly now: string;
  readonly newUid: () => string;
  readonly options: ConditionalOptions;
}

export type Plan =
  | { readonly kind: "refused"; readonly reason: WriteFailure; readonly message: string }
  | { readonly kind: "unchanged"; readonly resource: Resource }
  | { readonly kind: "put"; readonly resource: Resource; readonly text: string }
  | { readonly kind: "remove"; readonly resource: Resource };

/** LMDB's keys end at 1,978 bytes; Kubernetes' names stay far below. */
const KEY_CHARS_MAX = 600;

export function planWrite(operation: Operation, at: Circumstances): Plan {
  if (operation.kind === "create") return planCreate(operation, at);
  const existing = at.existing;
  if (existing === undefined) {
    return refuse("not_found", `${subjectOf(operation.key)} does not exist`);
  }
  const conflict = conflictOf(operation.key, existing, at.options);
  if (conflict !== null) return conflict;
  if (operation.kind === "delete") {
    return { kind: "remove", resource: stamped(existing, { revision: at.revision }) };
  }
  const wanted =
    operation.kind === "status"
      ? { ...existing, status: operation.status }
      : withoutOwn(operation.resource, existing, at.options.withStatus === true);
  return planReplace(operation.key, { existing, wanted, revision: at.revision });
}

function planCreate(
  operation: { readonly key: StoreKey; readonly resource: Resource },
  at: Circumstances,
): Plan {
  const name = keyText(operation.key);
  if (at.existing !== undefined) {
    return refuse("already_exists", `${subjectOf(operation.key)} already exists`);
  }
  if (at.objectCount >= OBJECTS_MAX) {
    return refuse("full", `the store holds ${OBJECTS_MAX} objects, its limit; delete some first`);
  }
  if (name.length > KEY_CHARS_MAX) return refuse("too_large", `the name of ${name} is too long`);
  const { resource, key } = operation;
  const own = { uid: at.newUid(), creationTimestamp: at.now, generation: 1 };
  const created = { ...resource, metadata: { ...resource.metadata, ...own } };
  return planPut(key, stamped(created, { revision: at.revision }));
}

function planReplace(
  key: StoreKey,
  change: { readonly existing: Resource; readonly wanted: Resource; readonly revision: number },
): Plan {
  const { existing, wanted, revision } = change;
  if (canonicalJson(wanted) === canonicalJson(existing)) {
    return { kind: "unchanged", resource: existing };
  }
  const generation = existing.metadata.generation ?? 1;
  const isDesired = canonicalJson(desiredOf(wanted)) !== canonicalJson(desiredOf(existing));
  return planPut(
    key,
    stamped(wanted, { revision, generation: isDesired ? generation + 1 : generation }),
  );
}

function planPut(key: StoreKey, resource: Resource): Plan {
  const text = JSON.stringify(resource);
  const bytes = Buffer.byteLength(text);
  if (bytes > OBJECT_BYTES_MAX) {
    const message = `${subjectOf(key)} has ${bytes} bytes; the limit is ${OBJECT_BYTES_MAX}`;
    return refuse("too_large", message);
  }
  return { kind: "put", resource, text };
}

function conflictOf(key: StoreKey, existing: Resource, options: ConditionalOptions): Plan | null {
  const { resourceVersion, uid } = existing.metadata;
  if (options.ifRevision !== undefined && options.ifRevision !== resourceVersion) {
    const message =
      `${subjectOf(key)} is at resourceVersion ${resourceVersion ?? "?"}, not ` +
      `${options.ifRevision}: someone else changed it; read it again and redo the change`;
    return refuse("conflict", message);
  }
  if (options.ifUid !== undefined && options.ifUid !== uid) {
    const has = `${subjectOf(key)} has the uid ${uid ?? "?"}`;
    const message = `${has}, not ${options.ifUid}: it is another object of that name`;
    return refuse("conflict", message);
  }
  return null;
}

/** The written object with what belongs to the store, and mostly the status, as they were. */
function withoutOwn(resource: Resource, existing: Resource, withStatus: boolean): Resource {
  const { uid, creationTimestamp, generation, resourceVersion } = existing.metadata;
  const metadata = { ...resource.metadata, uid, creationTimestamp, generation, resourceVersion };
  // JSON knows no undefined: a member without a value is left out when the object is written.
  const { status } = withStatus ? resource : existing;
  return { ...resource, metadata, status } as Resource;
}

/** All but metadata and status: what `generation` counts the changes of. */
function desiredOf(resource: Resource): unknown {
  return { ...resource, apiVersion: undefined, metadata: undefined, status: undefined };
}

function stamped(
  resource: Resource,
  stamp: { readonly revision: number; readonly generation?: number },
): Resource {
  const metadata = { ...resource.metadata, resourceVersion: String(stamp.revision) };
  if (stamp.generation !== undefined) metadata.generation = stamp.generation;
  return { ...resource, metadata };
}

/** As a Kubernetes API server names an object: `lanes.graylane.io "gray"`. */
function subjectOf(key: StoreKey): string {
  return `${kindText(key)} ${JSON.stringify(key.name)}`;
}

function refuse(reason: WriteFailure, message: string): Plan {
  return { kind: "refused", reason, message };
}
