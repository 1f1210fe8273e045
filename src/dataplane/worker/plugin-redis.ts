//! Redis for plug-ins, at clusters of the snapshot: a `RedisOpener`. In clear only.

import { connect } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Prng } from "../../base/prng.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { RedisClient, RedisServer } from "../../wasm/redis-calls.ts";
import { RedisLink } from "../redis/redis-link.ts";
import type { RedisAddress, RedisEndpoints } from "../redis/redis-link.ts";
import { policyOf } from "../upstream/cluster-policy.ts";
import type { PluginClusters } from "./plugin-clusters.ts";

export interface PluginRedisDeps {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: Logger;
}

export class PluginRedis {
  readonly #deps: PluginRedisDeps;
  readonly #clusters: PluginClusters;

  constructor(deps: PluginRedisDeps, clusters: PluginClusters) {
    this.#deps = deps;
    this.#clusters = clusters;
  }

  open(server: RedisServer): RedisClient | null {
    if (!this.#clusters.knows(server.cluster)) return null;
    const deps = {
      ...this.#deps,
      connect: ({ address, port }: RedisAddress) => connect({ host: address, port }),
    };
    return new RedisLink(deps, server, endpointsOf(this.#clusters, server.cluster));
  }
}

/** Looked up anew each time: the next snapshot may have others. */
function endpointsOf(clusters: PluginClusters, name: string): RedisEndpoints {
  return {
    get generation() {
      return clusters.generation;
    },
    pick() {
      const cluster = clusters.find(name);
      if (cluster === null) return "no such cluster any more";
      if (policyOf(cluster, null)?.tls !== undefined) return "its cluster asks for TLS";
      return clusters.pick(cluster) ?? "it has no endpoint";
    },
    has({ address, port }) {
      const cluster = clusters.find(name);
      if (cluster === null) return false;
      const endpoints = clusters.endpointsOf(cluster);
      return endpoints.some((one) => one.address === address && one.port === port);
    },
  };
}
