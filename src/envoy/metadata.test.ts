import assert from "node:assert/strict";
import { test } from "node:test";
import { formatFault } from "../resources/format-fault.ts";
import { importBootstrap } from "./bootstrap.ts";
import type { EnvoyBootstrap } from "./bootstrap.ts";

const HCM =
  "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3." +
  "HttpConnectionManager";
const INT64 = "type.googleapis.com/google.protobuf.Int64Value";

interface Parts {
  readonly listener?: object;
  readonly chain?: object;
  readonly host?: object;
  readonly route?: object;
  readonly cluster?: object;
}

function read(parts: Parts): { bootstrap: EnvoyBootstrap | null; faults: string[] } {
  const address = { socket_address: { address: "127.0.0.1", port_value: 1 } };
  const { listener, chain, host, route, cluster } = parts;
  const routes = [{ match: { prefix: "/" }, route: { cluster: "web" }, ...route }];
  const manager = {
    "@type": HCM,
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes, ...host }] },
    http_filters: [{ name: "envoy.filters.http.router" }],
  };
  const chains = [{ filters: [{ name: "http", typed_config: manager }], ...chain }];
  const text = JSON.stringify({
    static_resources: {
      listeners: [{ name: "main", address, filter_chains: chains, ...listener }],
      clusters: [{ name: "web", ...cluster }],
    },
  });
  const { bootstrap, faults } = importBootstrap(text, "envoy.yaml", () => "no module");
  return { bootstrap, faults: faults.map(formatFault) };
}

function written(name: string): object {
  return {
    filter_metadata: { space: { name } },
    typed_filter_metadata: { number: { "@type": INT64, value: "-3" } },
  };
}

function wanted(name: string): object {
  return {
    filter: { space: { name } },
    typed: { number: { typeUrl: INT64, value: "-3" } },
  };
}

test("metadata of every part is read as it is written", () => {
  const address = { socket_address: { address: "127.0.0.1", port_value: 1 } };
  const locality = { region: "r", zone: "z", sub_zone: "s" };
  const endpoint = { endpoint: { address }, metadata: written("endpoint") };
  const endpoints = [{ locality, metadata: written("locality"), lb_endpoints: [endpoint] }];
  const { bootstrap, faults } = read({
    listener: { traffic_direction: "inbound", metadata: written("listener") },
    chain: { name: "chain" },
    host: { metadata: written("host") },
    route: { metadata: written("route") },
    cluster: { metadata: written("cluster"), load_assignment: { endpoints } },
  });
  assert.deepEqual(faults, []);
  const { gateways, routeTables, clusters, endpoints: sets } = bootstrap?.snapshot ?? assert.fail();
  assert.deepEqual(gateways["main"]?.listeners[0]?.notes, {
    ...{ direction: "INBOUND", filterChainName: "chain", metadata: wanted("listener") },
  });
  const { metadata, routes } = routeTables["main"]?.virtualHosts[0] ?? assert.fail();
  assert.deepEqual(metadata, wanted("host"));
  assert.deepEqual(routes[0]?.metadata, wanted("route"));
  assert.deepEqual(clusters["web"]?.metadata, wanted("cluster"));
  assert.deepEqual(sets["web"]?.endpoints[0]?.notes, {
    locality: { region: "r", zone: "z", subZone: "s" },
    localityMetadata: wanted("locality"),
    metadata: wanted("endpoint"),
  });
});

test("what is wrong in metadata is named with its place", () => {
  const typed = (type: string, value: unknown): object => ({
    typed_filter_metadata: { x: { "@type": `type.googleapis.com/${type}`, value } },
  });
  for (const [metadata, says] of [
    [{ filter_metadata: { x: 7 } }, /filter_metadata\.x/],
    [{ labels: {} }, /metadata\.labels/],
    [typed("some.Type", {}), /typed_filter_metadata\.x[^]*some\.Type[^]*Int64Value/],
    [typed("google.protobuf.Duration", "1s"), /google\.protobuf\.Duration/],
    [typed("google.protobuf.Int32Value", "2147483648"), /whole number from -2147483648/],
    [typed("google.protobuf.UInt64Value", -1), /whole number from 0 to 18446744073709551615/],
    [typed("google.protobuf.DoubleValue", "much"), /a number/],
    [typed("google.protobuf.BytesValue", "%"), /base64/],
    [typed("google.protobuf.BoolValue", "yes"), /true or false/],
  ] as const) {
    const { faults } = read({ cluster: { metadata } });
    assert.equal(faults.length, 1, faults.join());
    assert.match(faults[0] ?? "", /^envoy\.yaml:\d+:\d+/);
    assert.match(faults[0] ?? "", says);
  }
});
