//! A bootstrap with one of each, for the tests of its reading.

import { formatFault } from "../../resources/format-fault.ts";
import { importBootstrap } from "../bootstrap.ts";
import type { EnvoyBootstrap } from "../bootstrap.ts";
import type { WasmCode } from "../wasm-filter.ts";

export const CODES: WasmCode[] = [];

export function read(text: string): { bootstrap: EnvoyBootstrap | null; faults: string[] } {
  const { bootstrap, faults } = importBootstrap(text, "envoy.yaml", (code) => {
    CODES.push(code);
    if (code.kind === "file" && code.path === "gone.wasm") return "there is no such file";
    return { sha256: "0".repeat(64), path: "/plugin.wasm" };
  });
  return { bootstrap, faults: faults.map(formatFault) };
}

const HCM =
  "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3." +
  "HttpConnectionManager";
export const WASM: string = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

export const PLUGIN: { readonly vm_config: object; readonly [field: string]: unknown } = {
  name: "p",
  root_id: "r",
  vm_config: {
    vm_id: "v",
    runtime: "envoy.wasm.runtime.v8",
    code: { local: { filename: "a.wasm" } },
    configuration: { "@type": "x/google.protobuf.Struct", value: { a: 1 } },
    environment_variables: { host_env_keys: ["HOME"], key_values: { A: "b" } },
  },
  configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: "text" },
};

export const TYPED: object = { "@type": WASM, config: PLUGIN };

interface Parts {
  readonly filter?: object;
  readonly route?: object;
  readonly listener?: object;
  readonly root?: object;
  readonly cluster?: object;
}

/** A bootstrap as JSON, which is YAML too: one filter, one route, one cluster. */
export function bootstrap(parts: Parts): string {
  const { filter = TYPED, route, listener = {}, root = {}, cluster = {} } = parts;
  const routes = [{ match: { prefix: "/" }, route: { cluster: "web" }, ...route }];
  const manager = {
    "@type": HCM,
    stat_prefix: "s",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [{ name: "wasm", typed_config: filter }, { name: "envoy.filters.http.router" }],
  };
  const address = (host: string, port: number): object => ({
    socket_address: { address: host, port_value: port },
  });
  const endpoint = { endpoint: { address: address("localhost", 8000) } };
  return JSON.stringify(
    {
      admin: { address: address("127.0.0.1", 9901) },
      static_resources: {
        listeners: [
          {
            name: "main",
            address: address("127.0.0.1", 10000),
            filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
            ...listener,
          },
        ],
        clusters: [
          {
            name: "web",
            type: "STRICT_DNS",
            load_assignment: { cluster_name: "web", endpoints: [{ lb_endpoints: [endpoint] }] },
            ...cluster,
          },
        ],
      },
      ...root,
    },
    null,
    1,
  );
}

export interface ListenerJson {
  name: string;
  address: { socket_address: { port_value: number } };
  filter_chains: [{ filters: [{ typed_config: ManagerJson }] }];
}

interface ManagerJson {
  access_log?: object[];
  route_config: { virtual_hosts: [object] };
}

export function logTo(path: string, settings: object = {}): object[] {
  const type = "x/envoy.extensions.access_loggers.file.v3.FileAccessLog";
  return [{ name: "log", typed_config: { "@type": type, path, ...settings } }];
}
