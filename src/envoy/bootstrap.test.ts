import assert from "node:assert/strict";
import { test } from "node:test";
import { withFlags } from "./node.ts";
import { bootstrap, CODES, logTo, PLUGIN, read, TYPED, WASM } from "./testing/bootstrap-json.ts";
import type { ListenerJson } from "./testing/bootstrap-json.ts";

const FORMS = [
  { name: "the typed form", filter: TYPED },
  {
    name: "a TypedStruct of udpa",
    filter: {
      "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
      type_url: WASM,
      value: { config: PLUGIN },
    },
  },
  {
    name: "a TypedStruct of xds",
    filter: {
      "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
      typeUrl: WASM,
      value: { config: PLUGIN },
    },
  },
];

for (const { name, filter } of FORMS) {
  test(`a Wasm filter in ${name} becomes a plug-in of the listener's gateway`, () => {
    const { bootstrap: read1, faults } = read(bootstrap({ filter }));
    assert.deepEqual(faults, []);
    assert.deepEqual(read1?.snapshot.gateways["main"]?.plugins, ["main/0"]);
    const plugin = read1.snapshot.plugins["main/0"];
    assert.deepEqual(
      { ...plugin, source: null, module: null },
      {
        ...{ name: "main/0", pluginName: "p", source: null, module: null, configuration: "text" },
        ...{ rootId: "r", vmId: "v", failMode: "closed", env: { A: "b" }, hostEnv: ["HOME"] },
        vmConfiguration: '{"a":1}',
      },
    );
  });
}

const SERVICE = "type.googleapis.com/envoy.extensions.wasm.v3.WasmService";

for (const singleton of [true, false]) {
  for (const [form, wrap] of [
    ["the typed form", (value: object) => ({ "@type": SERVICE, ...value })],
    [
      "a TypedStruct",
      (value: object) => ({ "@type": "x/udpa.type.v1.TypedStruct", type_url: SERVICE, value }),
    ],
  ] as const) {
    test(`a service in ${form}, singleton ${String(singleton)}, runs where it should`, () => {
      const typed_config = wrap({ singleton, config: PLUGIN });
      const root = { bootstrap_extensions: [{ name: "envoy.bootstrap.wasm", typed_config }] };
      const { bootstrap: found, faults } = read(bootstrap({ root }));
      assert.deepEqual(faults, []);
      const { singletons = null, snapshot } = found ?? {};
      const holder = singleton ? singletons : snapshot;
      assert.equal(holder?.plugins["service/0"]?.source.kind, "service");
      assert.equal(singletons === null, !singleton);
      assert.deepEqual(Object.keys(snapshot?.plugins ?? {}).length, singleton ? 1 : 2);
      assert.deepEqual(singletons?.gateways ?? {}, {}, "it opens no port");
    });
  }
}

test("listener, admin, cluster and endpoint are where the bootstrap says", () => {
  const { bootstrap: found } = read(bootstrap({}));
  assert.deepEqual(found?.listeners, [
    { name: "main", address: { host: "127.0.0.1", port: 10000 } },
  ]);
  assert.deepEqual(found.admin, { host: "127.0.0.1", port: 9901 });
  const [endpoint] = found.snapshot.endpoints["web"]?.endpoints ?? [];
  assert.deepEqual([endpoint?.address, endpoint?.port], ["localhost", 8000]);
});

test("what old files spell otherwise is read as Envoy reads it", () => {
  const filter = {
    "@type": WASM,
    config: { vm_config: { ...PLUGIN.vm_config, configuration: {} } },
  };
  const text = bootstrap({ filter }).replace('"STRICT_DNS"', '"strict-dns"');
  const { bootstrap: found, faults } = read(text);
  assert.deepEqual(faults, []);
  assert.equal(found?.snapshot.plugins["main/0"]?.vmConfiguration, undefined);
});

test("code may stand in the configuration itself", () => {
  CODES.length = 0;
  const vm = { code: { local: { inline_bytes: "AGFzbQ==" } } };
  read(bootstrap({ filter: { "@type": WASM, config: { vm_config: vm } } }));
  assert.deepEqual(CODES, [{ kind: "bytes", bytes: Buffer.from("\0asm") }]);
});

