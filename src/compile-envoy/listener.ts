//! A gateway's listeners in Envoy's words.

import type { Json, JsonObject } from "../base/json.ts";
import { strippedContext } from "../lane/client-context.ts";
import type { EdgeSettings } from "../snapshot/edge.ts";
import type { Gateway, Listener, ObjectRef, Plugin, Snapshot } from "../snapshot/snapshot.ts";
import type { TlsServer } from "../snapshot/tls.ts";
import { bodyScope } from "./body-scope.ts";
import type { BodyScope } from "./body-scope.ts";
import { FROM_ADS } from "./envoy-config.ts";
import type { EnvoyResource, GatewayView, ModuleFile, ResourcePart } from "./envoy-config.ts";
import { wasmExtension } from "./extension.ts";
import type { Extension } from "./extension.ts";
import { codeFields } from "./module-code.ts";
import { LANE_FILTER } from "./filter-program.ts";
import type { FilterProgram } from "./filter-program.ts";
import { bucketExtensions } from "./lane-bucket.ts";
import { gatewayContexts } from "./lane-context.ts";
import type { BaggageGroup } from "./lane-context.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import {
  TLS_INSPECTOR,
  distinctServers,
  isConfined,
  nameOfServer,
  tlsChains,
} from "./listener-tls.ts";
import { ownExtension } from "./own-extension.ts";
import type { Place } from "./own-extension.ts";
import { ROUTE_FILTERS } from "./route-filters.ts";
import { listOf, serverSecrets } from "./secrets.ts";
import { tokenExtensions } from "./token-claims.ts";
import {
  CONNECTION_MANAGER,
  MANAGER_TYPE,
  ROUTER_TYPE,
  TEXT_TYPE,
  WASM_RUNTIME,
} from "./wasm-types.ts";

const UPSTREAM_CODEC: JsonObject = {
  name: "envoy.filters.http.upstream_codec",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
  },
};
const EARLY_MUTATION = "envoy.http.early_header_mutation.header_mutation";
const EARLY_MUTATION_TYPE =
  "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3." +
  "HeaderMutation";
/** As `dataplane/exchange/edge-fields.ts`; those that Envoy does not remove by itself. */
const CLAIMS_OF_PROXIES: readonly string[] = ["x-forwarded-host", "x-forwarded-port"];
const ESCAPED_SLASHES = {
  keep: "KEEP_UNCHANGED",
  reject: "REJECT_REQUEST",
  decode: "UNESCAPE_AND_FORWARD",
} as const;
/** docs/http.md: an exchange on which nothing moves. */
export const STREAM_IDLE_TIMEOUT = "300s";

export function listenerName(gateway: Gateway, { port }: Listener): string {
  return `${gateway.name}:${port}`;
}

/** A listener with what it asks for by name. */
export interface CompiledListener {
  readonly listener: EnvoyResource;
  readonly secrets: readonly EnvoyResource[];
  readonly routeTables: readonly ListenerRoutes[];
  /** Its plug-ins. */
  readonly extensions: readonly EnvoyResource[];
}

/** The routes of a listener, or of one of its certificates. */
export interface ListenerRoutes {
  readonly name: string;
  /** Null: for every host. */
  readonly server: TlsServer | null;
}

interface Given {
  readonly snapshot: Snapshot;
  readonly view: GatewayView;
  readonly source: ObjectRef;
  readonly baggage: readonly BaggageGroup[];
  /** The lane groups of the gateway. */
  readonly groups: readonly EnteredGroup[];
  /** The rules that routes cannot express; null: there is no plug-in for them. */
  readonly filter: FilterProgram | null;
}

export function compileListener(
  gateway: Gateway,
  listener: Listener,
  given: Given,
): CompiledListener {
  const { snapshot, view, source, groups, filter: program } = given;
  const plugins = gateway.plugins.flatMap((name) => snapshot.plugins[name] ?? []);
  const at: Place = { place: gateway.name, source, modules: view.modules };
  const contexts = gatewayContexts({ gateway, module: view.laneContext, ...given, at });
  const extensions = [
    ...contexts.first,
    ...plugins.map((plugin) => extensionOf(plugin, view.modules)),
    ...contexts.last,
    ...claimExtensions(program, view.laneFilter, at),
    ...bucketExtensions(groups, view.laneBucket, at),
    ...ruleExtensions(program, view.laneFilter, {
      ...at,
      scope: () => bodyScope(gateway, groups, snapshot),
    }),
  ];
  const wasm = extensions.map(({ filter }) => filter);
  const name = listenerName(gateway, listener);
  const socket = {
    address: view.bindAddress,
    port_value: view.portMap[String(listener.port)] ?? listener.port,
  };
  const manager = (routes: string): JsonObject => ({
    "@type": MANAGER_TYPE,
    stat_prefix: name,
    codec_type: "AUTO",
    rds: { route_config_name: routes, config_source: FROM_ADS },
    ...edgeFields(gateway.edge),
    ...strippedFields(gateway, snapshot),
    stream_idle_timeout: STREAM_IDLE_TIMEOUT,
    server_header_transformation: "PASS_THROUGH",
    http_filters: [...wasm.map(({ json }) => json), ...ROUTE_FILTERS, router(contexts.upstream)],
  });
  const filtersOf = (routes: string): JsonObject[] => [
    { name: CONNECTION_MANAGER, typed_config: manager(routes) },
  ];
  const servers = distinctServers(listener.tls ?? []).map((server) => {
    const owner = nameOfServer(server, name);
    const own = { name: isConfined(server) ? nameOfServer(server, listener.routeTable) : "" };
    const routes: ListenerRoutes =
      own.name === "" ? { name: listener.routeTable, server: null } : { ...own, server };
    return { server, routes, secrets: serverSecrets(owner, server, source) };
  });
  const isPlain = listener.tls === undefined;
  const routeTables = isPlain
    ? [{ name: listener.routeTable, server: null }]
    : servers.map(({ routes }) => routes);
  const secrets = servers.flatMap((one) => listOf(one.secrets));
  const json: JsonObject = {
    name,
    address: { socket_address: socket },
    ...(isPlain ? {} : { listener_filters: [TLS_INSPECTOR] }),
    filter_chains: isPlain
      ? [{ filters: filtersOf(listener.routeTable) }]
      : servers.flatMap(({ server, routes, secrets: own }) =>
          tlsChains(server, own, filtersOf(routes.name)),
        ),
  };
  const place: ResourcePart = { source, json: { address: socket } };
  const resources = [...extensions, ...contexts.upstream].map(({ resource }) => resource);
  const needs = [...routeTables, ...secrets, ...resources].map((one) => one.name);
  return {
    listener: { name, json, parts: [place, ...wasm], needs },
    ...{ secrets, routeTables, extensions: resources },
  };
}

