//! What one Envoy that speaks delta xDS has been told of one type of resource.
//!
//! Each resource has its own version, the hash of its content; a message says what is new and what
//! is no more. Only names that may differ are looked at (`#dirty`), so that a change costs what has
//! changed and not what there is.
//!
//! https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol, "Incremental xDS"

import type {
  EnvoyResource,
  EnvoyResources,
  ResourceType,
} from "../../compile-envoy/envoy-config.ts";
import { isSecretName } from "../../compile-envoy/secrets.ts";
import { Misses } from "./misses.ts";
import type { MissPolicy } from "./misses.ts";
import type { Refused } from "./refused.ts";
import { namedIn, toBlame } from "./refused.ts";
import { changedNames, countOf } from "./resource-diff.ts";
import { ONE_BY_ONE, insteadOf, versionOf } from "./type-channel.ts";
import type { AdsRequest, TypeChannel, TypeMessage } from "./type-channel.ts";

/**
 * Resources that go in one message; what is more goes in further ones, each when the one before was
 * answered. A resource that is larger goes alone: deltas cannot divide it.
 */
export const PART_BYTES_MAX: number = 256 << 10;
const EVERYTHING = "*";
const NOTHING: EnvoyResources = {};

/** A text is the version that Envoy said it has from an earlier stream. */
type Held = EnvoyResource | string;

interface Pending extends TypeMessage {
  readonly nonce: string;
}

export class DeltaState implements TypeChannel {
  readonly type: ResourceType;
  #isSubscribed = false;
  #isWildcard = false;
  #wasSent = false;
  #pending: Pending | null = null;
  readonly #names = new Set<string>();
  readonly #held = new Map<string, Held>();
  readonly #refused = new Map<string, Refused>();
  #wanted: EnvoyResources = NOTHING;
  /** What may not be as `#wanted` has it. */
  readonly #dirty = new Set<string>();
  /** To be sent even if Envoy has it, or to be told as missing. */
  readonly #again = new Set<string>();
  /** What goes in the place of what was refused. */
  readonly #instead = new Map<string, EnvoyResource>();
  /** What its resources may need that was not seen to be told. */
  readonly #unmet = new Set<string>();
  #lost: string[] = [];
  readonly #sizeOf: (resource: EnvoyResource) => number;
  readonly #misses: Misses;

  /** `sizeOf`: how many bytes a resource takes in a message. */
  constructor(
    type: ResourceType,
    sizeOf: (resource: EnvoyResource) => number,
    policy: MissPolicy | null = null,
  ) {
    this.type = type;
    this.#sizeOf = sizeOf;
    this.#misses = new Misses(policy, (name) => this.#dirty.add(name));
  }

  get isSubscribed(): boolean {
    return this.#isSubscribed;
  }

  get isPending(): boolean {
    return this.#pending !== null || this.#misses.areAwaited;
  }

  get wasSent(): boolean {
    return this.#wasSent;
  }