const NETWORK_FILTER = {
  name: "wasm",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
    config: PLUGIN,
  },
};

function tcpProxy(cluster: string): object {
  const type = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
  return { name: "tcp", typed_config: { "@type": type, stat_prefix: "t", cluster } };
}

function chain(filters: readonly object[]): object {
  return { filter_chains: [{ filters }] };
}

test("network filters stand before a TCP proxy, with the limit of their buffers", () => {
  const listener = {
    ...chain([NETWORK_FILTER, NETWORK_FILTER, tcpProxy("web")]),
    per_connection_buffer_limit_bytes: 4096,
  };
  const { bootstrap: found, faults } = read(bootstrap({ listener }));
  assert.deepEqual(faults, []);
  // They say the same: one plug-in, whose bytes go through twice.
  assert.deepEqual(Object.keys(found?.snapshot.plugins ?? {}), ["main/network/0"]);
  const plugins = ["main/network/0", "main/network/0"];
  assert.deepEqual(found?.snapshot.gateways["main"]?.listeners[0]?.network, {
    ...{ plugins, bufferBytesMax: 4096 },
    tcpProxy: { cluster: "web", idleTimeoutMs: 3_600_000 },
  });
});

test("a listener with HTTP alone has no network filters", () => {
  const { bootstrap: found } = read(bootstrap({}));
  assert.equal(found?.snapshot.gateways["main"]?.listeners[0]?.network, undefined);
});

function tlsSocket(validation_context: object, settings: object = {}): object {
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
  const typed_config = {
    ...{ "@type": type, ...settings },
    common_tls_context: { validation_context },
  };
  return { transport_socket: { name: "tls", typed_config } };
}

function httpOptions(explicit_http_config: object): object {
  const type = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  return {
    typed_extension_protocol_options: { [type]: { "@type": `x/${type}`, explicit_http_config } },
  };
}

for (const [form, cluster] of [
  ["http2_protocol_options", { http2_protocol_options: {} }],
  ["HttpProtocolOptions", httpOptions({ http2_protocol_options: {} })],
] as const) {
  test(`${form} means HTTP/2 to the endpoints`, () => {
    const { bootstrap: found, faults } = read(bootstrap({ cluster }));
    assert.deepEqual(faults, []);
    assert.equal(found?.snapshot.clusters["web"]?.protocol, "h2");
  });
}

const REMOTE_URI = { uri: "http://code.test/p.wasm", cluster: "web", timeout: "1s" };
const DIGEST = "a".repeat(64);

function remoteFilter(remote: object): object {
  return { "@type": WASM, config: { vm_config: { code: { remote } } } };
}

