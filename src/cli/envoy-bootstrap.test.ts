import assert from "node:assert/strict";
import { test } from "node:test";
import { bootstrapOf } from "./envoy-bootstrap.ts";
import type { BootstrapOptions } from "./envoy-bootstrap.ts";

const COMMON = {
  ...{ xds: "127.0.0.1:15010", xdsMode: "delta", admin: "127.0.0.1:0", mapPort: [] },
};

function nodeOf(options: Partial<BootstrapOptions> & { readonly role: string }): unknown {
  const { node } = bootstrapOf({ ...COMMON, ...options }) as {
    readonly node: { readonly id: string; readonly metadata: { readonly graylane: unknown } };
  };
  return [node.id, node.metadata.graylane];
}

test("a gateway says its labels and where it listens", () => {
  const options = { role: "gateway", gateway: "istio=edge", mapPort: ["80=8080"] };
  const graylane = { labels: { istio: "edge" }, bind_address: "0.0.0.0", ports: { "80": 8080 } };
  assert.deepEqual(nodeOf(options), ["gateway-istio=edge", { role: "gateway", ...graylane }]);
});

test("a sidecar says its pod, in the namespace default unless it names another", () => {
  const cases = [
    ["a-1", "sidecar-a-1.default", "default/a-1"],
    ["a-1.shop", "sidecar-a-1.shop", "shop/a-1"],
    ["a.1.shop", "sidecar-a.1.shop", "shop/a.1"],
  ] as const;
  for (const [pod, id, key] of cases) {
    assert.deepEqual(nodeOf({ role: "sidecar", pod }), [id, { role: "sidecar", pod: key }]);
  }
});

test("the mode is the protocol that the Envoy speaks", () => {
  for (const [xdsMode, want] of [
    ["delta", "DELTA_GRPC"],
    ["sotw", "GRPC"],
  ] as const) {
    const made = bootstrapOf({ ...COMMON, role: "sidecar", pod: "a", xdsMode }) as {
      readonly dynamic_resources: { readonly ads_config: { readonly api_type: string } };
    };
    assert.equal(made.dynamic_resources.ads_config.api_type, want);
  }
});

test("modules are files beside the control plane, and fetched from elsewhere", () => {
  const common = { ...COMMON, role: "sidecar", pod: "a", id: "100%" };
  for (const [xds, modules, isFetched] of [
    ["127.0.0.1:15010", undefined, false],
    ["[::1]:15010", undefined, false],
    ["10.0.0.7:15010", undefined, true],
    ["graylane:15010", undefined, true],
    ["10.0.0.7:15010", "files", false],
    ["127.0.0.1:15010", "fetched", true],
  ] as const) {
    const way = modules === undefined ? {} : { modules };
    const text = JSON.stringify(bootstrapOf({ ...common, xds, ...way }));
    assert.equal(text.includes('"modules":"graylane-modules"'), isFetched, xds);
    assert.equal(text.includes('"key":"x-graylane-node","value":"100%%"'), isFetched, xds);
  }
});

const FAULTS: readonly (readonly [options: Partial<BootstrapOptions>, words: RegExp])[] = [
  [{ role: "router" }, /--role router: not a role/],
  [{ role: "gateway" }, /--gateway is missing/],
  [{ role: "gateway", gateway: "a" }, /--gateway a: not labels/],
  [{ role: "gateway", gateway: "a=b", pod: "p" }, /--pod is for --role sidecar/],
  [{ role: "gateway", gateway: "a=b", bind: "here" }, /--bind here: not an IP address/],
  [{ role: "sidecar" }, /--pod : not NAME or NAME\.NAMESPACE/],
  [{ role: "sidecar", pod: "a/b" }, /--pod a\/b: not NAME/],
  [{ role: "sidecar", pod: "a", gateway: "a=b" }, /--gateway is for --role gateway/],
  [{ role: "sidecar", pod: "a", bind: "::1" }, /--bind and --map-port are for/],
  [{ role: "sidecar", pod: "a", mapPort: ["1=2"] }, /--bind and --map-port are for/],
  [{ role: "sidecar", pod: "a", xds: "here" }, /--xds here: not HOST:PORT/],
  [{ role: "sidecar", pod: "a", xdsMode: "rest" }, /--xds-mode rest: not a mode/],
  [{ role: "sidecar", pod: "a", modules: "sent" }, /--modules sent: not a way/],
  [{ role: "sidecar", pod: "a", id: "" }, /--id: must have 1 to 253/],
];
for (const [options, words] of FAULTS) {
  test(`options that do not fit are named: ${JSON.stringify(options)}`, () => {
    assert.throws(() => bootstrapOf({ ...COMMON, role: "", ...options }), words);
  });
}

test("a control plane elsewhere is found by its address, or by its name in DNS", () => {
  for (const [xds, type, address] of [
    ["10.0.0.7:15010", "STATIC", "10.0.0.7"],
    ["[fd00::7]:15010", "STATIC", "fd00::7"],
    ["graylane.graylane-system:15010", "STRICT_DNS", "graylane.graylane-system"],
  ] as const) {
    const made = JSON.stringify(bootstrapOf({ ...COMMON, role: "sidecar", pod: "a", xds }));
    assert.ok(made.includes(`"type":"${type}"`), made);
    assert.ok(made.includes(`{"address":"${address}","port_value":15010}`), made);
  }
});
