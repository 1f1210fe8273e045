//! Redis for plug-ins, at clusters of the snapshot: a `RedisOpener`. In clear or in TLS, as the
//! cluster's policy says.

import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Prng } from "../../base/prng.ts";
import type { Cluster } from "../../snapshot/snapshot.ts";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { RedisClient, RedisServer } from "../../wasm/redis-calls.ts";
import { RedisLink } from "../redis/redis-link.ts";
import type { RedisAddress, RedisEndpoints } from "../redis/redis-link.ts";
import { policyOf } from "../upstream/cluster-policy.ts";
import { RenewedDial } from "../upstream/renewed-dial.ts";
import type { PluginClusters } from "./plugin-clusters.ts";

export interface PluginRedisDeps {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: Logger;
}

/** What is asked of the clusters. */
export type RedisClusters = Pick<
  PluginClusters,
  "generation" | "knows" | "find" | "pick" | "endpointsOf"
>;

export class PluginRedis {
  readonly #deps: PluginRedisDeps;
  readonly #clusters: RedisClusters;

  constructor(deps: PluginRedisDeps, clusters: RedisClusters) {
    this.#deps = deps;
    this.#clusters = clusters;
  }

  open(server: RedisServer): RedisClient | null {
    if (!this.#clusters.knows(server.cluster)) return null;
    const deps = { ...this.#deps, connect: dialler(this.#deps.clock) };
    return new RedisLink(deps, server, endpointsOf(this.#clusters, server.cluster));
  }
}

/** Keeps the certificates that it used last: of one cluster they are mostly the same. */
function dialler(clock: Clock): (endpoint: RedisAddress) => Socket | string {
  let last: { readonly tls: UpstreamTls; readonly dial: RenewedDial } | null = null;
  return ({ address, port, tls }) => {
    if (tls === undefined) return connect({ host: address, port });
    if (last === null || !isSame(last.tls, tls)) {
      last = { tls, dial: new RenewedDial(tls, () => clock.monotonicMs()) };
    }
    const dial = last.dial.get();
    return typeof dial === "string" ? dial : dial.connect(address, port, null);
  };
}

function isSame(left: UpstreamTls | undefined, right: UpstreamTls | undefined): boolean {
  return left === right || JSON.stringify(left) === JSON.stringify(right);
}

/** A plug-in's own calls go to no subset. */
function tlsOf(cluster: Cluster): UpstreamTls | undefined {
  return policyOf(cluster, null)?.tls;
}

/** Looked up anew each time: the next snapshot may have others. */
function endpointsOf(clusters: RedisClusters, name: string): RedisEndpoints {
  return {
    get generation() {
      return clusters.generation;
    },
    pick() {
      const cluster = clusters.find(name);
      if (cluster === null) return "no such cluster any more";
      const endpoint = clusters.pick(cluster);
      const tls = tlsOf(cluster);
      if (endpoint === null) return "it has no endpoint";
      return { ...endpoint, ...(tls === undefined ? {} : { tls }) };
    },
    has({ address, port, tls }) {
      const cluster = clusters.find(name);
      if (cluster === null || !isSame(tlsOf(cluster), tls)) return false;
      const endpoints = clusters.endpointsOf(cluster);
      return endpoints.some((one) => one.address === address && one.port === port);
    },
  };
}
