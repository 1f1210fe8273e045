//! What changed between two snapshots: the unit that travels to workers.
//!
//! A resource is one entry of one section; it travels whole, and only when its hash changed.

import { contentHash } from "../base/canonical-json.ts";
import { EMPTY_SNAPSHOT } from "./snapshot.ts";
import type { Snapshot } from "./snapshot.ts";

export const SECTIONS = [
  "gateways",
  "routeTables",
  "clusters",
  "endpoints",
  "laneGroups",
  "plugins",
  "workloads",
] as const;

export type Section = (typeof SECTIONS)[number];

export interface SnapshotDelta {
  readonly fromVersion: string;
  readonly toVersion: string;
  readonly changed: Readonly<Partial<Record<Section, Readonly<Record<string, unknown>>>>>;
  readonly removed: Readonly<Partial<Record<Section, readonly string[]>>>;
}

/** Resource hashes, remembered by identity: an unchanged resource object is hashed once. */
const hashes = new WeakMap<object, string>();

function hashOf(resource: object): string {
  let hash = hashes.get(resource);
  if (hash === undefined) {
    hash = contentHash(resource);
    hashes.set(resource, hash);
  }
  return hash;
}

/** The version of a snapshot's content: a hash over the resources' hashes. */
export function snapshotVersion(content: Omit<Snapshot, "version">): string {
  const parts = SECTIONS.map((section) =>
    Object.entries(content[section] as Readonly<Record<string, object>>)
      .map(([name, resource]) => `${name}=${hashOf(resource)}`)
      .sort(),
  );
  return contentHash([content.formatVersion, parts]);
}

/** The delta that turns `from` into `to`. */
export function diffSnapshots(from: Snapshot, to: Snapshot): SnapshotDelta {
  const changed: Partial<Record<Section, Record<string, unknown>>> = {};
  const removed: Partial<Record<Section, string[]>> = {};
  for (const section of SECTIONS) {
    const before = from[section] as Readonly<Record<string, object>>;
    const after = to[section] as Readonly<Record<string, object>>;
    for (const [name, resource] of Object.entries(after)) {
      const old = Object.hasOwn(before, name) ? before[name] : undefined;
      if (old === resource) continue;
      if (old === undefined || hashOf(old) !== hashOf(resource)) {
        (changed[section] ??= {})[name] = resource;
      }
    }
    for (const name of Object.keys(before)) {
      if (!Object.hasOwn(after, name)) (removed[section] ??= []).push(name);
    }
  }
  return { fromVersion: from.version, toVersion: to.version, changed, removed };
}

/** The delta that brings a worker which holds nothing up to `to`. */
export function fullDelta(to: Snapshot): SnapshotDelta {
  return diffSnapshots(EMPTY_SNAPSHOT, to);
}

/** Applies a delta. Returns null when it was made for another version than `base`'s. */
export function applyDelta(base: Snapshot, delta: SnapshotDelta): Snapshot | null {
  if (delta.fromVersion !== base.version) return null;
  const next: Record<string, unknown> = { formatVersion: 1, version: delta.toVersion };
  for (const section of SECTIONS) {
    const changed = delta.changed[section];
    const removed = delta.removed[section];
    if (changed === undefined && removed === undefined) {
      next[section] = base[section];
      continue;
    }
    const merged: Record<string, unknown> = { ...base[section], ...changed };
    for (const name of removed ?? []) Reflect.deleteProperty(merged, name);
    next[section] = merged;
  }
  return next as unknown as Snapshot;
}
