//! Calls of an app that leave the mesh: to the host that they name, whichever it is.

import type { JsonObject } from "../base/json.ts";

export const OUTSIDE_CLUSTER = "outside";
const FILTER_TYPE =
  "type.googleapis.com/envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig";
const CLUSTER_TYPE =
  "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig";
const CONNECT_TIMEOUT = "5s";
/** Filter and cluster share one cache by its name, and must say the same of it. */
const CACHE: JsonObject = { name: "graylane", dns_lookup_family: "ALL", max_hosts: 1_024 };

export const OUTSIDE_FILTER: JsonObject = {
  name: "envoy.filters.http.dynamic_forward_proxy",
  typed_config: { "@type": FILTER_TYPE, dns_cache_config: CACHE },
};

export function outsideCluster(): JsonObject & { readonly name: string } {
  return {
    name: OUTSIDE_CLUSTER,
    lb_policy: "CLUSTER_PROVIDED",
    connect_timeout: CONNECT_TIMEOUT,
    cluster_type: {
      name: "envoy.clusters.dynamic_forward_proxy",
      typed_config: { "@type": CLUSTER_TYPE, dns_cache_config: CACHE },
    },
  };
}
