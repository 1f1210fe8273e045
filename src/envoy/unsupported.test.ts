//! Every field that Envoy's API has in the messages of a bootstrap is read, or named with its
//! place.
//!
//! The fields are those of `generated/envoy-api`; of what is not in it (the Bootstrap itself) they
//! stand here.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bootstrap, read, TYPED, WASM } from "./testing/bootstrap-json.ts";

type Json = Record<string, unknown>;

const DESCRIPTOR = JSON.parse(
  readFileSync(join("generated", "envoy-api", "descriptor.json"), "utf8"),
) as Readonly<Record<string, { readonly fields?: Readonly<Record<string, unknown>> }>>;

const LISTENER = "static_resources.listeners[0]";
const CHAIN = `${LISTENER}.filter_chains[0]`;
const MANAGER = `${CHAIN}.filters[0].typed_config`;
const ROUTES = `${MANAGER}.route_config`;
const HOST = `${ROUTES}.virtual_hosts[0]`;
const ROUTE = `${HOST}.routes[0]`;
const CLUSTER = "static_resources.clusters[0]";
const LOCALITY = `${CLUSTER}.load_assignment.endpoints[0]`;
const PLUGIN_AT = `${MANAGER}.http_filters[0].typed_config.config`;
const REMOTE = `${PLUGIN_AT}.vm_config.code.remote`;
const TLS_AT = `${CLUSTER}.transport_socket.typed_config`;
const EDITS =
  "request_headers_to_add request_headers_to_remove response_headers_to_add " +
  "response_headers_to_remove";

interface Case {
  /** Of Envoy's API, or what it is called, with `fields`. */
  readonly message: string;
  /** Absent: the descriptor's. */
  readonly fields?: string;
  /** Where the message stands. */
  readonly at: string;
  /** The fields that are read, or mean nothing here and harm nothing. */
  readonly known: string;
  /** Those that are warned of. */
  readonly warned?: string;
}

