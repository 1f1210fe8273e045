//! What an Envoy has refused only because it has yet to fetch a module: that is tried again, and is
//! no refusal meanwhile.

import type { EnvoyResource, EnvoyResources } from "../../compile-envoy/envoy-config.ts";
import { triedAgain } from "../../compile-envoy/module-code.ts";
import { versionOf } from "./type-channel.ts";

export interface MissPolicy {
  /** True: it may be so, and `again` is called once when another attempt is worth while. */
  mayBeMissing(resource: EnvoyResource, error: string, again: () => void): boolean;
  /** The Envoy has it, and so what it needs. */
  taken(resource: EnvoyResource): void;
}

interface Miss {
  readonly version: string;
  readonly attempts: number;
  isAwaited: boolean;
}

/** Of one type of resource of one Envoy. */
export class Misses {
  readonly #policy: MissPolicy | null;
  /** By the resource's name. */
  readonly #misses = new Map<string, Miss>();
  readonly #onDue: (name: string) => void;

  /** `onDue`: it is to be sent again. */
  constructor(policy: MissPolicy | null, onDue: (name: string) => void) {
    this.#policy = policy;
    this.#onDue = onDue;
  }

  /** Whether anything waits for its next attempt. */
  get areAwaited(): boolean {
    for (const { isAwaited } of this.#misses.values()) if (isAwaited) return true;
    return false;
  }

  isAwaited(name: string): boolean {
    return this.#misses.get(name)?.isAwaited === true;
  }

  /** False: the refusal is one. */
  take(resource: EnvoyResource, error: string): boolean {
    const { name, retryOf = resource } = resource;
    const version = versionOf(retryOf);
    const before = this.#misses.get(name);
    const attempts = before?.version === version ? before.attempts + 1 : 1;
    const miss: Miss = { version, attempts, isAwaited: true };
    const again = (): void => {
      if (this.#misses.get(name) !== miss) return;
      miss.isAwaited = false;
      this.#onDue(name);
    };
    this.#misses.set(name, miss);
    const isMiss = this.#policy?.mayBeMissing(retryOf, error, again) === true;
    if (!isMiss) this.#misses.delete(name);
    return isMiss;
  }

  /** What goes to the Envoy for it. */
  attempt(wanted: EnvoyResource): EnvoyResource {
    const miss = this.#misses.get(wanted.name);
    return miss?.version === versionOf(wanted) ? triedAgain(wanted, miss.attempts) : wanted;
  }

  taken(resource: EnvoyResource): void {
    if (resource.fetches === undefined) return;
    this.#misses.delete(resource.name);
    // Of a listener Envoy says that before it has been told its plug-ins.
    if (resource.standIn !== undefined) this.#policy?.taken(resource);
  }

  /** Forgets what is wanted no more, or otherwise. */
  keepOnly(wanted: EnvoyResources): void {
    for (const [name, { version }] of this.#misses) {
      const resource = Object.hasOwn(wanted, name) ? wanted[name] : undefined;
      if (resource !== undefined && versionOf(resource) === version) continue;
      this.#misses.delete(name);
      this.#onDue(name);
    }
  }
}
