//! Hosts for what plug-ins read of connections and outcomes: with and without TLS on both sides, and
//! with upstreams that fail in each way.

import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import {
  A_TEST,
  A_TEST_EXPIRED,
  CA,
  CLIENT,
  WORKLOAD,
} from "../../src/dataplane/testing/certificates.ts";
import { forwardRoute } from "../../src/dataplane/testing/snapshot-maker.ts";
import type { Route, Snapshot } from "../../src/snapshot/snapshot.ts";
import type { TlsServer, UpstreamTls } from "../../src/snapshot/tls.ts";
import { CLUSTER, GRPC_DEAD_CLUSTER } from "./conformance.ts";
import type { EnvoyResources } from "./conformance.ts";
import { startHttp2Upstream } from "./http2-upstream.ts";
import {
  envoyHostMetadata,
  envoyMetadata,
  OWN_NOTES,
  ownHostMetadata,
  ownMetadata,
  withNotes,
} from "./metadata-hosts.ts";

type Pair = typeof A_TEST;

/** How both sides of a gateway are spoken to. */
export interface World {
  readonly name: string;
  /** The client's side; null: in clear. */
  readonly client: ClientSide | null;
  /** The endpoint's side; null: in clear. */
  readonly endpoint: EndpointSide | null;
  /** Spoken on both sides, with prior knowledge; absent: HTTP/1.1. */
  readonly isHttp2?: true;
}

interface ClientSide {
  /** Whether clients are asked for a certificate, and whether one is shown. */
  readonly asks: boolean;
  readonly shows: Pair | null;
  readonly serverName: string;
  readonly version: "TLSv1.2" | "TLSv1.3";
}

interface EndpointSide {
  readonly server: Pair;
  /** Shown to it; null: it asks for none. */
  readonly own: Pair | null;
}

export const WORLDS: readonly World[] = [
  { name: "clear", client: null, endpoint: null },
  {
    name: "tls",
    client: { asks: false, shows: null, serverName: "a.test", version: "TLSv1.3" },
    endpoint: { server: A_TEST, own: null },
  },
  {
    name: "mtls",
    client: { asks: true, shows: WORKLOAD, serverName: "a.test", version: "TLSv1.2" },
    endpoint: { server: A_TEST, own: CLIENT },
  },
  {
    name: "expired",
    client: { asks: true, shows: CLIENT, serverName: "", version: "TLSv1.3" },
    endpoint: { server: A_TEST_EXPIRED, own: WORKLOAD },
  },
  { name: "http2", client: null, endpoint: null, isHttp2: true },
];

/** What a client of this world connects with; null: in clear. */
export function clientOptions({ client }: World): ConnectionOptions | null {
  if (client === null) return null;
  const { shows, serverName, version } = client;
  return {
    rejectUnauthorized: false,
    servername: serverName,
    maxVersion: version,
    ...(shows === null ? {} : { cert: shows.certificate, key: shows.privateKey }),
  };
}

// --- upstream ---

