import assert from "node:assert/strict";
import { test } from "node:test";
import { bootstrap, logTo, PLUGIN, read, WASM } from "./testing/bootstrap-json.ts";
import type { ListenerJson } from "./testing/bootstrap-json.ts";

test("metrics get labels, exchanges a log, answers a server and edits of hosts and tables", () => {
  const stats_config = {
    use_all_default_tags: true,
    stats_tags: [
      { tag_name: "value", regex: "(_value=([a-z]+))" },
      { tag_name: "place", fixed_value: "here" },
    ],
  };
  const root = JSON.parse(bootstrap({ root: { stats_config } })) as {
    static_resources: { listeners: ListenerJson[] };
  };
  const [filter] = root.static_resources.listeners[0]?.filter_chains[0].filters ?? assert.fail();
  const manager = filter.typed_config;
  const edits = (value: string): object => ({ header: { key: "x-a", value } });
  const [host] = manager.route_config.virtual_hosts;
  Object.assign(host, { response_headers_to_add: [edits("host")] });
  Object.assign(manager.route_config, {
    response_headers_to_add: [edits("table")],
    response_headers_to_remove: ["x-b"],
  });
  manager.access_log = logTo("/a", { log_format: { text_format: "%PROTOCOL%" } });
  const { bootstrap: found, faults } = read(JSON.stringify(root));
  assert.deepEqual(faults, []);
  assert.deepEqual(found?.accessLog, { path: "/a", format: "%PROTOCOL%" });
  assert.deepEqual(
    found.statTags.map(({ label }) => label),
    ["value", "place"],
  );
  assert.equal(found.snapshot.gateways["main"]?.listeners[0]?.serverName, "envoy");
  const [route] = found.snapshot.routeTables["main"]?.virtualHosts[0]?.routes ?? [];
  const add = [
    ["x-a", "host"],
    ["x-a", "table"],
  ];
  assert.deepEqual(route?.responseHeaders, { remove: ["x-b"], set: [], add });
});

for (const [form, settings, format] of [
  ["no format", {}, "envoy"],
  ["the old text", { format: "%PROTOCOL%" }, "%PROTOCOL%"],
  ["the old JSON", { json_format: { a: "%PROTOCOL%" } }, '{"a":"%PROTOCOL%"}'],
  ["JSON", { log_format: { json_format: { a: "%PROTOCOL%" } } }, '{"a":"%PROTOCOL%"}'],
  [
    "a source of text",
    { log_format: { text_format_source: { inline_string: "%PROTOCOL%" } } },
    "%PROTOCOL%",
  ],
  ["an operator that nobody knows", { log_format: { text_format: "%WEATHER%" } }, null],
  ["two formats", { format: "a", json_format: {} }, null],
] as const) {
  test(`an access log with ${form} is ${format === null ? "refused" : "read"}`, () => {
    const root = JSON.parse(bootstrap({})) as { static_resources: { listeners: ListenerJson[] } };
    const manager = root.static_resources.listeners[0]?.filter_chains[0].filters[0].typed_config;
    Object.assign(manager ?? assert.fail(), { access_log: logTo("/a", settings) });
    const { bootstrap: found, faults } = read(JSON.stringify(root, null, 1));
    assert.equal(found?.accessLog.format ?? null, format, faults.join("\n"));
    if (format === null) assert.match(faults.join("\n"), /^envoy\.yaml:\d+:\d+: error GL062[12]: /);
  });
}

test("what a plug-in may call, and how it stops, is the plug-in's", () => {
  const settings = {
    ...PLUGIN,
    capability_restriction_config: { allowed_capabilities: { proxy_log: {}, fd_write: {} } },
    allow_on_headers_stop_iteration: true,
  };
  const { bootstrap: found, faults } = read(
    bootstrap({ filter: { "@type": WASM, config: settings } }),
  );
  assert.deepEqual(faults, []);
  const plugin = found?.snapshot.plugins["main/0"];
  assert.deepEqual(plugin?.capabilities, ["fd_write", "proxy_log"]);
  assert.equal(plugin.stopsHeadersAlone, true);
});

test("what has no effect is read, with a warning that names its place", () => {
  const root = JSON.parse(bootstrap({})) as { static_resources: { listeners: ListenerJson[] } };
  const [filter] = root.static_resources.listeners[0]?.filter_chains[0].filters ?? assert.fail();
  Object.assign(filter.typed_config, { stream_idle_timeout: "5s", tracing: {} });
  const tcp = structuredClone(root.static_resources.listeners[0] ?? assert.fail());
  const proxy = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
  const typed_config = { "@type": proxy, stat_prefix: "t", cluster: "web", access_log: [] };
  const address = { socket_address: { address: "127.0.0.1", port_value: 10_001 } };
  root.static_resources.listeners.push({
    ...{ ...tcp, name: "tcp", address },
    filter_chains: [{ filters: [{ name: "tcp", typed_config }] }],
  } as unknown as ListenerJson);
  const { bootstrap: found, faults } = read(JSON.stringify(root, null, 1));
  assert.notEqual(found, null, faults.join("\n"));
  for (const field of ["tracing", "stream_idle_timeout", "access_log"]) {
    const warning = new RegExp(
      `^envoy\\.yaml:\\d+:\\d+: warning GL0623: .*\\.${field} has no effect`,
    );
    assert.ok(
      faults.some((fault) => warning.test(fault)),
      `${field}: ${faults.join("\n")}`,
    );
  }
  assert.equal(faults.length, 3);
});