const CASES: readonly Case[] = [
  {
    message: "envoy.config.bootstrap.v3.Bootstrap",
    fields:
      "node static_resources dynamic_resources cluster_manager hds_config flags_path stats_sinks " +
      "deferred_stat_options stats_config stats_flush_interval stats_flush_on_admin watchdog " +
      "watchdogs tracing layered_runtime admin overload_manager enable_dispatcher_stats " +
      "header_prefix stats_server_version_override use_tcp_for_dns_lookups dns_resolution_config " +
      "typed_dns_resolver_config bootstrap_extensions fatal_actions default_config_source " +
      "config_sources default_socket_interface certificate_provider_instances inline_headers " +
      "perf_tracing_file_path default_regex_engine xds_delegate_extension " +
      "xds_config_tracker_extension listener_manager application_log_config " +
      "grpc_async_client_manager_config memory_allocator_manager node_context_params",
    at: "",
    known:
      "node static_resources stats_config stats_flush_interval layered_runtime admin " +
      "bootstrap_extensions",
  },
  {
    message: "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
    fields: "listeners clusters secrets",
    at: "static_resources",
    known: "listeners clusters",
  },
  {
    message: "envoy.config.bootstrap.v3.Admin",
    fields:
      "access_log access_log_path profile_path address socket_options ignore_global_conn_limit " +
      "allow_paths",
    at: "admin",
    known: "access_log access_log_path profile_path address",
  },
  {
    message: "envoy.config.listener.v3.Listener",
    at: LISTENER,
    known:
      "name address stat_prefix filter_chains listener_filters metadata traffic_direction " +
      "per_connection_buffer_limit_bytes",
  },
  {
    message: "envoy.config.listener.v3.FilterChain",
    at: CHAIN,
    known: "name filters transport_socket",
  },
  {
    message: "envoy.config.listener.v3.Filter",
    at: `${CHAIN}.filters[0]`,
    known: "name typed_config",
  },
  {
    message: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    at: MANAGER,
    known:
      "stat_prefix codec_type route_config http_filters access_log generate_request_id " +
      "http_protocol_options http2_protocol_options server_name server_header_transformation",
    warned:
      "tracing stream_idle_timeout request_timeout request_headers_timeout drain_timeout " +
      "delayed_close_timeout common_http_protocol_options",
  },
  {
    message: "envoy.config.route.v3.RouteConfiguration",
    at: ROUTES,
    known: `name virtual_hosts validate_clusters ${EDITS}`,
  },
  {
    message: "envoy.config.route.v3.VirtualHost",
    at: HOST,
    known: `name domains routes metadata ${EDITS}`,
  },
  {
    message: "envoy.config.route.v3.Route",
    at: ROUTE,
    known: `name match route redirect direct_response metadata ${EDITS}`,
  },
  {
    message: "envoy.config.route.v3.RouteMatch",
    at: `${ROUTE}.match`,
    known: "prefix path safe_regex headers case_sensitive",
  },
  {
    message: "envoy.config.route.v3.RouteAction",
    at: `${ROUTE}.route`,
    known: "cluster weighted_clusters timeout prefix_rewrite host_rewrite_literal",
  },
  {
    message: "envoy.config.cluster.v3.Cluster",
    at: CLUSTER,
    known:
      "name type connect_timeout lb_policy load_assignment metadata dns_lookup_family " +
      "dns_refresh_rate respect_dns_ttl per_connection_buffer_limit_bytes " +
      "typed_extension_protocol_options transport_socket",
  },
  {
    message: "envoy.config.endpoint.v3.ClusterLoadAssignment",
    at: `${CLUSTER}.load_assignment`,
    known: "cluster_name endpoints",
  },
  {
    message: "envoy.config.endpoint.v3.LocalityLbEndpoints",
    at: LOCALITY,
    known: "locality metadata lb_endpoints",
  },
  {
    message: "envoy.config.endpoint.v3.LbEndpoint",
    at: `${LOCALITY}.lb_endpoints[0]`,
    known: "endpoint metadata",
  },
  {
    message: "envoy.config.endpoint.v3.Endpoint",
    at: `${LOCALITY}.lb_endpoints[0].endpoint`,
    known: "address hostname",
  },
  {
    message: "envoy.config.core.v3.SocketAddress",
    at: `${LISTENER}.address.socket_address`,
    known: "protocol address port_value ipv4_compat",
  },
  {
    message: "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    at: TLS_AT,
    known: "common_tls_context sni",
  },
  {
    message: "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
    at: `${TLS_AT}.common_tls_context`,
    known: "tls_certificates validation_context alpn_protocols",
  },
  {
    message: "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
    at: `${TLS_AT}.common_tls_context.validation_context`,
    known: "trusted_ca match_typed_subject_alt_names",
  },
  {
    message: "envoy.extensions.wasm.v3.PluginConfig",
    at: PLUGIN_AT,
    known:
      "name root_id vm_config configuration fail_open failure_policy reload_config " +
      "capability_restriction_config allow_on_headers_stop_iteration",
  },
  {
    message: "envoy.extensions.wasm.v3.VmConfig",
    at: `${PLUGIN_AT}.vm_config`,
    known:
      "vm_id runtime code configuration allow_precompiled nack_on_code_cache_miss " +
      "environment_variables",
  },
  {
    message: "envoy.config.core.v3.RemoteDataSource",
    at: REMOTE,
    known: "http_uri sha256 retry_policy",
  },
  {
    message: "envoy.config.core.v3.HttpUri",
    at: `${REMOTE}.http_uri`,
    known: "uri cluster timeout",
  },
  {
    message: "envoy.config.core.v3.RetryPolicy",
    at: `${REMOTE}.retry_policy`,
    known: "retry_back_off num_retries",
  },
];

const SHA256 = "a".repeat(64);
const CODE = {
  remote: {
    http_uri: { uri: "http://code.test/p.wasm", cluster: "web", timeout: "1s" },
    sha256: SHA256,
    retry_policy: { num_retries: 1 },
  },
};
const WITH_ALL: string = bootstrap({
  filter: { "@type": WASM, config: { vm_config: { code: CODE } } },
  cluster: {
    transport_socket: {
      name: "tls",
      typed_config: {
        "@type": "x/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni: "a.test",
        common_tls_context: { validation_context: {} },
      },
    },
  },
});

/** The message at that place of `root`. */
function messageAt(root: Json, place: string): Json {
  const keys = place.match(/\w+/g) ?? [];
  return keys.reduce((found, key) => found[key] as Json, root);
}

/** What stands in the file from the place on that a fault names. */
function textFrom(text: string, line: number, column: number): string {
  const lines = text.split("\n").slice(line - 1);
  return lines.join("\n").slice(column - 1);
}

function words(text: string): readonly string[] {
  return text === "" ? [] : text.split(" ");
}