const REFUSED = [
  {
    name: "an expression without a group",
    parts: { root: { stats_config: { stats_tags: [{ tag_name: "a", regex: "b" }] } } },
    fault: /GL0621: stats_config\.stats_tags\[0\]\.regex is "b"; .*: it has no group/,
  },
  {
    name: "a matcher of metrics",
    parts: { root: { stats_config: { stats_matcher: { reject_all: true } } } },
    fault: /GL0622: stats_config\.stats_matcher is not supported/,
  },
  {
    name: "a dynamic configuration",
    parts: { root: { dynamic_resources: {} } },
    fault: /^envoy\.yaml:\d+:2: error GL0622: dynamic_resources is not supported/,
  },
  {
    name: "another extension",
    parts: { root: { bootstrap_extensions: [{ name: "x", typed_config: { "@type": "a/b.C" } }] } },
    fault: /GL0622: bootstrap_extensions\[0\]: the bootstrap extension b\.C is not supported/,
  },
  {
    name: "another filter",
    parts: { filter: { "@type": "x/envoy.extensions.filters.http.lua.v3.Lua" } },
    fault: /^envoy\.yaml:\d+:\d+: error GL0622: .*the HTTP filter envoy\.\S*Lua is not supported/,
  },
  {
    name: "another network filter",
    parts: {
      listener: { filter_chains: [{ filters: [{ name: "t", typed_config: { "@type": "x/T" } }] }] },
    },
    fault: /GL0622: .*the network filter T is not supported/,
  },
  {
    name: "a Wasm network filter at the end",
    parts: { listener: chain([NETWORK_FILTER]) },
    fault: /GL0622: .*a Wasm filter at the end of its chain is not supported/,
  },
  {
    name: "a filter behind a TCP proxy",
    parts: { listener: chain([tcpProxy("web"), tcpProxy("web")]) },
    fault: /GL0621: .*it must be no filter that another one follows/,
  },
  {
    name: "a TCP proxy to nowhere",
    parts: { listener: chain([tcpProxy("wob")]) },
    fault: /GL0621: .*cluster is "wob"; it must be the name of a cluster: web/,
  },
  {
    name: "a cluster that is not there",
    parts: { route: { route: { cluster: "wob" } } },
    fault: /GL0621: .*cluster is "wob"; it must be the name of a cluster: web/,
  },
  {
    name: "a file that is not there",
    parts: {
      filter: {
        "@type": WASM,
        config: { vm_config: { code: { local: { filename: "gone.wasm" } } } },
      },
    },
    fault: /GL0621: .*filename is "gone\.wasm"; .* there is no such file/,
  },
  {
    name: "remote code without a digest",
    parts: { filter: remoteFilter({ http_uri: REMOTE_URI }) },
    fault: /GL0621: .*remote\.sha256 is missing/,
  },
  {
    name: "remote code of no URL",
    parts: {
      filter: remoteFilter({ http_uri: { ...REMOTE_URI, uri: "plugin.wasm" }, sha256: DIGEST }),
    },
    fault: /GL0621: .*http_uri\.uri is "plugin\.wasm"; it must be a URL/,
  },
  {
    name: "remote code with retries that are not known",
    parts: {
      filter: remoteFilter({
        http_uri: REMOTE_URI,
        sha256: DIGEST,
        retry_policy: { retry_on: "5xx" },
      }),
    },
    fault: /GL0622: .*retry_policy\.retry_on is not supported/,
  },
  {
    name: "both fail modes at once",
    parts: {
      filter: {
        "@type": WASM,
        config: { ...PLUGIN, fail_open: true, failure_policy: "FAIL_OPEN" },
      },
    },
    fault: /GL0621: .*failure_policy is "FAIL_OPEN"; it must be left out beside fail_open/,
  },
  {
    name: "an authority that is no PEM",
    parts: { cluster: tlsSocket({ trusted_ca: { inline_string: "no PEM" } }, { sni: "a" }) },
    fault: /GL0621: .*trusted_ca is .*; it must be PEM: /,
  },
  {
    name: "an authority without the name that it vouches for",
    parts: { cluster: tlsSocket({ trusted_ca: { inline_string: "x" } }) },
    fault: /GL0621: .*sni is missing; it must be the name that the certificate must be for/,
  },
  {
    name: "a name that is matched otherwise than whole",
    parts: {
      cluster: tlsSocket({ match_typed_subject_alt_names: [{ matcher: { prefix: "a" } }] }),
    },
    fault: /GL0622: .*matcher\.prefix is not supported/,
  },
  {
    name: "another transport socket",
    parts: { cluster: { transport_socket: { name: "q", typed_config: { "@type": "x/Quic" } } } },
    fault: /GL0622: .*the transport socket Quic is not supported/,
  },
  {
    name: "HTTP/1.1 beside HTTP/2",
    parts: {
      cluster: httpOptions({ http_protocol_options: {}, http2_protocol_options: {} }),
    },
    fault: /GL0621: .*http2_protocol_options .*nothing beside http_protocol_options/,
  },
  {
    name: "a misspelt field",
    parts: { route: { route: { cluster: "web", timout: "1s" } } },
    fault: /GL0622: .*timout is not supported\n {2}fix: Is timeout meant\?/,
  },
];

for (const { name, parts, fault } of REFUSED) {
  test(`${name} is refused with its place`, () => {
    const { bootstrap: found, faults } = read(bootstrap(parts));
    assert.equal(found, null);
    assert.ok(
      faults.some((each) => fault.test(each)),
      faults.join("\n"),
    );
  });
}

