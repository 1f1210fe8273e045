// Makes generated/envoy-api/descriptor.json: the messages of Envoy's API that the control plane
// speaks, as protobufjs reads them, without comments and without what is deprecated.
//
//   node scripts/generate-envoy-api.mjs
//
// Needs Maven: the .proto files come from its artifact io.envoyproxy.controlplane:api.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import protobuf from "protobufjs";
import { ROOT, run } from "./tools.mjs";

const ARTIFACT = "io.envoyproxy.controlplane:api:1.0.49";
const OUTPUT = join(ROOT, "generated", "envoy-api", "descriptor.json");
/** google/protobuf/*.proto come with protobufjs. */
const PROTOBUF_OWN = join(ROOT, "node_modules", "protobufjs");
/** Everything that these can hold is kept. */
const WANTED = {
  "envoy/service/discovery/v3/discovery.proto": [
    "envoy.service.discovery.v3.DiscoveryRequest",
    "envoy.service.discovery.v3.DiscoveryResponse",
    "envoy.service.discovery.v3.DeltaDiscoveryRequest",
    "envoy.service.discovery.v3.DeltaDiscoveryResponse",
  ],
  "envoy/config/listener/v3/listener.proto": ["envoy.config.listener.v3.Listener"],
  "envoy/config/route/v3/route.proto": ["envoy.config.route.v3.RouteConfiguration"],
  "envoy/config/cluster/v3/cluster.proto": ["envoy.config.cluster.v3.Cluster"],
  "envoy/config/endpoint/v3/endpoint.proto": ["envoy.config.endpoint.v3.ClusterLoadAssignment"],
};
const EXTENSIONS = [
  "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
  "envoy.extensions.filters.http.cors.v3.Cors",
  "envoy.extensions.filters.http.cors.v3.CorsPolicy",
  "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig",
  "envoy.extensions.filters.http.fault.v3.HTTPFault",
  "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
  "envoy.extensions.filters.http.router.v3.Router",
  "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec",
  "envoy.extensions.filters.http.wasm.v3.Wasm",
  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
  "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
  "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
  "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
  "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
  "envoy.extensions.transport_sockets.tls.v3.Secret",
  "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
];
/** What came after the artifact: Envoy 1.35 has it. */
const NEWER = {
  "envoy.extensions.wasm.v3.PluginConfig": {
    allow_on_headers_stop_iteration: { id: 9, type: "google.protobuf.BoolValue" },
  },
};
const FILES_OF_EXTENSIONS = {
  "envoy.extensions.clusters.dynamic_forward_proxy.v3": "cluster",
  "envoy.extensions.filters.http.jwt_authn.v3": "config",
  "envoy.extensions.filters.network.http_connection_manager.v3": "http_connection_manager",
  "envoy.extensions.upstreams.http.v3": "http_protocol_options",
  "envoy.extensions.transport_sockets.proxy_protocol.v3": "upstream_proxy_protocol",
  "envoy.extensions.transport_sockets.tls.v3": "tls",
};

const folder = mkdtempSync(join(tmpdir(), "envoy-api-"));
try {
  write(OUTPUT, prune(load(fetchProtos(folder))));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function fetchProtos(into) {
  run("mvn", ["-q", "dependency:copy", `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${into}`]);
  const jar = readdirSync(into).find((name) => name.endsWith(".jar"));
  run("unzip", ["-qo", join(into, jar), "*.proto", "-d", into]);
  return into;
}

function load(protos) {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => {
    const path = join(protos, target);
    return existsSync(path) ? path : join(PROTOBUF_OWN, target);
  };
  for (const file of Object.keys(WANTED)) root.loadSync(file, { keepCase: true });
  for (const name of EXTENSIONS) {
    const space = name.slice(0, name.lastIndexOf("."));
    const base = FILES_OF_EXTENSIONS[space] ?? space.split(".").at(-2);
    root.loadSync(`${space.replaceAll(".", "/")}/${base}.proto`, { keepCase: true });
  }
  root.resolveAll();
  return root;
}

/** The wanted messages with whatever they refer to, by full name, in the order of names. */
function prune(root) {
  const wanted = [...Object.values(WANTED).flat(), ...EXTENSIONS];
  const kept = new Map();
  const queue = wanted.map((name) => root.lookupTypeOrEnum(name));
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const name = next.fullName.slice(1);
    if (kept.has(name)) continue;
    kept.set(name, next instanceof protobuf.Enum ? { values: next.values } : message(next, queue));
  }
  return Object.fromEntries([...kept].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function message(type, queue) {
  const fields = {};
  for (const field of type.fieldsArray) {
    if (field.options?.deprecated === true) continue;
    if (field.resolvedType !== null) queue.push(field.resolvedType);
    fields[field.name] = {
      id: field.id,
      type: field.resolvedType?.fullName.slice(1) ?? field.type,
      ...(field.repeated ? { rule: "repeated" } : {}),
      ...(field.map ? { keyType: field.keyType } : {}),
    };
  }
  return { fields: { ...fields, ...NEWER[type.fullName.slice(1)] } };
}

/** One line for each message: a difference shows which have changed. */
function write(path, messages) {
  const lines = Object.entries(messages).map(
    ([name, content]) => `${JSON.stringify(name)}: ${JSON.stringify(content)}`,
  );
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, `{\n${lines.join(",\n")}\n}\n`);
}
