import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import type { Plugin } from "../snapshot/snapshot.ts";
import { compileForEnvoy } from "./compile-envoy.ts";
import type { EnvoyConfig, GatewayView } from "./envoy-config.ts";

const NAME = "default/tag";
const PLUGIN: Plugin = {
  name: NAME,
  source: { kind: "WasmPlugin", namespace: "default", name: "tag" },
  module: { sha256: "01", path: "/modules/01.wasm" },
  configuration: "{}",
  rootId: "",
  vmId: "",
  failMode: "closed",
  env: {},
};

function compiled(more: Partial<Plugin>, way: Pick<GatewayView, "modules"> = {}): EnvoyConfig {
  const listener = { protocol: "HTTP", hosts: ["*"], routeTable: "a=b:80" } as const;
  const listeners = [80, 81].map((port) => ({ ...listener, port }));
  const gateway = { name: "a=b", labels: { a: "b" }, listeners, plugins: [NAME] };
  const snapshot = {
    ...EMPTY_SNAPSHOT,
    gateways: { "a=b": gateway },
    plugins: { [NAME]: { ...PLUGIN, ...more } },
  };
  const common = { labels: { a: "b" }, bindAddress: "::", portMap: {} };
  const view = { role: "gateway", ...common, ...way } as const;
  return compileForEnvoy(snapshot, view);
}

test("another module or configuration of a plug-in changes its resource, and no listener", () => {
  const before = compiled({});
  assert.deepEqual(Object.keys(before.extensions), ["plugin|default/tag"]);
  const cases: readonly Partial<Plugin>[] = [
    { module: { sha256: "02", path: "/modules/02.wasm" } },
    { configuration: '{"a":1}' },
    { env: { A: "1" } },
    { rootId: "other" },
  ];
  for (const more of cases) {
    const after = compiled(more);
    assert.deepEqual(after.listeners, before.listeners);
    assert.notDeepEqual(after.extensions, before.extensions);
  }
});

test("a listener names its plug-ins, and is blamed on them where it does", () => {
  const { listeners } = compiled({});
  assert.equal(Object.keys(listeners).length, 2);
  for (const { json, needs, parts } of Object.values(listeners)) {
    assert.ok(needs.includes("plugin|default/tag"));
    assert.match(JSON.stringify(json), /"name":"plugin\|default\/tag","config_discovery"/);
    assert.ok(!JSON.stringify(json).includes("01.wasm"));
    assert.ok(parts.some(({ source }) => source.name === "tag"));
  }
});

test("in place of a plug-in that was never taken stands what its fail mode says", () => {
  const cases = [
    ["closed", /"abort":\{"http_status":503,"percentage":\{"numerator":100,/],
    ["open", /HTTPFault"\}/],
  ] as const;
  for (const [failMode, words] of cases) {
    const { listeners, extensions } = compiled({ failMode });
    const standIn = extensions["plugin|default/tag"]?.standIn;
    assert.equal(standIn?.standIn, undefined);
    assert.match(JSON.stringify(standIn?.json), words);
    const [listener] = Object.values(listeners);
    const found = /"default_config":(.*),"type_urls"/.exec(JSON.stringify(listener?.json));
    assert.deepEqual(JSON.parse(found?.[1] ?? "null"), standIn?.json["typed_config"]);
  }
});

test("an Envoy elsewhere fetches a module by its digest, and keeps what it has meanwhile", () => {
  const { extensions, listeners } = compiled({}, { modules: "store" });
  const text = JSON.stringify(extensions["plugin|default/tag"]?.json);
  assert.ok(!text.includes("/modules/01.wasm"));
  assert.match(text, /"uri":"http:\/\/[a-z.]+\/wasm\/sha256\/01\.wasm","cluster":"store"/);
  assert.match(text, /"sha256":"01"\}\},"nack_on_code_cache_miss":true/);
  for (const { fetches } of Object.values(listeners)) {
    assert.deepEqual(
      fetches?.map(({ sha256 }) => sha256),
      ["01"],
    );
  }
  const { json, needs } = listeners["graylane-modules"] ?? {};
  assert.deepEqual(needs, ["plugin|default/tag"]);
  assert.equal(json?.["bind_to_port"], false);
});
