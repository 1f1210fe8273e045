//! Small snapshots for the tests of the data plane.

import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../../snapshot/snapshot.ts";
import type { Cluster, Endpoint, Route, Snapshot } from "../../snapshot/snapshot.ts";

export const SOURCE = { kind: "VirtualService", namespace: "default", name: "test" } as const;

export function cluster(name: string, port = 8000): Cluster {
  return {
    name: `outbound|${port}||${name}.default.svc.cluster.local`,
    host: `${name}.default.svc.cluster.local`,
    aliases: [name, `${name}.default`, `${name}.default.svc`],
    namespace: "default",
    port,
    service: `default/${name}`,
    connectTimeoutMs: 1_000,
  };
}

export function endpoint(port: number, labels: Readonly<Record<string, string>> = {}): Endpoint {
  return { address: "127.0.0.1", port, pod: `default/pod-${port}`, labels };
}

export function forwardRoute(clusterName: string, changes: Partial<Route> = {}): Route {
  return {
    id: "default/test/http[0]",
    label: "",
    source: SOURCE,
    matches: [],
    action: {
      kind: "forward",
      destinations: [
        {
          weight: 1,
          target: { kind: "cluster", cluster: clusterName, subset: null },
          fallback: null,
          requestHeaders: NO_HEADER_OPERATIONS,
          responseHeaders: NO_HEADER_OPERATIONS,
        },
      ],
    },
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
    timeoutMs: 0,
    ...changes,
  };
}

/** One gateway on `port` whose only virtual host takes every host. */
export function gatewaySnapshot(
  port: number,
  routes: readonly Route[],
  changes: Partial<Snapshot> = {},
): Snapshot {
  const routeTable = `istio=ingressgateway:${port}`;
  return {
    ...EMPTY_SNAPSHOT,
    gateways: {
      "istio=ingressgateway": {
        name: "istio=ingressgateway",
        labels: { istio: "ingressgateway" },
        listeners: [{ port, protocol: "HTTP", hosts: ["*"], routeTable }],
        plugins: Object.keys(changes.plugins ?? {}),
      },
    },
    routeTables: {
      [routeTable]: { name: routeTable, virtualHosts: [{ domains: ["*"], routes }] },
    },
    ...changes,
    version: "test",
  };
}
