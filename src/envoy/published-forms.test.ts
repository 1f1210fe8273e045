//! The forms in which SDKs publish the `envoy.yaml` of their examples (proxy-wasm-go-sdk,
//! proxy-wasm-rust-sdk, proxy-wasm-cpp-sdk, Envoy's own wasm-cc), all in one file of ours: each is
//! read without a fault, or named where it stands.

import assert from "node:assert/strict";
import { test } from "node:test";
import { read } from "./testing/bootstrap-json.ts";

const TYPES = "type.googleapis.com/envoy.extensions";
const MANAGER = `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`;

const FILE = `admin:
  access_log_path: "/dev/null"
  profile_path: /tmp/envoy.prof
  address: { socket_address: { address: 0.0.0.0, port_value: 8001 } }
static_resources:
  listeners:
    # Without a list, and without a name.
    address: { socket_address: { address: 0.0.0.0, port_value: 18000 } }
    filter_chains:
      - filters:
          - name: envoy.http_connection_manager
            typed_config:
              "@type": ${MANAGER}
              stat_prefix: ingress_http
              codec_type: auto
              route_config:
                name: httpbin
                virtual_hosts:
                  - name: httpbin
                    domains:
                      - "*"
                    routes:
                      - match:
                          prefix: "/one"
                        route: { cluster: httpbin }
                        metadata:
                          filter_metadata: { envoy.filters.http.wasm: { auth: "cookie" } }
                      - match: { prefix: "/" }
                        direct_response: { status: 200, body: { inline_string: "example\\n" } }
              http_filters:
                - name: envoy.filters.http.wasm
                  typed_config:
                    "@type": type.googleapis.com/udpa.type.v1.TypedStruct
                    type_url: ${TYPES}.filters.http.wasm.v3.Wasm
                    value:
                      config:
                        configuration:
                          "@type": type.googleapis.com/google.protobuf.StringValue
                          value: |
                            { "monitor_mode": false }
                        fail_open: true
                        vm_config:
                          runtime: "envoy.wasm.runtime.v8"
                          allow_precompiled: true
                          code: { local: { filename: "./examples/main.wasm" } }
                - name: envoy.filters.http.router
                  typed_config: {}
  clusters:
    - name: httpbin
      connect_timeout: 5000s
      type: strict_dns
      lb_policy: round_robin
      http2_protocol_options: {}
      load_assignment:
        cluster_name: mock_service
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address: { socket_address: { address: httpbin.org, port_value: 80 } }
                  hostname: "httpbin.org"
    - name: egress-router1
      connect_timeout: 30s
      type: LOGICAL_DNS
      dns_lookup_family: V4_ONLY
      load_assignment:
        cluster_name: egress-router1
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 80 } } }
`;

test("an envoy.yaml in the forms of the SDKs' examples is read as it stands", () => {
  const { bootstrap, faults } = read(FILE);
  assert.deepEqual(faults, []);
  const { gateways, plugins, clusters, routeTables } = bootstrap?.snapshot ?? assert.fail();
  assert.equal(Object.keys(gateways).length, 1);
  const [plugin] = Object.values(plugins);
  assert.equal(plugin?.failMode, "open");
  assert.equal(plugin.configuration, '{ "monitor_mode": false }\n');
  assert.deepEqual(Object.keys(clusters).sort(), ["egress-router1", "httpbin"]);
  const [table] = Object.values(routeTables);
  assert.equal(table?.virtualHosts[0]?.routes.length, 2);
});

const LUA = `- name: envoy.filters.http.lua
                  typed_config:
                    "@type": ${TYPES}.filters.http.lua.v3.Lua
                - name: envoy.filters.http.router`;

for (const { what, from, to, start, named } of [
  {
    what: "a plug-in that is an access log",
    start: "name: envoy.access_loggers.wasm",
    from: "              http_filters:",
    to: `              access_log:
                - name: envoy.access_loggers.wasm
                  typed_config: { "@type": ${TYPES}.access_loggers.wasm.v3.WasmAccessLog }
              http_filters:`,
    named: "the access logger envoy.extensions.access_loggers.wasm.v3.WasmAccessLog",
  },
  {
    what: "a Lua filter",
    start: "name: envoy.filters.http.lua",
    from: "- name: envoy.filters.http.router",
    to: LUA,
    named: "the HTTP filter envoy.extensions.filters.http.lua.v3.Lua",
  },
  {
    what: "filters of a cluster",
    start: "http_filters: \\[]",
    from: "      http2_protocol_options: {}",
    to: `      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": ${TYPES}.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
          http_filters: []`,
    named: ".http_filters",
  },
  {
    what: "the configuration of a filter in the form of Envoy's second API",
    start: "config:",
    from: '            typed_config:\n              "@type"',
    to: '            config:\n              "@type"',
    named: ".filters[0].config",
  },
  {
    what: "a cluster's hosts in the form of Envoy's second API",
    start: "hosts:",
    from: "      connect_timeout: 5000s",
    to: "      hosts: [{ socket_address: { address: 127.0.0.1, port_value: 8099 } }]",
    named: ".hosts",
  },
] as const) {
  test(`${what} is named where it stands`, () => {
    const text = FILE.replace(from, to);
    const lines = text.slice(0, text.search(new RegExp(`(?<=^[ -]*)${start}`, "m")));
    const { bootstrap, faults } = read(text);
    assert.equal(bootstrap, null);
    const column = lines.length - lines.lastIndexOf("\n");
    const place = `envoy.yaml:${lines.split("\n").length}:${column}`;
    const [found = ""] = faults.filter((fault) => fault.includes(`${named} is not supported`));
    assert.ok(found.startsWith(`${place}: error GL0622: `), `${place}: ${faults.join("\n")}`);
  });
}