  get refused(): readonly Refused[] {
    return [...this.#refused.values()];
  }

  isSettledAbout(name: string): boolean {
    return this.#held.has(name) || this.#refused.has(name);
  }

  held(name: string): EnvoyResource | null {
    const held = this.#held.get(name);
    return typeof held === "object" ? held : null;
  }

  take({ subscribe, unsubscribe, initialVersions, nonce, error }: AdsRequest): boolean {
    const isFirst = !this.#isSubscribed;
    if (isFirst) this.#begin(subscribe, initialVersions);
    if (nonce !== "" && this.#pending?.nonce === nonce) this.#answered(this.#pending, error);
    for (const name of unsubscribe) this.#unsubscribe(name);
    for (const name of subscribe) {
      if (name === EVERYTHING) this.#isWildcard = true;
      else this.#subscribe(name, isFirst && initialVersions.has(name));
    }
    if (isFirst) this.#resume(initialVersions);
    else if (subscribe.includes(EVERYTHING)) this.#lookAtAll();
    // What an answer to an older message subscribes to counts none the less.
    return true;
  }

  due(wanted: EnvoyResources): TypeMessage | null {
    if (!this.#isSubscribed) this.#wanted = wanted;
    if (!this.#isSubscribed || this.#pending !== null) return null;
    for (const name of changedNames(this.#wanted, wanted)) this.#dirty.add(name);
    this.#wanted = wanted;
    this.#misses.keepOnly(wanted);
    const message = this.#part();
    if (message.resources.size > 0 || message.removed.length > 0) return message;
    // Envoy starts when it has been told of clusters and listeners, were it that there are none.
    return this.#isWildcard && !this.#wasSent ? message : null;
  }

  changedIn(resources: ReadonlyMap<string, EnvoyResource>): string[] {
    return [...resources].flatMap(([name, one]) => (this.#has(name, one) ? [] : [name]));
  }

  sent(nonce: string, message: TypeMessage): void {
    this.#wasSent = true;
    this.#pending = { nonce, ...message };
    for (const name of [...message.resources.keys(), ...message.removed]) {
      this.#dirty.delete(name);
      this.#again.delete(name);
      this.#instead.delete(name);
    }
  }

  sendAgain(names: Iterable<string>): void {
    for (const name of names) {
      if (!this.#held.has(name)) continue;
      this.#again.add(name);
      this.#dirty.add(name);
    }
  }

  takeLost(): readonly string[] {
    const lost = this.#lost;
    this.#lost = [];
    return lost;
  }

  hasNeeds(asked: readonly TypeChannel[], secrets: TypeChannel): boolean {
    for (const one of asked) for (const name of one.takeLost()) this.#unmet.add(name);
    for (const name of this.#unmet) {
      const isTold = [...asked, secrets].some((one) => one.isSettledAbout(name));
      if (isTold || !this.#isNeeded(name)) this.#unmet.delete(name);
    }
    return this.#unmet.size === 0;
  }

  /** The first request of the stream: without a name it asks for all clusters, or listeners. */
  #begin(subscribe: readonly string[], initialVersions: ReadonlyMap<string, string>): void {
    this.#isSubscribed = true;
    for (const [name, version] of initialVersions) this.#held.set(name, version);
    if (initialVersions.size > 0) this.#wasSent = true;
    const isWhole = this.type === "clusters" || this.type === "listeners";
    if (isWhole && subscribe.length === 0) this.#isWildcard = true;
  }

  /**
   * What it has from an earlier stream as it is wanted need not be looked at again. A thousand
   * Envoys may come back at once, each with some thousands of names: most of what they cost.
   */
  #resume(initialVersions: ReadonlyMap<string, string>): void {
    let current = 0;
    for (const [name, version] of initialVersions) {
      if (this.#held.get(name) !== version) continue;
      const wanted = this.#wantedOf(name);
      if (wanted !== undefined && versionOf(wanted) === version && this.#isAsked(name)) {
        this.#hold(name, wanted);
        current += 1;
      } else this.#dirty.add(name);
    }
    if (this.#isWildcard && current < countOf(this.#wanted)) this.#lookAtAll();
  }

  #lookAtAll(): void {
    for (const wanted of Object.values(this.#wanted)) {
      if (this.#held.get(wanted.name) !== wanted) this.#dirty.add(wanted.name);
    }
  }

  /** Asked for once more, it is sent once more: Envoy has forgotten it. */
  #subscribe(name: string, isHeld: boolean): void {
    this.#names.add(name);
    if (isHeld) return;
    this.#dirty.add(name);
    this.#again.add(name);
  }

  #unsubscribe(name: string): void {
    if (name === EVERYTHING) {
      this.#isWildcard = false;
      for (const one of this.#held.keys()) if (!this.#names.has(one)) this.#forget(one);
      return;
    }
    this.#names.delete(name);
    if (!this.#isWildcard) this.#forget(name);
  }

  #forget(name: string): void {
    this.#held.delete(name);
    this.#dirty.delete(name);
    this.#again.delete(name);
    this.#lost.push(name);
  }

  #wantedOf(name: string): EnvoyResource | undefined {
    return Object.hasOwn(this.#wanted, name) ? this.#wanted[name] : undefined;
  }

  #isAsked(name: string): boolean {
    return this.#isWildcard || this.#names.has(name);
  }

  /** Null: nothing is to be said of it. */
  #resourceDue(name: string): EnvoyResource | "removed" | null {
    const wanted = this.#wantedOf(name);
    if (wanted === undefined) return this.#removalDue(name);
    if (!this.#isAsked(name) || this.#misses.isAwaited(name)) return null;
    const held = this.#held.get(name);
    const isAgain = this.#again.has(name);
    const instead = this.#instead.get(name);
    if (this.#refused.get(name)?.version === versionOf(wanted)) {
      return instead ?? (isAgain ? lastGood(wanted, held) : null);
    }
    this.#refused.delete(name);
    if (isAgain || instead !== undefined || !this.#has(name, wanted)) {
      return this.#misses.attempt(wanted);
    }
    if (typeof held === "string") this.#hold(name, wanted);
    return null;
  }

  #removalDue(name: string): "removed" | null {
    this.#refused.delete(name);
    // A listener that drains needs its plug-ins to the end; then Envoy asks for them no more.
    if (this.type === "extensions") return null;
    const isNews = this.#held.has(name) || this.#again.has(name);
    return isNews && this.#isAsked(name) ? "removed" : null;
  }

  #has(name: string, resource: EnvoyResource): boolean {
    const held = this.#held.get(name);
    if (held === undefined) return false;
    if (held === resource) return true;
    return (typeof held === "string" ? held : versionOf(held)) === versionOf(resource);
  }

  /** As much of what is due as goes in one message; what is removed goes in the last one. */
  #part(): TypeMessage {
    const resources = new Map<string, EnvoyResource>();
    const removed: string[] = [];
    const isAlone = ONE_BY_ONE.has(this.type);
    let bytes = 0;
    for (const name of this.#dirty) {
      const resource = this.#resourceDue(name);
      if (resource === "removed") removed.push(name);
      else if (resource === null) this.#dirty.delete(name);
      else {
        bytes += this.#sizeOf(resource);
        const isFull = resources.size > 0 && (isAlone || bytes > PART_BYTES_MAX);
        if (isFull) return { resources, removed: [] };
        resources.set(name, resource);
      }
    }
    return isAlone && resources.size > 0 ? { resources, removed: [] } : { resources, removed };
  }

  #answered(pending: Pending, error: string | null): void {
    this.#pending = null;
    if (error !== null) {
      this.#refuse(pending, error);
      return;
    }
    for (const [name, resource] of pending.resources) {
      if (this.#isAsked(name)) this.#hold(name, resource.retryOf ?? resource);
    }
    for (const name of pending.removed) this.#drop(name);
  }

  #hold(name: string, resource: EnvoyResource): void {
    this.#misses.taken(resource);
    this.#held.set(name, resource);
    for (const need of resource.needs) this.#unmet.add(need);
  }

  #drop(name: string): void {
    if (this.#held.delete(name)) this.#lost.push(name);
  }

  /**
   * Who is named in Envoy's words is to blame; when nobody is, all that was new. Of the others
   * Envoy does not say which it took: they are sent again without those.
   */
  #refuse({ resources, removed }: Pending, error: string): void {
    const news = this.changedIn(resources);
    const suspects = news.length > 0 ? news : [...resources.keys()];
    const named = namedIn(error, suspects);
    const blamed = new Set(named.length > 0 ? named : suspects);
    for (const [name, resource] of resources) {
      if (!blamed.has(name)) {
        this.#dirty.add(name);
        this.#again.add(name);
        continue;
      }
      // What went in the place of what it refused changes nothing about that.
      if (this.type === "extensions" && this.#refused.has(name)) continue;
      if (this.#misses.take(resource, error)) continue;
      const held = this.#held.get(name);
      const sources = toBlame(resource, typeof held === "object" ? held : undefined);
      const version = versionOf(resource);
      this.#refused.set(name, { type: this.type, name, version, error, sources });
      const instead = insteadOf(resource, held);
      if (instead === null) continue;
      this.#instead.set(name, instead);
      this.#dirty.add(name);
    }
    // Of nothing that it was told to forget Envoy can say no.
    for (const name of removed) this.#drop(name);
  }

  #isNeeded(name: string): boolean {
    // The endpoints of a cluster have its name; secrets are few.
    const isOwn = this.type === "clusters" && !isSecretName(name);
    if (isOwn) return needs(this.#held.get(name), name);
    return [...this.#held.values()].some((held) => needs(held, name));
  }
}

/** For who has forgotten it. */
function lastGood(wanted: EnvoyResource, held: Held | undefined): EnvoyResource | null {
  return typeof held === "object" ? held : (wanted.standIn ?? null);
}

function needs(held: Held | undefined, name: string): boolean {
  return typeof held === "object" && held.needs.includes(name);
}
