//! `graylane envoy-bootstrap`: prints the file that an Envoy is started with.

import { isIP } from "node:net";
import { usageError } from "./cli-error.ts";
import type { Context } from "./context.ts";
import { parseListenAddress, parsePortMap } from "./up-options.ts";

export interface BootstrapOptions {
  readonly role: string;
  readonly gateway?: string;
  readonly pod?: string;
  readonly id?: string;
  readonly xds: string;
  readonly bind?: string;
  readonly admin: string;
  readonly xdsMode: string;
  readonly mapPort: readonly string[];
  /** Absent: files where the control plane is on this machine, else it is asked. */
  readonly modules?: string;
}

/** Istio's port for the same. */
export const XDS_ADDRESS_DEFAULT = "127.0.0.1:15010";
export const BIND_ADDRESS_DEFAULT = "0.0.0.0";
export const XDS_MODE_DEFAULT = "delta";
/** Envoy's names of the two protocols. */
const API_TYPES: Readonly<Record<string, string>> = { delta: "DELTA_GRPC", sotw: "GRPC" };
const XDS_CLUSTER = "graylane-xds";
const MODULES_CLUSTER = "graylane-modules";
/** By which the control plane knows who asks for a module. */
const NODE_HEADER = "x-graylane-node";
/** The control plane closes later what is idle. */
const MODULES_IDLE_TIMEOUT = "5s";
const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const FILTERS = "type.googleapis.com/envoy.extensions.filters.http";
/** From Envoy's environment: neither this file nor what Envoy prints of it has the token. */
const TOKEN_HEADER = {
  header: { key: "authorization", value: "Bearer %ENVIRONMENT(GRAYLANE_XDS_TOKEN)%" },
  append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
};
const TOKEN_FILTERS = upstreamFilters(TOKEN_HEADER);
const ID_CHARS_MAX = 253;

/** Of an Envoy whose identity is known. */
export type BootstrapOf = Pick<BootstrapOptions, "admin" | "xds" | "xdsMode" | "role" | "modules">;

/** A part of what Envoy is started with. */
export interface Bootstrap {
  readonly node: object;
  readonly admin: object;
  readonly dynamic_resources: {
    readonly ads_config: object;
    readonly cds_config: object;
    readonly lds_config: object;
  };
  readonly layered_runtime: object;
  readonly static_resources: { readonly clusters: readonly object[] };
}

const PORT_MAX = 65_535;
/** As `istioctl` has it: what follows the last dot is the namespace, which has none. */
const POD_NAME = /^([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)\.([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)$/;
const POD_NAME_ALONE = /^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)$/;
/** Envoy refuses regular expressions of a hundred instructions; this is the limit of Istio. */
const RUNTIME = { "re2.max_program_size.error_level": 32_768 };
/** How soon a control plane that hangs is noticed. */
const KEEPALIVE = { interval: "30s", timeout: "5s" };

export function envoyBootstrap(context: Context, options: BootstrapOptions): Promise<number> {
  const bootstrap = bootstrapOf(options);
  context.stdout.write(`${JSON.stringify(bootstrap, null, 2)}\n`);
  return Promise.resolve(0);
}

/** Throws a `CliError` (usage) that names the option. */
export function bootstrapOf(options: BootstrapOptions): Bootstrap {
  const { usualId, graylane } = identityOf(options);
  const id = options.id ?? usualId;
  if (id === "" || id.length > ID_CHARS_MAX) {
    throw usageError(`--id: must have 1 to ${ID_CHARS_MAX} characters`);
  }
  return bootstrapFor({ id, graylane }, options);
}

/** Throws a `CliError` (usage) that names the option. */
export function bootstrapFor(
  { id, graylane }: { readonly id: string; readonly graylane: object },
  options: BootstrapOf,
): Bootstrap {
  const fromAds = { ads: {}, resource_api_version: "V3" };
  const fetches = fetchesModules(options);
  const told = fetches ? { ...graylane, modules: MODULES_CLUSTER } : graylane;
  return {
    node: { id, cluster: "graylane", metadata: { graylane: told } },
    admin: { address: socketAddress("--admin", options.admin) },
    dynamic_resources: {
      ads_config: {
        api_type: apiTypeOf(options.xdsMode),
        transport_api_version: "V3",
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: XDS_CLUSTER } }],
      },
      cds_config: fromAds,
      lds_config: fromAds,
    },
    layered_runtime: { layers: [{ name: "graylane", static_layer: RUNTIME }] },
    static_resources: {
      clusters: [xdsCluster(options), ...(fetches ? [modulesCluster(options, id)] : [])],
    },
  };
}

/** An Envoy on the machine of its control plane needs no other way to a file. */
function fetchesModules({ modules, xds }: BootstrapOf): boolean {
  if (modules === undefined) return !isLoopback(xdsAddress(xds).host);
  if (modules === "files" || modules === "fetched") return modules === "fetched";
  throw usageError(`--modules ${modules}: not a way`, "The ways: fetched, files.");
}

function isLoopback(host: string): boolean {
  return /^127\./.test(host) || host === "::1";
}

function apiTypeOf(mode: string): string {
  const apiType = Object.hasOwn(API_TYPES, mode) ? API_TYPES[mode] : undefined;
  if (apiType !== undefined) return apiType;
  throw usageError(`--xds-mode ${mode}: not a mode`, "The modes: delta, sotw.");
}