test("redirects, direct answers and rewrites are the snapshot's", () => {
  const actions = [
    { redirect: { path_redirect: "/b", response_code: "FOUND" } },
    { direct_response: { status: 418, body: { inline_string: "tea" } } },
  ];
  const found = actions.map((action) => {
    const { bootstrap: each, faults } = read(bootstrap({ route: { route: undefined, ...action } }));
    assert.deepEqual(faults, []);
    return each?.snapshot.routeTables["main"]?.virtualHosts[0]?.routes[0]?.action;
  });
  assert.deepEqual(found, [
    { kind: "redirect", status: 302, path: "/b" },
    { kind: "direct", status: 418, body: "tea" },
  ]);
  const rewrite = { route: { cluster: "web", prefix_rewrite: "/x", timeout: "0.5s" } };
  const route = read(bootstrap({ route: rewrite })).bootstrap?.snapshot.routeTables["main"]
    ?.virtualHosts[0]?.routes[0];
  assert.deepEqual([route?.policy, route?.timeoutMs], [{ rewrite: { uri: "/x" } }, 500]);
});

const SECOND_LISTENERS: readonly {
  readonly name: string;
  readonly change: (second: ListenerJson, first: ListenerJson) => void;
  readonly fault: RegExp | null;
}[] = [
  {
    name: "with a name and port of its own",
    change: (second) => (second.name = "other"),
    fault: null,
  },
  {
    name: "with the name of the first",
    change: () => undefined,
    fault: /^envoy\.yaml:\d+:\d+: error GL0621: .*name is "main"; it must be a name that no other/,
  },
  {
    name: "at the port of the first",
    change(second, first) {
      second.name = "other";
      second.address = first.address;
    },
    fault: /^envoy\.yaml:\d+:\d+: error GL0621: port 10000 is taken twice/,
  },
  {
    name: "with another access log",
    change(second, first) {
      second.name = "other";
      second.filter_chains[0].filters[0].typed_config.access_log = logTo("/b");
      first.filter_chains[0].filters[0].typed_config.access_log = logTo("/a");
    },
    fault: /GL0622: static_resources\.listeners\[1\] logs to \/b, another one to \/a/,
  },
];

for (const { name, change, fault } of SECOND_LISTENERS) {
  test(`a second listener ${name} is ${fault === null ? "read" : "refused"}`, () => {
    const root = JSON.parse(bootstrap({})) as { static_resources: { listeners: ListenerJson[] } };
    const { listeners } = root.static_resources;
    const [first] = listeners;
    assert.ok(first !== undefined);
    const second = structuredClone(first);
    second.address.socket_address.port_value = 10_001;
    change(second, first);
    listeners.push(second);
    const { faults } = read(JSON.stringify(root, null, 1));
    if (fault === null) assert.deepEqual(faults, []);
    else assert.match(faults.join("\n"), fault);
  });
}

test("the node is read whole, and flags count before it; faults have their place", () => {
  const locality = { region: "r", zone: "z", sub_zone: "s" };
  const metadata = { NAMESPACE: "shop", PORTS: [80] };
  const root = { node: { id: "a", cluster: "c", locality, metadata, user_agent_name: "x" } };
  const node = read(bootstrap({ root })).bootstrap?.node ?? assert.fail();
  assert.deepEqual(node, {
    ...{ id: "a", cluster: "c", metadata },
    locality: { region: "r", zone: "z", subZone: "s" },
  });
  const flagged = withFlags(node, { id: "b", zone: "y" });
  assert.deepEqual([flagged.id, flagged.cluster, flagged.locality.zone], ["b", "c", "y"]);
  for (const [wrong, says] of [
    [{ metadata: ["x"] }, /envoy\.yaml:\d+:\d+.*node\.metadata/],
    [{ id: 7 }, /envoy\.yaml:\d+:\d+.*node\.id/],
    [{ names: "x" }, /envoy\.yaml:\d+:\d+.*names/],
    [{ locality: { city: "x" } }, /envoy\.yaml:\d+:\d+.*city/],
  ] as const) {
    const { faults } = read(bootstrap({ root: { node: wrong } }));
    assert.equal(faults.length, 1, faults.join());
    assert.match(faults[0] ?? "", says);
  }
});
