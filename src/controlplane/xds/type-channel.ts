//! What one Envoy has been told of one type of resource: the same to a session whether it speaks
//! the state of the world (`type-state.ts`) or deltas (`delta-state.ts`).

import { contentHash } from "../../base/canonical-json.ts";
import type { JsonObject } from "../../base/json.ts";
import type {
  EnvoyResource,
  EnvoyResources,
  ResourceType,
} from "../../compile-envoy/envoy-config.ts";
import type { Refused } from "./refused.ts";

/** A request of either protocol, of one type. */
export interface AdsRequest {
  readonly typeUrl: string;
  /** State of the world: all that it asks for. Deltas: what it asks for from now on. */
  readonly subscribe: readonly string[];
  /** Deltas only: what it asks for no more. */
  readonly unsubscribe: readonly string[];
  /** Deltas only, in the first request of a stream: what it has, by name. */
  readonly initialVersions: ReadonlyMap<string, string>;
  /** `""` in a request that answers nothing. */
  readonly nonce: string;
  /** Envoy's words when it refused, else null. */
  readonly error: string | null;
}

/** The content of one response. */
export interface TypeMessage {
  readonly resources: ReadonlyMap<string, EnvoyResource>;
  /** Deltas only: what is no more. */
  readonly removed: readonly string[];
}

export interface TypeChannel {
  readonly type: ResourceType;
  readonly isSubscribed: boolean;
  /** A message has not been answered. */
  readonly isPending: boolean;
  readonly wasSent: boolean;
  readonly refused: readonly Refused[];
  /** Takes a request of this type; false: it answers an older message and is of no interest. */
  take(request: AdsRequest): boolean;
  /** What the next message must have in it; null when there is nothing to say. */
  due(wanted: EnvoyResources): TypeMessage | null;
  /** The names in a message that are new to Envoy, or not as it has them. */
  changedIn(resources: ReadonlyMap<string, EnvoyResource>): string[];
  sent(nonce: string, message: TypeMessage): void;
  /** Envoy makes a changed cluster anew, and waits for its endpoints even if they are the same. */
  sendAgain(names: Iterable<string>): void;
  /** Whether it holds that resource, or would if Envoy had taken it. */
  isSettledAbout(name: string): boolean;
  /** The last that it took, if this stream brought it. */
  held(name: string): EnvoyResource | null;
  /** Names that it held and may hold no more, since the last call. */
  takeLost(): readonly string[];
  /** Whether all that its resources ask for by name has been told, by any of them. */
  hasNeeds(asked: readonly TypeChannel[], secrets: TypeChannel): boolean;
}

/** One message has one resource of these: Envoy does not say which of several it refused. */
export const ONE_BY_ONE: ReadonlySet<ResourceType> = new Set(["extensions", "routes"]);

/**
 * What Envoy is to be sent when it has refused a resource, so that it forgets that one: it makes
 * each new listener with the newest plug-in that it was told, even if it has refused it. Null: it
 * goes by what it has.
 */
export function insteadOf(
  resource: EnvoyResource,
  held: EnvoyResource | string | undefined,
): EnvoyResource | null {
  const { standIn = null } = resource;
  if (standIn === null || typeof held === "string") return null;
  return held?.standIn === undefined ? standIn : held;
}

const hashes = new WeakMap<JsonObject, string>();

/** The version of a resource: equal content has equal versions, in each process. */
export function versionOf({ json: own, retryOf }: EnvoyResource): string {
  const json = retryOf?.json ?? own;
  let version = hashes.get(json);
  if (version === undefined) {
    version = contentHash(json);
    hashes.set(json, version);
  }
  return version;
}
