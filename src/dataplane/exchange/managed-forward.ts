//! What a route's retry policy and a cluster's DestinationRule add to a plan.

import type { Headers } from "../../http/headers.ts";
import { queryParam } from "../../route/route.ts";
import type { Place } from "../../lane/locality.ts";
import type { Cluster, Gateway, Subset, Workload } from "../../snapshot/snapshot.ts";
import type { ClusterPolicy, HashKey, LoadBalancer, RetryPolicy } from "../../snapshot/routing.ts";
import { hashText } from "../upstream/balancer.ts";
import { policyOf, subsetName } from "../upstream/cluster-policy.ts";
import type { Exchange } from "./exchange.ts";
import { UNMANAGED } from "./handler.ts";
import type { Management } from "./handler.ts";

/** A cluster whose route retries needs its counts, also without a DestinationRule. */
const NO_POLICY: ClusterPolicy = {};
const COOKIE_VALUE_LIMIT = 0xffff_ffff;

export interface ManagedInput {
  readonly exchange: Exchange;
  /** Of the route; null: it has none. */
  readonly retry: RetryPolicy | null;
  readonly cluster: Cluster | undefined;
  readonly subset: Subset | null;
  /** Of the client, for balancing by it. */
  readonly clientAddress: string;
  /** Who sends the request on. */
  readonly sender: Gateway | Workload;
}

const places = new WeakMap<Gateway | Workload, Place>();

/** The same object for as long as the sender is: what is worked out for a place is kept by it. */
function placeOf(sender: Gateway | Workload): Place | undefined {
  const locality = "listeners" in sender ? sender.edge?.locality : sender.locality;
  if (locality === undefined) return undefined;
  let place = places.get(sender);
  if (place === undefined) {
    place = { locality, labels: sender.labels };
    places.set(sender, place);
  }
  return place;
}

/** Also says which cookie the response must set for the client to come back to its endpoint. */
export function manage(input: ManagedInput): Management & { readonly cookie: string | null } {
  const { exchange, retry, cluster, subset } = input;
  if (cluster === undefined) return { ...UNMANAGED, retry, cookie: null };
  const policy = policyOf(cluster, subset);
  if (policy === undefined && retry === null) return { ...UNMANAGED, cookie: null };
  const { pools, sweeper } = exchange.context;
  const key = `${cluster.name} ${policy === cluster.policy ? "" : subsetName(subset)}`;
  const state = pools.clusters.get(key, policy ?? NO_POLICY, sweeper.readNowMs());
  const { text, cookie } = keyFor(policy?.loadBalancer, input);
  const hash = text === null ? null : hashText(text);
  return { cluster: state, retry, hash, place: placeOf(input.sender), cookie };
}

function keyFor(balancer: LoadBalancer | undefined, input: ManagedInput): Key {
  const isHashing = balancer?.kind === "ring-hash" || balancer?.kind === "maglev";
  return isHashing ? keyOf(balancer.key, input) : NO_KEY;
}

interface Key {
  readonly text: string | null;
  readonly cookie: string | null;
}

const NO_KEY: Key = { text: null, cookie: null };

function keyOf(key: HashKey, { exchange, clientAddress }: ManagedInput): Key {
  const { headers, target } = exchange.head;
  switch (key.kind) {
    case "header":
      return { text: headers.get(key.name) ?? null, cookie: null };
    case "query":
      return { text: queryParam(target, key.name) ?? null, cookie: null };
    case "source":
      return { text: clientAddress, cookie: null };
    case "cookie":
      return byCookie(key, exchange, headers);
  }
}

function byCookie(
  { name, path, ttlSeconds }: Extract<HashKey, { kind: "cookie" }>,
  exchange: Exchange,
  headers: Headers,
): Key {
  const known = cookieOf(headers, name);
  if (known !== null || ttlSeconds === null) return { text: known, cookie: null };
  const { prng } = exchange.context;
  const value = [0, 0].map(() => hex(prng.below(COOKIE_VALUE_LIMIT))).join("");
  const age = ttlSeconds === 0 ? "" : `; Max-Age=${ttlSeconds}`;
  const where = path === "" ? "" : `; Path=${path}`;
  return { text: value, cookie: `${name}=${value}${age}${where}; HttpOnly` };
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}

function cookieOf(headers: Headers, name: string): string | null {
  for (const field of headers.getAll("cookie")) {
    for (const pair of field.split(";")) {
      const text = pair.trim();
      if (text.startsWith(`${name}=`)) return text.slice(name.length + 1);
    }
  }
  return null;
}
