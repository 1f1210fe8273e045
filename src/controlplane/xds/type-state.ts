//! What one Envoy has been told of one type of resource, what it took, and what it refused.
//!
//! State of the world: a message of clusters or of listeners is all of them, and what it leaves out
//! goes; a message of others is of those that are in it.

import type {
  EnvoyResource,
  EnvoyResources,
  ResourceType,
} from "../../compile-envoy/envoy-config.ts";
import { Misses } from "./misses.ts";
import type { MissPolicy } from "./misses.ts";
import type { Refused } from "./refused.ts";
import { namedIn, toBlame } from "./refused.ts";
import { ONE_BY_ONE, insteadOf, versionOf } from "./type-channel.ts";
import type { AdsRequest, TypeChannel, TypeMessage } from "./type-channel.ts";

interface Pending {
  readonly nonce: string;
  readonly resources: ReadonlyMap<string, EnvoyResource>;
}

export class TypeState implements TypeChannel {
  readonly type: ResourceType;
  readonly #isWhole: boolean;
  #isSubscribed = false;
  #names: ReadonlySet<string> = new Set();
  #held = new Map<string, EnvoyResource>();
  #wasSent = false;
  #lastNonce = "";
  #pending: Pending | null = null;
  readonly #refused = new Map<string, Refused>();
  readonly #again = new Set<string>();
  /** What goes in the place of what was refused. */
  readonly #instead = new Map<string, EnvoyResource>();

  readonly #misses: Misses;

  constructor(type: ResourceType, policy: MissPolicy | null = null) {
    this.type = type;
    this.#misses = new Misses(policy, () => undefined);
    this.#isWhole = type === "clusters" || type === "listeners";
  }

  get isSubscribed(): boolean {
    return this.#isSubscribed;
  }

  get isPending(): boolean {
    return this.#pending !== null || this.#misses.areAwaited;
  }

  get refused(): readonly Refused[] {
    return [...this.#refused.values()];
  }

  get wasSent(): boolean {
    return this.#wasSent;
  }

  isSettledAbout(name: string): boolean {
    return this.#held.has(name) || this.#refused.has(name);
  }

  held(name: string): EnvoyResource | null {
    return this.#held.get(name) ?? null;
  }

  /** An answer to a message that is not the last one is of no interest. */
  take({ subscribe, nonce, error }: AdsRequest): boolean {
    if (nonce !== "" && nonce !== this.#lastNonce) return false;
    this.#answered(nonce, error);
    this.#subscribe(subscribe);
    return true;
  }

  /** Its own fields tell of all that it held. */
  takeLost(): readonly string[] {
    return [];
  }

  hasNeeds(asked: readonly TypeChannel[], secrets: TypeChannel): boolean {
    const told = [...asked, secrets];
    const isTold = (name: string): boolean => told.some((one) => one.isSettledAbout(name));
    for (const { needs } of this.#held.values()) if (!needs.every(isTold)) return false;
    return true;
  }

  /** Envoy asks for these; what it does not ask for any more it has forgotten. */
  #subscribe(names: readonly string[]): void {
    this.#isSubscribed = true;
    this.#names = new Set(names);
    if (this.#isWhole) return;
    for (const name of this.#held.keys()) if (!this.#names.has(name)) this.#held.delete(name);
    // A plug-in that it asks for anew is tried anew: its listener waits for some answer.
    const isGone = (name: string): boolean => this.type === "extensions" && !this.#names.has(name);
    for (const name of this.#refused.keys()) if (isGone(name)) this.#refused.delete(name);
  }

  sendAgain(names: Iterable<string>): void {
    for (const name of names) if (this.#held.has(name)) this.#again.add(name);
  }

  due(wanted: EnvoyResources): TypeMessage | null {
    const resources = this.#resourcesDue(wanted);
    return resources === null ? null : { resources, removed: [] };
  }

  #resourcesDue(wanted: EnvoyResources): ReadonlyMap<string, EnvoyResource> | null {
    if (!this.#isSubscribed || this.#pending !== null) return null;
    this.#misses.keepOnly(wanted);
    const target = this.#target(wanted);
    const changed = [...target].filter(([name, resource]) => this.#isNews(name, resource));
    if (this.#isWhole) {
      const isSame = changed.length === 0 && target.size === this.#held.size;
      return isSame && this.#wasSent ? null : target;
    }
    if (changed.length === 0) return null;
    return new Map(ONE_BY_ONE.has(this.type) ? changed.slice(0, 1) : changed);
  }

  changedIn(resources: ReadonlyMap<string, EnvoyResource>): string[] {
    return [...resources].flatMap(([name, one]) => (this.#isNews(name, one) ? [name] : []));
  }

  sent(nonce: string, { resources }: TypeMessage): void {
    this.#lastNonce = nonce;
    this.#wasSent = true;
    this.#pending = { nonce, resources };
    for (const name of resources.keys()) {
      this.#again.delete(name);
      this.#instead.delete(name);
    }
  }

  /** The answer to the last message; `error` is Envoy's when it refused. */
  #answered(nonce: string, error: string | null): void {
    const pending = this.#pending;
    if (pending?.nonce !== nonce) return;
    this.#pending = null;
    if (error === null) this.#accept(pending);
    else this.#refuse(pending, error);
  }

  #accept({ resources }: Pending): void {
    if (this.#isWhole) this.#held = new Map(resources);
    for (const [name, sent] of resources) {
      const isAsked = this.#isWhole || this.#names.has(name);
      const resource = sent.retryOf ?? sent;
      this.#misses.taken(resource);
      if (isAsked) this.#held.set(name, resource);
    }
  }

  /** Who is named in Envoy's words is to blame; when nobody is, all that was new. */
  #refuse({ resources }: Pending, error: string): void {
    const news = this.changedIn(resources);
    const named = namedIn(error, news);
    for (const name of named.length > 0 ? named : news) {
      const resource = resources.get(name);
      if (resource === undefined) continue;
      const version = versionOf(resource);
      // What went in the place of what it refused changes nothing about that.
      if (this.type === "extensions" && this.#refused.has(name)) continue;
      if (this.#misses.take(resource, error)) continue;
      const held = this.#held.get(name);
      const sources = toBlame(resource, held);
      this.#refused.set(name, { type: this.type, name, version, error, sources });
      const instead = insteadOf(resource, held);
      if (instead !== null) this.#instead.set(name, instead);
    }
  }

  /** What Envoy should have: of what it refused, its last good one. */
  #target(wanted: EnvoyResources): Map<string, EnvoyResource> {
    const target = new Map<string, EnvoyResource>();
    for (const [name, resource] of Object.entries(wanted)) {
      if (!this.#isWhole && !this.#names.has(name)) continue;
      const refused = this.#refused.get(name);
      if (refused !== undefined && refused.version !== versionOf(resource)) {
        this.#refused.delete(name);
      }
      const isLeft = refused?.version === versionOf(resource) || this.#misses.isAwaited(name);
      const chosen = isLeft ? this.#lastOf(name) : this.#misses.attempt(resource);
      if (chosen !== undefined) target.set(name, chosen);
    }
    for (const name of this.#refused.keys()) {
      if (!Object.hasOwn(wanted, name)) this.#refused.delete(name);
    }
    return target;
  }

  #lastOf(name: string): EnvoyResource | undefined {
    return this.#instead.get(name) ?? this.#held.get(name);
  }

  #isNews(name: string, resource: EnvoyResource): boolean {
    const held = this.#held.get(name);
    const isAgain = this.#again.has(name) || this.#instead.has(name);
    return held === undefined || isAgain || versionOf(held) !== versionOf(resource);
  }
}
