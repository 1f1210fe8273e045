//! What a Pod gets for a sidecar: an Envoy with its bootstrap, and what tells the app of it.

import { INBOUND_PORTS_ANNOTATION, OUTBOUND_PORT_ANNOTATION } from "../compile/injected-sidecar.ts";
import { bootstrapFor, XDS_MODE_DEFAULT } from "./envoy-bootstrap.ts";
import { CONTAINER_SECURITY } from "./install-manifests.ts";

export interface SidecarGiven {
  readonly image: string;
  /** Where the controller serves Envoys. */
  readonly xds: string;
  /** Java's HTTP clients read no `http_proxy`. */
  readonly isJava: boolean;
}

export const CONTAINER_NAME = "graylane-sidecar";
/** As in Istio, so that habits carry over. */
const ADMIN_PORT = 15_000;
const OUTBOUND_PORT = 15_001;
const READY_PORT = 15_021;
/** The first of those that stand for the app's. */
const INBOUND_PORT = 15_100;
const ADMIN = `127.0.0.1:${ADMIN_PORT}`;
const OWN_PORTS: readonly number[] = [ADMIN_PORT, OUTBOUND_PORT, READY_PORT];
/** Of the `envoy` user in Envoy's images. */
const USER_ID = 101;
/** Else an Envoy has as many as its machine has processors. */
const CONCURRENCY = 2;
/** How long a controller that is away may keep an app from starting. */
const START_SECONDS_MAX = 600;
const TYPES = "type.googleapis.com/envoy.extensions.filters";

/** Whether an app cannot have that port beside a sidecar. */
export function isSidecarPort(port: number): boolean {
  return OWN_PORTS.includes(port);
}

/** `ports`: the app's, over TCP. */
export function podAnnotations(ports: readonly number[]): Readonly<Record<string, string>> {
  const taken = new Set(ports);
  const pairs: string[] = [];
  let next = INBOUND_PORT;
  for (const port of taken) {
    while (taken.has(next)) next += 1;
    pairs.push(`${next}=${port}`);
    next += 1;
  }
  return {
    ...(pairs.length === 0 ? {} : { [INBOUND_PORTS_ANNOTATION]: pairs.join(",") }),
    [OUTBOUND_PORT_ANNOTATION]: String(OUTBOUND_PORT),
  };
}

/** As the local cluster tells its apps (docs/local-cluster.md). */
export function appVariables({ isJava }: SidecarGiven): Readonly<Record<string, string>> {
  const outbound = `127.0.0.1:${OUTBOUND_PORT}`;
  const direct = "localhost,127.0.0.1,::1";
  const java = [
    "-Dhttp.proxyHost=127.0.0.1",
    `-Dhttp.proxyPort=${OUTBOUND_PORT}`,
    "-Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1]",
  ];
  return {
    http_proxy: `http://${outbound}`,
    HTTP_PROXY: `http://${outbound}`,
    no_proxy: direct,
    NO_PROXY: direct,
    GRAYLANE_OUTBOUND: outbound,
    ...(isJava ? { JAVA_TOOL_OPTIONS: java.join(" ") } : {}),
  };
}

/** Throws a `CliError` (usage) for an address that is none. */
export function sidecarContainer({ image, xds }: SidecarGiven): object {
  const bootstrap = JSON.stringify(sidecarBootstrap(xds));
  const ready = { httpGet: { path: "/ready", port: READY_PORT } };
  return {
    ...{ name: CONTAINER_NAME, image },
    // It starts before the containers and ends after them, and no Job waits for it.
    restartPolicy: "Always",
    command: ["envoy"],
    args: [
      ...["--config-yaml", bootstrap, "--log-level", "warning"],
      ...["--concurrency", String(CONCURRENCY)],
    ],
    env: [
      { name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      { name: "POD_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
    ],
    startupProbe: { ...ready, periodSeconds: 1, failureThreshold: START_SECONDS_MAX },
    readinessProbe: { ...ready, periodSeconds: 5 },
    resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "1Gi" } },
    // What the profile `restricted` asks for, whatever the Pod says for its other containers.
    securityContext: {
      ...CONTAINER_SECURITY,
      ...{ runAsNonRoot: true, runAsUser: USER_ID, runAsGroup: USER_ID },
      seccompProfile: { type: "RuntimeDefault" },
    },
  };
}

/** Kubernetes fills in the Pod's name. */
function sidecarBootstrap(xds: string): object {
  const pod = "$(POD_NAMESPACE)/$(POD_NAME)";
  const identity = {
    id: "sidecar-$(POD_NAME).$(POD_NAMESPACE)",
    graylane: { role: "sidecar", pod },
  };
  const made = bootstrapFor(identity, {
    ...{ role: "sidecar", admin: ADMIN, xds, xdsMode: XDS_MODE_DEFAULT },
  });
  const { cds_config: clusters, lds_config: listeners, ...ads } = made.dynamic_resources;
  // Ready is who knows its listeners: after Envoy's usual 15 s it would be without any.
  const asked = { initial_fetch_timeout: "0s" };
  return {
    ...made,
    dynamic_resources: {
      ...ads,
      cds_config: { ...clusters, ...asked },
      lds_config: { ...listeners, ...asked },
    },
    static_resources: {
      clusters: [...made.static_resources.clusters, adminCluster()],
      listeners: [readyListener()],
    },
  };
}

function adminCluster(): object {
  const address = { socket_address: { address: "127.0.0.1", port_value: ADMIN_PORT } };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }];
  return {
    ...{ name: "admin", type: "STATIC", connect_timeout: "1s" },
    load_assignment: { cluster_name: "admin", endpoints },
  };
}

/** The kubelet asks from outside the Pod: of the admin endpoints it is shown this one. */
function readyListener(): object {
  const router = {
    name: "envoy.filters.http.router",
    typed_config: { "@type": `${TYPES}.http.router.v3.Router` },
  };
  const route = { match: { path: "/ready" }, route: { cluster: "admin" } };
  const host = { name: "ready", domains: ["*"], routes: [route] };
  const manager = {
    "@type": `${TYPES}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "ready",
    route_config: { name: "ready", virtual_hosts: [host] },
    http_filters: [router],
  };
  const filter = { name: "envoy.filters.network.http_connection_manager", typed_config: manager };
  return {
    name: "ready",
    address: { socket_address: { address: "0.0.0.0", port_value: READY_PORT } },
    filter_chains: [{ filters: [filter] }],
  };
}
