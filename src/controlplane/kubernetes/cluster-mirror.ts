//! What a Kubernetes API server holds of our kinds, as the publisher reads a store: validated
//! objects, one revision that only grows, and a call when something has changed.
//!
//! A cluster takes objects that our schemas refuse: such a one is not compiled, its last good
//! version goes on as long as this process lives, and its status says why.

import type { Prng } from "../../base/prng.ts";
import type { Clock } from "../../base/clock.ts";
import {
  CLUSTER_KINDS,
  definitionName,
  isBuiltIn,
  mayWriteStatus,
} from "../../resources/cluster-kinds.ts";
import type { Fault } from "../../resources/fault.ts";
import type { Resource } from "../../resources/object.ts";
import type { KindInfo } from "../../resources/registry.ts";
import { validateResource } from "../../resources/validate.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { kindText } from "../store/store.ts";
import type { Listing, Watch } from "../store/store.ts";
import type { ClusterClient } from "./cluster-client.ts";
import { DEFINITIONS, keptOf, tableOf } from "./cluster-tables.ts";
import { Reflector } from "./reflector.ts";
import type { RawObject } from "./reflector.ts";

export interface ClusterMirrorOptions {
  readonly client: Pick<ClusterClient, "ask" | "watch">;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: Logger;
}

interface Entry {
  /** As it is in the cluster, with our defaults when it is good. */
  readonly current: Resource;
  /** What is compiled; null: it has never been good. */
  readonly good: Resource | null;
  readonly faults: readonly Fault[];
}

/** One kind that the cluster has. */
interface Followed {
  readonly info: KindInfo;
  readonly reflector: Reflector;
  readonly entries: Map<string, Entry>;
}

export class ClusterMirror {
  readonly #options: ClusterMirrorOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #definitions: Reflector;
  readonly #names = new Set<string>();
  readonly #listeners = new Set<() => void>();
  readonly #waiting = new Set<() => void>();
  #revision = 0;

  constructor(options: ClusterMirrorOptions) {
    this.#options = options;
    this.#definitions = new Reflector({
      ...options,
      table: DEFINITIONS,
      onReplace: (items) => {
        this.#names.clear();
        for (const { metadata } of items) this.#names.add(metadata.name);
        this.#followKinds();
      },
      onEvent: (type, { metadata }) => {
        if (type === "DELETED") this.#names.delete(metadata.name);
        else this.#names.add(metadata.name);
        this.#followKinds();
      },
    });
  }

  start(): void {
    for (const info of CLUSTER_KINDS) if (isBuiltIn(info)) this.#follow(info);
    this.#definitions.start();
  }

  stop(): void {
    this.#definitions.stop();
    for (const { reflector } of this.#followed.values()) reflector.stop();
  }

  /** Resolves when every table has been read: half a cluster must not be published. */
  async synced(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.isSynced) {
      await new Promise<void>((resolve) => {
        const look = (): void => {
          this.#waiting.delete(look);
          signal.removeEventListener("abort", look);
          resolve();
        };
        this.#waiting.add(look);
        signal.addEventListener("abort", look);
      });
    }
  }

  get isSynced(): boolean {
    return (
      this.#definitions.isSynced &&
      [...this.#followed.values()].every(({ reflector }) => reflector.isSynced)
    );
  }

  /** Why tables are not followed just now; empty: all are. */
  get failures(): readonly string[] {
    const all = [this.#definitions, ...[...this.#followed.values()].map((one) => one.reflector)];
    return [...new Set(all.map(({ failure }) => failure))].filter((text) => text !== "");
  }

  get revision(): number {
    return this.#revision;
  }

  all(): Listing {
    const entries = [...this.#followed.values()].flatMap((one) => [...one.entries.values()]);
    return { items: entries.map(({ current }) => current), revision: this.#revision };
  }

  /** Of the items of `all`, what may be compiled. */
  usable(items: readonly Resource[]): readonly Resource[] {
    const refused = new Map<Resource, Resource | null>();
    for (const { entries } of this.#followed.values()) {
      for (const { current, good } of entries.values()) {
        if (good !== current) refused.set(current, good);
      }
    }
    if (refused.size === 0) return items;
    return items.flatMap((item) => {
      const good = refused.get(item);
      return good === undefined ? [item] : good === null ? [] : [good];
    });
  }

  /** What the schemas say of objects whose status is ours. */
  faults(): readonly Fault[] {
    return [...this.#followed.values()].flatMap(({ entries }) =>
      [...entries.values()].flatMap(({ faults }) => faults),
    );
  }

  /** Everything, from now on. */
  watch(_filter: null, _from: null, listener: () => void): Watch {
    this.#listeners.add(listener);
    return {
      cancel: () => {
        this.#listeners.delete(listener);
      },
    };
  }

  #followKinds(): void {
    for (const info of CLUSTER_KINDS) {
      if (isBuiltIn(info)) continue;
      const isThere = this.#names.has(definitionName(info));
      const followed = this.#followed.get(kindText(info));
      if (isThere && followed === undefined) this.#follow(info);
      if (isThere || followed === undefined) continue;
      // The CRD is gone, and all its objects with it.
      followed.reflector.stop();
      this.#followed.delete(kindText(info));
      this.#changed();
    }
    this.#look();
  }

  #follow(info: KindInfo): void {
    const entries = new Map<string, Entry>();
    const reflector = new Reflector({
      ...this.#options,
      table: tableOf(info),
      onReplace: (items) => {
        const before = new Map(entries);
        entries.clear();
        for (const item of items) this.#put(info, { entries, before }, item);
        this.#changed();
        this.#look();
      },
      onEvent: (type, object) => {
        if (type === "DELETED") entries.delete(keyOf(object));
        else this.#put(info, { entries, before: entries }, object);
        this.#changed();
      },
    });
    this.#followed.set(kindText(info), { info, reflector, entries });
    reflector.start();
  }

  #put(
    info: KindInfo,
    { entries, before }: Record<"entries" | "before", Map<string, Entry>>,
    object: RawObject,
  ): void {
    const key = keyOf(object);
    const old = before.get(key);
    const { resourceVersion, uid } = object.metadata;
    if (old !== undefined && old.current.metadata.resourceVersion === resourceVersion) {
      entries.set(key, old);
      return;
    }
    const kept = keptOf(object);
    const { resource, faults } = validateResource(kept);
    const said = mayWriteStatus(info) ? faults : [];
    if (resource !== null) {
      entries.set(key, { current: resource, good: resource, faults: said });
      return;
    }
    const error = textOf(faults);
    const fields = { kind: info.kind, key, error };
    this.#options.logger.warn("an object of the cluster is refused", fields);
    const good = old?.current.metadata.uid === uid ? (old?.good ?? null) : null;
    entries.set(key, { current: kept, good, faults: said });
  }

  #changed(): void {
    this.#revision += 1;
    for (const listener of this.#listeners) listener();
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }
}

/** The first error, for the log. */
function textOf(faults: readonly Fault[]): string {
  const first = faults.find(({ severity }) => severity === "error");
  return first === undefined ? "" : `${first.code}: ${first.message}`;
}

function keyOf({ metadata }: RawObject): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}