/** Behind the gateway's own plug-ins, which may write what rules read. */
function ruleExtensions(
  program: FilterProgram | null,
  module: ModuleFile | undefined,
  at: Place & { readonly scope: () => BodyScope },
): Extension[] {
  if (program === null || module === undefined || program.isEmpty) return [];
  const configuration = program.configuration(program.readsBody ? at.scope() : {});
  return [ownExtension(LANE_FILTER, module, configuration, { ...at, mayHold: true })];
}

/** Where rules read claims. */
function claimExtensions(
  program: FilterProgram | null,
  module: ModuleFile | undefined,
  at: Place,
): Extension[] {
  const tokens = program?.tokens ?? null;
  return tokens === null || module === undefined ? [] : tokenExtensions(tokens, module, at);
}

function router(upstream: readonly Extension[]): JsonObject {
  const behind = upstreamFilters(upstream.map(({ filter }) => filter.json));
  const config = { "@type": ROUTER_TYPE, ...behind };
  return { name: "envoy.filters.http.router", typed_config: config };
}

/** Of the router: they see each request as it goes to an endpoint. */
export function upstreamFilters(filters: readonly JsonObject[]): JsonObject {
  return filters.length === 0 ? {} : { upstream_http_filters: [...filters, UPSTREAM_CODEC] };
}

/** As `dataplane/exchange/edge-fields.ts` and docs/http.md have it. */
function edgeFields(edge: EdgeSettings | undefined): JsonObject {
  const trustedProxies = edge?.trustedProxies ?? 0;
  return {
    use_remote_address: true,
    ...(trustedProxies === 0
      ? {}
      : { xff_num_trusted_hops: trustedProxies, preserve_external_request_id: true }),
    normalize_path: edge?.path.normalize ?? true,
    merge_slashes: edge?.path.mergeSlashes ?? false,
    path_with_escaped_slashes_action: ESCAPED_SLASHES[edge?.path.escapedSlashes ?? "keep"],
    ...(edge === undefined || edge.via === "" ? {} : { via: edge.via }),
  };
}

/**
 * What clients may not send. Of lanes only for plug-ins, which may write the header themselves:
 * without any, the routes remove it.
 */
function strippedFields(gateway: Gateway, snapshot: Snapshot): JsonObject {
  const claims = (gateway.edge?.trustedProxies ?? 0) > 0 ? [] : CLAIMS_OF_PROXIES;
  const lanes = gateway.plugins.length === 0 ? [] : strippedContext(gateway, snapshot).headers;
  const headers = [...claims, ...lanes];
  if (headers.length === 0) return {};
  const mutation = {
    "@type": EARLY_MUTATION_TYPE,
    mutations: headers.map((remove) => ({ remove })),
  };
  return {
    early_header_mutation_extensions: [{ name: EARLY_MUTATION, typed_config: mutation }],
  };
}

/** The module is named by its digest: it never changes under its name. */
function extensionOf(plugin: Plugin, modules: string | undefined): Extension {
  const { name, source, failMode, module, configuration, env, hostEnv = [] } = plugin;
  const variables: Record<string, Json> = {};
  if (Object.keys(env).length > 0) variables["key_values"] = env;
  if (hostEnv.length > 0) variables["host_env_keys"] = hostEnv;
  const config: JsonObject = {
    name,
    root_id: plugin.rootId,
    vm_config: {
      vm_id: plugin.vmId,
      runtime: WASM_RUNTIME,
      ...codeFields(module, modules),
      ...(Object.keys(variables).length === 0 ? {} : { environment_variables: variables }),
    },
    ...(configuration === ""
      ? {}
      : { configuration: { "@type": TEXT_TYPE, value: configuration } }),
  };
  const fetched = modules === undefined ? {} : { fetched: module };
  return wasmExtension({ name, source, failMode, config, ...fetched });
}
