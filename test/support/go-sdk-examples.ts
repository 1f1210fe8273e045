//! The bootstraps that the end-to-end tests of proxy-wasm-go-sdk start Envoy with, at the ports that
//! they ask: 8001 for the admin endpoints, 18000 and 18001 for listeners.

import { httpListener, socketAddress, wasmFilter } from "./envoy.ts";

const ADMIN_PORT = 8001;
const PORT = 18_000;
const SECOND_PORT = 18_001;
/** Of the listener that stands for the upstream: its answers have Envoy's `server`. */
const STATIC_PORT = 18_099;
const LOCATION = { region: "ap-northeast-1", cloud_provider: "aws", az: "ap-northeast-1a" };
const TYPES = "type.googleapis.com/envoy.extensions";
const QUEUES = ["http_request_headers", "http_response_headers", "tcp_data_hashes"];

export interface ExampleSetting {
  /** The module with all plug-ins. */
  readonly module: string;
  /** Of a server that answers with the body that it gets. */
  readonly echoPort: number;
}

interface WasmFilter {
  readonly typed_config: { readonly config: { readonly vm_config: object } };
}

const TO_WEB = [{ match: { prefix: "/" }, route: { cluster: "web" } }];

/** By the name of the example, its whole bootstrap. */
export function exampleBootstraps(setting: ExampleSetting): Readonly<Record<string, object>> {
  const { module, echoPort } = setting;
  // Without a name, as in the SDK's examples: their lines begin with "wasm log: ".
  const plugin = (words: string, vmId = ""): object => ({
    ...wasmFilter("", module, words, vmId),
    name: "wasm",
  });
  const web = cluster("web", STATIC_PORT);
  const direct = (text: string): object => ({
    ...{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: text } } },
  });
  const upstream = { ...httpListener(STATIC_PORT, [], [direct("hello")]), name: "upstream" };
  const simple = (words: string, routes: readonly object[] = TO_WEB): object =>
    whole([httpListener(PORT, [plugin(words)], routes), upstream], [web]);
  const auth = (prefix: string, name: string): object => ({
    ...{ match: { prefix }, route: { cluster: "web" } },
    metadata: { filter_metadata: { "envoy.filters.http.wasm": { auth: name } } },
  });
  const host = (name: string, domain: string): object => ({
    ...{ name, domains: [domain], routes: [direct(`hello from ${name}`)] },
  });
  const calling = ["/", "/fails"].map((path) => plugin(`dispatch_call_on_tick ${path}`));
  const failing = { match: { prefix: "/fails" }, direct_response: { status: 503 } };
  const answering = httpListener(STATIC_PORT, [], [failing, direct("hello")]);
  const routing = httpListener(PORT, [plugin("http_routing")], []);
  const configured = plugin('vm_plugin_configuration {"name": "plugin configuration"}');
  Object.assign((configured as WasmFilter).typed_config.config.vm_config, {
    configuration: textValue('{"name": "vm configuration"}'),
  });
  const sender = (words: string): object => {
    return plugin(`${words} receiver ${QUEUES.join(" ")}`, "sender");
  };
  return {
    dispatch_call_on_tick: whole(
      [httpListener(PORT, calling, TO_WEB), { ...answering, name: "upstream" }],
      [web],
    ),
    foreign_call_on_tick: simple("foreign_call_on_tick"),
    helloworld: simple("helloworld"),
    http_auth_random: simple("http_auth_random"),
    http_body: whole(
      [httpListener(PORT, [plugin("http_body")], TO_WEB)],
      [cluster("web", echoPort)],
    ),
    http_headers: simple("http_headers"),
    http_routing: whole([withHosts(routing, [host("primary", "*"), host("canary", "canary")])], []),
    json_validation: simple("json_validation"),
    metrics: {
      ...simple("metrics"),
      stats_config: {
        stats_tags: ["value", "reporter"].map((name) => ({
          ...{ tag_name: name, regex: `(_${name}=([a-zA-Z]+))` },
        })),
      },
    },
    multiple_dispatches: simple("multiple_dispatches"),
    network: whole(
      [tcpListener(PORT, plugin("network")), upstream],
      [{ ...web, metadata: { filter_metadata: { location: LOCATION } } }],
    ),
    postpone_requests: simple("postpone_requests"),
    properties: simple("properties", [
      auth("/one", "cookie"),
      auth("/two", "authorization"),
      ...TO_WEB,
    ]),
    shared_data: simple("shared_data"),
    shared_queue: {
      ...whole(
        [
          httpListener(PORT, [sender("shared_queue")], TO_WEB),
          { ...tcpListener(SECOND_PORT, sender("shared_queue_tcp")), name: "second" },
          upstream,
        ],
        [web],
      ),
      bootstrap_extensions: QUEUES.map((queue) => receiver(queue, setting)),
    },
    vm_plugin_configuration: whole([httpListener(PORT, [configured], TO_WEB), upstream], [web]),
  };
}

function whole(listeners: readonly object[], clusters: readonly object[]): object {
  return {
    admin: { address: socketAddress(ADMIN_PORT) },
    static_resources: { listeners, clusters },
  };
}

function textValue(value: string): object {
  return { "@type": "type.googleapis.com/google.protobuf.StringValue", value };
}

function cluster(name: string, port: number): object {
  const endpoint = { address: socketAddress(port) };
  const load_assignment = { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] };
  return { name, type: "STATIC", connect_timeout: "5s", load_assignment };
}

function tcpListener(port: number, plugin: object): object {
  const { config } = (plugin as WasmFilter).typed_config;
  const proxy = {
    "@type": `${TYPES}.filters.network.tcp_proxy.v3.TcpProxy`,
    ...{ stat_prefix: "tcp", cluster: "web" },
  };
  const filters = [
    {
      name: "wasm",
      typed_config: { "@type": `${TYPES}.filters.network.wasm.v3.Wasm`, config },
    },
    { name: "tcp", typed_config: proxy },
  ];
  return { name: "tcp", address: socketAddress(port), filter_chains: [{ filters }] };
}

/** A service that takes what stands in one queue. */
function receiver(queue: string, { module }: ExampleSetting): object {
  const words = `shared_queue_receiver ${queue}`;
  const { config } = (wasmFilter("", module, words, "receiver") as WasmFilter).typed_config;
  const typed_config = { "@type": `${TYPES}.wasm.v3.WasmService`, singleton: true, config };
  return { name: "envoy.bootstrap.wasm", typed_config };
}

interface HttpListener {
  readonly filter_chains: readonly [
    { readonly filters: readonly [{ readonly typed_config: { route_config: object } }] },
  ];
}

function withHosts(listener: object, virtual_hosts: readonly object[]): object {
  const [{ filters }] = (listener as HttpListener).filter_chains;
  filters[0].typed_config.route_config = { name: "hosts", virtual_hosts };
  return listener;
}