interface Identity {
  readonly usualId: string;
  /** What the control plane reads of the node's metadata. */
  readonly graylane: object;
}

function identityOf(options: BootstrapOptions): Identity {
  if (options.role === "gateway") return gatewayIdentity(options);
  if (options.role === "sidecar") return sidecarIdentity(options);
  throw usageError(`--role ${options.role}: not a role`, "The roles: gateway, sidecar.");
}

function gatewayIdentity(options: BootstrapOptions): Identity {
  const { gateway, pod, bind = BIND_ADDRESS_DEFAULT } = options;
  if (gateway === undefined) {
    throw usageError("--gateway is missing", "Write the selector of the Gateway it is to be.");
  }
  if (pod !== undefined) throw usageError("--pod is for --role sidecar");
  if (isIP(bind) === 0) {
    throw usageError(`--bind ${bind}: not an IP address`, "Write, for example, 0.0.0.0.");
  }
  const labels = labelsOf(gateway);
  const ports = Object.fromEntries(parsePortMap(options.mapPort));
  const graylane = { role: "gateway", labels, bind_address: bind, ports };
  return { usualId: `gateway-${gateway}`, graylane };
}

/** Where it listens, the control plane knows: at the addresses of the pod. */
function sidecarIdentity({ gateway, pod = "", bind, mapPort }: BootstrapOptions): Identity {
  if (gateway !== undefined) throw usageError("--gateway is for --role gateway");
  if (bind !== undefined || mapPort.length > 0) {
    throw usageError(
      "--bind and --map-port are for --role gateway",
      "A sidecar listens at the addresses of its pod.",
    );
  }
  const found = POD_NAME.exec(pod) ?? POD_NAME_ALONE.exec(pod);
  const [, name = "", namespace = "default"] = found ?? [];
  if (name === "") {
    throw usageError(`--pod ${pod}: not NAME or NAME.NAMESPACE`, "`graylane get pods` lists them.");
  }
  const graylane = { role: "sidecar", pod: `${namespace}/${name}` };
  return { usualId: `sidecar-${name}.${namespace}`, graylane };
}

/** By its name in DNS, a cluster's control plane is another replica when one has gone. */
function xdsCluster({ xds, role }: BootstrapOf): object {
  return controlPlane(XDS_CLUSTER, xds, {
    explicit_http_config: { http2_protocol_options: { connection_keepalive: KEEPALIVE } },
    ...(role === "gateway" ? { http_filters: TOKEN_FILTERS } : {}),
  });
}

/** The same port: there it speaks HTTP/1.1. */
function modulesCluster({ xds }: BootstrapOf, id: string): object {
  const header = { key: NODE_HEADER, value: id.replaceAll("%", "%%") };
  return controlPlane(MODULES_CLUSTER, xds, {
    common_http_protocol_options: { idle_timeout: MODULES_IDLE_TIMEOUT },
    explicit_http_config: { http_protocol_options: {} },
    http_filters: upstreamFilters({ header, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }),
  });
}

function controlPlane(name: string, xds: string, options: object): object {
  const { host, port } = xdsAddress(xds);
  const address = { socket_address: { address: host, port_value: port } };
  const endpoint = { endpoint: { address } };
  return {
    name,
    // A name may have addresses of both families, of which one is served.
    ...(isIP(host) === 0 ? { type: "STRICT_DNS", dns_lookup_family: "ALL" } : { type: "STATIC" }),
    connect_timeout: "1s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: { "@type": `type.googleapis.com/${HTTP_OPTIONS}`, ...options },
    },
  };
}

/** Sets one header of what is sent. */
function upstreamFilters(header: object): readonly object[] {
  return [
    {
      name: "envoy.filters.http.header_mutation",
      typed_config: {
        "@type": `${FILTERS}.header_mutation.v3.HeaderMutation`,
        mutations: { request_mutations: [{ append: header }] },
      },
    },
    {
      name: "envoy.filters.http.upstream_codec",
      typed_config: { "@type": `${FILTERS}.upstream_codec.v3.UpstreamCodec` },
    },
  ];
}

/** Envoys may be on other machines than their control plane. */
function xdsAddress(text: string): { readonly host: string; readonly port: number } {
  const found = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  const [, bracketed, plain = "", digits = ""] = found ?? [];
  const port = Number(digits);
  if (found === null || port === 0 || port > PORT_MAX) {
    throw usageError(`--xds ${text}: not HOST:PORT`, "Write, for example, 127.0.0.1:15010.");
  }
  return { host: bracketed ?? (plain === "localhost" ? "127.0.0.1" : plain), port };
}

function socketAddress(option: string, text: string): object {
  const { host, port } = parseListenAddress(option, text);
  const address = host === "localhost" ? "127.0.0.1" : host;
  return { socket_address: { address, port_value: port } };
}

/** `istio=ingressgateway,zone=a`, as `kubectl -l` takes it. */
function labelsOf(text: string): Record<string, string> {
  const pairs = text.split(",").map((pair) => /^([^=,]+)=([^=,]*)$/.exec(pair));
  if (pairs.some((pair) => pair === null)) {
    throw usageError(
      `--gateway ${text}: not labels`,
      "Write the selector of the Gateway, for example istio=ingressgateway.",
    );
  }
  return Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? "", pair?.[2] ?? ""]));
}
