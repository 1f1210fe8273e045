//! One pod's sidecar in Envoy's words: what comes in goes to the app; what the app calls goes to
//! the endpoints of the lane that the call carries. As `dataplane/exchange/sidecar-*.ts` do it.

import type { JsonObject } from "../base/json.ts";
import type { ObjectRef, Workload } from "../snapshot/snapshot.ts";
import { FROM_ADS, durationOf } from "./envoy-config.ts";
import type { EnvoyResource, ModuleFile } from "./envoy-config.ts";
import type { Extension } from "./extension.ts";
import { sidecarContexts } from "./lane-context.ts";
import { STREAM_IDLE_TIMEOUT, upstreamFilters } from "./listener.ts";
import { memoryExtensions } from "./sidecar-memory.ts";
import { ROUTE_FILTERS } from "./route-filters.ts";
import type { ActionContext } from "./route-action.ts";
import { headerFields } from "./route-action.ts";
import { OUTSIDE_FILTER, outsideCluster } from "./sidecar-outside.ts";
import { carriedHeaders, sidecarGroups } from "./sidecar-groups.ts";
import { tunnelCluster } from "./sidecar-tunnel.ts";
import { OUTBOUND_ROUTES, compileOutbound } from "./sidecar-routes.ts";
import { CONNECTION_MANAGER, MANAGER_TYPE, ROUTER_TYPE } from "./wasm-types.ts";

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** As the embedded sidecar has it. */
const APP_CONNECT_TIMEOUT_MS = 1_000;
/**
 * Node's servers close what is idle for 5 s, and Envoy does not read their `Keep-Alive`: a request
 * that crosses that close would be a 503. The embedded sidecar goes by the field.
 */
const APP_IDLE_TIMEOUT_MS = 4_000;
/** Tells the agent in the app which headers to carry on. */
const CARRY_HEADER = "x-graylane-carry";

/** Envoy's JSON of something that has a name. */
type Named = JsonObject & { readonly name: string };
type Inbound = Workload["inbound"][number];

export interface SidecarResources {
  readonly listeners: EnvoyResource[];
  readonly routes: EnvoyResource[];
  readonly clusters: EnvoyResource[];
  readonly extensions: EnvoyResource[];
}

/** `laneMemory`: the plug-in that keeps lanes by trace ids. */
export function compileSidecar(
  workload: Workload,
  context: ActionContext,
  laneMemory: ModuleFile | null,
): SidecarResources {
  const source: ObjectRef = {
    kind: "Pod",
    namespace: workload.namespace,
    name: workload.name,
  };
  const resource = ({ name, ...rest }: Named, needs: readonly string[] = []): EnvoyResource => {
    const json = { name, ...rest };
    return { name, json, parts: [{ source, json }], needs };
  };
  const { modules } = context.view;
  const groups = sidecarGroups(workload, context, laneMemory !== null);
  const memory = (side: "inbound" | "outbound"): Extension[] =>
    laneMemory === null
      ? []
      : memoryExtensions(side, { source, groups, module: laneMemory, modules });
  const [coming, going] = [memory("inbound"), memory("outbound")];
  const carried = carriedHeaders(context.snapshot);
  const inbound = workload.inbound.map((port) => {
    const routes = { route_config: inboundRoutes(port, carried) };
    const where = { ...workload, port: port.port };
    const made = listener(`inbound:${port.port}`, where, routes, { filters: coming.map(filterOf) });
    return resource(made, coming.map(nameOf));
  });
  const rds = { rds: { route_config_name: OUTBOUND_ROUTES, config_source: FROM_ADS } };
  const { baggage, view } = context;
  const at = { place: "outbound", source, modules };
  const contexts = sidecarContexts({ groups, baggage, module: view.laneContext, at });

  const before = [...going, ...contexts.first];
  const outgoing = [...before, ...contexts.upstream];
  const filters = [...before.map(filterOf), OUTSIDE_FILTER, ...ROUTE_FILTERS];
  const behind = contexts.upstream.map(filterOf);
  const outbound = listener("outbound", workload.outbound, rds, { filters, behind });
  return {
    listeners: [...inbound, resource(outbound, [OUTBOUND_ROUTES, ...outgoing.map(nameOf)])],
    routes: [compileOutbound(workload, groups, { context, source })],
    clusters: [...workload.inbound.map(appCluster), outsideCluster(), tunnelCluster(workload)].map(
      (one) => resource(one),
    ),
    extensions: [...coming, ...outgoing].map((one) => one.resource),
  };
}

function filterOf({ filter }: Extension): JsonObject {
  return filter.json;
}

function nameOf({ resource }: Extension): string {
  return resource.name;
}

interface Chain {
  readonly filters: readonly JsonObject[];
  /** Of the requests to endpoints. */
  readonly behind?: readonly JsonObject[];
}

function listener(
  name: string,
  where: { readonly address: string; readonly port: number },
  routes: JsonObject,
  { filters, behind = [] }: Chain,
): Named {
  const manager: JsonObject = {
    "@type": MANAGER_TYPE,
    stat_prefix: name,
    codec_type: "AUTO",
    ...routes,
    // A hop between services leaves the request as it is.
    use_remote_address: false,
    skip_xff_append: true,
    generate_request_id: false,
    stream_idle_timeout: STREAM_IDLE_TIMEOUT,
    server_header_transformation: "PASS_THROUGH",
    http_filters: [...filters, router(behind)],
  };
  return {
    name,
    address: { socket_address: { address: where.address, port_value: where.port } },
    filter_chains: [{ filters: [{ name: CONNECTION_MANAGER, typed_config: manager }] }],
  };
}

function router(behind: readonly JsonObject[]): JsonObject {
  const config = { "@type": ROUTER_TYPE, suppress_envoy_headers: true, ...upstreamFilters(behind) };
  return { name: "envoy.filters.http.router", typed_config: config };
}

/** Only what stands here is believed: a caller must not choose what an app sends on. */
function inboundRoutes(port: Inbound, carried: string): JsonObject {
  const none = { remove: [CARRY_HEADER], set: [], add: [] };
  const operations = carried === "" ? none : { ...none, set: [[CARRY_HEADER, carried] as const] };
  const route = {
    match: { prefix: "/" },
    route: {
      cluster: appClusterName(port),
      timeout: "0s",
      upgrade_configs: [{ upgrade_type: "websocket" }],
    },
    ...headerFields("request", operations),
  };
  return {
    name: `inbound:${port.port}`,
    virtual_hosts: [{ name: "app", domains: ["*"], routes: [route] }],
  };
}

function appClusterName({ port }: Inbound): string {
  return `inbound|${port}||`;
}

/** The app speaks what its caller does: that knows it from the Service. */
function appCluster(port: Inbound): Named {
  const name = appClusterName(port);
  const address = { address: port.appAddress, port_value: port.appPort };
  const endpoint = { endpoint: { address: { socket_address: address } } };
  return {
    name,
    type: "STATIC",
    connect_timeout: durationOf(APP_CONNECT_TIMEOUT_MS),
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        "@type": `type.googleapis.com/${HTTP_OPTIONS}`,
        common_http_protocol_options: { idle_timeout: durationOf(APP_IDLE_TIMEOUT_MS) },
        use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
      },
    },
  };
}