for (const { message, fields, at, known, warned = "" } of CASES) {
  test(`each field of ${message} is read, or named with its place`, () => {
    const all =
      fields === undefined ? Object.keys(DESCRIPTOR[message]?.fields ?? {}) : words(fields);
    assert.ok(all.length > 2, `${message} has fields`);
    const outcome = { known: [] as string[], warned: [] as string[], refused: [] as string[] };
    for (const field of all) {
      const root = JSON.parse(WITH_ALL) as Json;
      const holder = messageAt(root, at);
      const isThere = Object.hasOwn(holder, field);
      // Last, so that nothing before it moves.
      if (!isThere) holder[field] = {};
      const text = JSON.stringify(root, null, 1);
      const { bootstrap: found, faults } = read(text);
      const place = at === "" ? field : `${at}.${field}`;
      const own = faults.filter(
        (fault) => / GL062[23]: (\S+) (is not supported|has no effect)/.exec(fault)?.[1] === place,
      );
      if (own.length === 0) {
        outcome.known.push(field);
        continue;
      }
      assert.equal(own.length, 1, faults.join("\n"));
      const [, line, column, severity] =
        /^envoy\.yaml:(\d+):(\d+): (\w+)/.exec(own[0] ?? "") ?? assert.fail();
      assert.ok(textFrom(text, Number(line), Number(column)).startsWith(`"${field}"`), own[0]);
      if (severity === "warning") outcome.warned.push(field);
      else {
        assert.equal(found, null, `${place} refuses the bootstrap`);
        outcome.refused.push(field);
      }
    }
    const among = (names: readonly string[]): string[] =>
      names.filter((name) => all.includes(name)).sort();
    assert.deepEqual(outcome.known.sort(), among(words(known)));
    assert.deepEqual(outcome.warned.sort(), among(words(warned)));
    assert.ok(outcome.refused.length > 0 || words(known).length >= all.length);
  });
}

/** Names of extensions that bootstraps of plug-in authors hold, by where they stand. */
const EXTENSIONS: readonly (readonly [at: string, holds: string, names: string])[] = [
  [
    `${MANAGER}.http_filters[0]`,
    "the HTTP filter",
    "adaptive_concurrency alternate_protocols_cache aws_lambda aws_request_signing " +
      "bandwidth_limit basic_auth buffer cache composite compressor connect_grpc_bridge " +
      "cors credential_injector csrf custom_response decompressor dynamic_forward_proxy " +
      "dynamic_modules ext_authz ext_proc fault file_system_buffer gcp_authn geoip golang " +
      "grpc_field_extraction grpc_http1_bridge grpc_json_transcoder grpc_stats grpc_web " +
      "gzip header_mutation header_to_metadata health_check ip_tagging json_to_metadata " +
      "jwt_authn kill_request local_ratelimit lua oauth2 on_demand original_src ratelimit " +
      "rate_limit_quota rbac set_filter_state set_metadata stateful_session tap " +
      "thrift_to_metadata upstream_codec",
  ],
  [
    `${CHAIN}.filters[0]`,
    "the network filter",
    "connection_limit direct_response dubbo_proxy echo ext_authz ext_proc generic_proxy " +
      "local_ratelimit meta_protocol_proxy mongo_proxy ratelimit rbac redis_proxy " +
      "set_filter_state sni_cluster sni_dynamic_forward_proxy thrift_proxy zookeeper_proxy",
  ],
  [
    `${LISTENER}.listener_filters[0]`,
    "the listener filter",
    "dynamic_modules http_inspector local_ratelimit original_dst original_src proxy_protocol",
  ],
  [
    `${CLUSTER}.transport_socket`,
    "the transport socket",
    "alts http_11_proxy proxy_protocol quic starttls tap tcp_stats",
  ],
  [`${MANAGER}.access_log[0]`, "the access logger", "fluentd grpc open_telemetry wasm"],
  [
    "bootstrap_extensions[0]",
    "the bootstrap extension",
    "dynamic_modules internal_listener reverse_tunnel",
  ],
];

/** A bootstrap with the extension at that place, alone or first of its list. */
function withExtension(at: string, extension: object): string {
  const root = JSON.parse(bootstrap({ filter: TYPED })) as Json;
  const [, before = "", last = ""] = /^(.*?)(\w+)(?:\[0\])?$/.exec(at) ?? [];
  const holder = messageAt(root, before);
  const others = (holder[last] ?? []) as readonly unknown[];
  holder[last] = at.endsWith("]") ? [extension, ...others.slice(1)] : extension;
  return JSON.stringify(root, null, 1);
}

for (const [at, holds, names] of EXTENSIONS) {
  test(`${holds} of each name is refused with its place, typed and as a TypedStruct`, () => {
    for (const name of words(names)) {
      const type = `envoy.extensions.any.${name}.v3.Config`;
      const struct = {
        "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
        ...{ type_url: `type.googleapis.com/${type}`, value: { anything: 1 } },
      };
      for (const typed_config of [{ "@type": `x/${type}`, anything: 1 }, struct]) {
        const text = withExtension(at, { name: "mine", typed_config });
        const { bootstrap: found, faults } = read(text);
        assert.equal(found, null);
        const fault = faults.find((each) => each.includes(`${at}: ${holds} ${type} is not`)) ?? "";
        const [, line, column] =
          /^envoy\.yaml:(\d+):(\d+): error GL0622: /.exec(fault) ?? assert.fail(faults.join("\n"));
        assert.match(textFrom(text, Number(line), Number(column)), /^\{\s*"name": "mine"/, fault);
      }
    }
  });
}