/** Answers as the path says. */
export async function startUpstream(
  world: World,
): Promise<{ readonly port: number; stop(): void }> {
  const { endpoint } = world;
  if (world.isHttp2 === true) return startHttp2Upstream();
  const server = endpoint === null ? createServer(serve) : secureServer(endpoint, serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function secureServer({ server, own }: EndpointSide, listener: RequestListener) {
  const asked = { requestCert: own !== null, rejectUnauthorized: own !== null };
  const pair = { cert: server.certificate, key: server.privateKey, ca: CA.certificate };
  return createSecureServer({ ...pair, ...asked }, listener);
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  request.on("end", () => {
    if (request.url === "/echo/server-name") {
      response.end(String((response.socket as Partial<TLSSocket> | null)?.servername));
      return;
    }
    answer(request.url ?? "", response);
  });
}

function answer(path: string, response: ServerResponse): void {
  switch (path) {
    case "/echo/gone":
      response.socket?.destroy();
      return;
    case "/echo/nonsense":
      response.socket?.end("nonsense\r\n\r\n");
      return;
    case "/echo/half":
      response.writeHead(200, { "content-length": "9" });
      response.write("half", () => response.socket?.destroy());
      return;
    case "/silent":
    case "/echo/never":
      return;
    case "/echo/trailers":
      response.writeHead(200, { "content-type": "application/grpc", trailer: "grpc-status" });
      response.write("body");
      response.addTrailers({ "grpc-status": "5", "x-end": "yes" });
      response.end();
      return;
    case "/echo/404":
      response.writeHead(404, { "content-length": "4" }).end("gone");
      return;
    case "/echo/grpc":
      response.writeHead(200, { "grpc-status": "7", "content-length": "0" }).end();
      return;
    default:
      response.writeHead(200, { "content-length": "5" }).end("hello");
  }
}

// --- our host ---

const HTTP2 = { protocol: "h2" } as const;

const TIMEOUT_MS = 150;

export function ourChange(world: World): (snapshot: Snapshot) => Snapshot {
  return (snapshot) => ({
    ...snapshot,
    endpoints: mapValues(snapshot.endpoints, ({ endpoints }) => ({
      endpoints: endpoints.map((endpoint) => ({ ...endpoint, notes: OWN_NOTES })),
    })),
    gateways: mapValues(snapshot.gateways, (gateway) => ({
      ...gateway,
      listeners: gateway.listeners.map((listener) => ({
        ...{ ...listener, ...listenerTls(world) },
        notes: {
          direction: "OUTBOUND",
          filterChainName: "chain",
          metadata: ownMetadata("listener"),
        } as const,
      })),
    })),
    routeTables: mapValues(snapshot.routeTables, (table) => ({
      ...table,
      virtualHosts: [
        { name: "all", domains: ["*"], routes: ourRoutes(), metadata: ownHostMetadata() },
      ],
    })),
    clusters: mapValues(snapshot.clusters, (cluster) =>
      cluster.name === CLUSTER
        ? { ...cluster, ...endpointPolicy(world), metadata: ownMetadata("cluster") }
        : { ...cluster, ...(world.isHttp2 === true && HTTP2) },
    ),
  });
}

function mapValues<Value>(
  record: Readonly<Record<string, Value>>,
  change: (value: Value) => Value,
): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

const NO_RETRY = {
  ...{ retries: 0, perTryTimeoutMs: 0, on: [], statuses: [] },
  ...{ backOffBaseMs: 25, backOffMaxMs: 250 },
};

function ourRoutes(): Route[] {
  const matches = (value: string): Pick<Route, "matches" | "label" | "metadata"> => ({
    matches: [{ uri: { kind: "prefix", value } }],
    label: `route${value.replace("/", "-")}`,
    metadata: ownMetadata(`route ${value}`),
  });
  const direct = { kind: "direct", status: 418, body: "direct" } as const;
  const redirect = { kind: "redirect", status: 301, path: "/there" } as const;
  return [
    forwardRoute(CLUSTER, matches("/echo")),
    forwardRoute(CLUSTER, { ...matches("/silent"), timeoutMs: TIMEOUT_MS }),
    forwardRoute(GRPC_DEAD_CLUSTER, { ...matches("/dead"), policy: { retry: NO_RETRY } }),
    forwardRoute(CLUSTER, { ...matches("/refused"), policy: { retry: NO_RETRY } }),
    forwardRoute(CLUSTER, { ...matches("/direct"), action: direct }),
    forwardRoute(CLUSTER, { ...matches("/redirect"), action: redirect }),
  ];
}

function listenerTls({ client }: World): { readonly tls?: readonly TlsServer[] } {
  if (client === null) return {};
  const versions = { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" } as const;
  const clientCa = client.asks ? CA.certificate : "";
  return { tls: [{ hosts: ["*"], ...A_TEST, clientCa, ...versions }] };
}

function endpointPolicy({ endpoint, isHttp2 }: World): object {
  if (isHttp2 === true) return HTTP2;
  if (endpoint === null) return {};
  const pair = endpoint.own ?? { certificate: "", privateKey: "" };
  const tls: UpstreamTls = {
    serverName: "a.test",
    acceptedNames: ["a.test"],
    isVerified: true,
    authorities: CA.certificate,
    ...pair,
  };
  return { policy: { tls } };
}

// --- Envoy ---

export function envoyChange(world: World): (resources: EnvoyResources) => EnvoyResources {
  return ({ clusters, ...others }) => ({
    ...others,
    routes: envoyRoutes(),
    hostFields: { metadata: envoyHostMetadata() },
    ...envoyListener(world),
    clusters: clusters.map((cluster) =>
      (cluster as { name: string }).name === CLUSTER
        ? withNotes({ ...cluster, ...endpointSocket(world), metadata: envoyMetadata("cluster") })
        : withNotes(cluster),
    ),
  });
}

function envoyRoutes(): object[] {
  const matches = (prefix: string): object => ({
    match: { prefix },
    name: `route${prefix.replace("/", "-")}`,
    metadata: envoyMetadata(`route ${prefix}`),
  });
  return [
    { ...matches("/echo"), route: { cluster: CLUSTER } },
    { ...matches("/silent"), route: { cluster: CLUSTER, timeout: `${TIMEOUT_MS / 1000}s` } },
    { ...matches("/refused"), route: { cluster: CLUSTER } },
    { ...matches("/dead"), route: { cluster: GRPC_DEAD_CLUSTER } },
    { ...matches("/direct"), direct_response: { status: 418, body: { inline_string: "direct" } } },
    { ...matches("/redirect"), redirect: { path_redirect: "/there" } },
  ];
}

const TRUSTED = { trusted_ca: { inline_string: CA.certificate } };

function envoyListener(world: World): object {
  const { fields, chainFields } = envoyTls(world);
  return {
    fields: { ...fields, traffic_direction: "OUTBOUND", metadata: envoyMetadata("listener") },
    chainFields: { ...chainFields, name: "chain" },
  };
}

function envoyTls({ client }: World): { readonly fields?: object; readonly chainFields?: object } {
  if (client === null) return {};
  const context = {
    ...typed("transport_sockets.tls.v3.DownstreamTlsContext"),
    common_tls_context: {
      tls_certificates: [envoyPair(A_TEST)],
      ...(client.asks ? { validation_context: TRUSTED } : {}),
    },
    require_client_certificate: client.asks,
  };
  const inspector = typed("filters.listener.tls_inspector.v3.TlsInspector");
  return {
    fields: { listener_filters: [{ name: "tls_inspector", typed_config: inspector }] },
    chainFields: { transport_socket: { name: "tls", typed_config: context } },
  };
}

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

function endpointSocket({ endpoint, isHttp2 }: World): object {
  if (isHttp2 === true) {
    const explicit = { http2_protocol_options: {} };
    const options = {
      "@type": `type.googleapis.com/${HTTP_OPTIONS}`,
      explicit_http_config: explicit,
    };
    return { typed_extension_protocol_options: { [HTTP_OPTIONS]: options } };
  }
  if (endpoint === null) return {};
  const context = {
    ...typed("transport_sockets.tls.v3.UpstreamTlsContext"),
    sni: "a.test",
    common_tls_context: {
      tls_params: { tls_maximum_protocol_version: "TLSv1_3" },
      ...(endpoint.own === null ? {} : { tls_certificates: [envoyPair(endpoint.own)] }),
      validation_context: {
        ...TRUSTED,
        match_typed_subject_alt_names: [{ san_type: "DNS", matcher: { exact: "a.test" } }],
      },
    },
  };
  return { transport_socket: { name: "tls", typed_config: context } };
}

function envoyPair({ certificate, privateKey }: Pair): object {
  return {
    certificate_chain: { inline_string: certificate },
    private_key: { inline_string: privateKey },
  };
}

function typed(message: string): object {
  return { "@type": `type.googleapis.com/envoy.extensions.${message}` };
}
