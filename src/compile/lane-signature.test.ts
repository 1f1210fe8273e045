import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../resources/object.ts";
import { withoutKeys } from "../snapshot/tls.ts";
import { compile } from "./compile.ts";

const KEY = "k".repeat(32);
const OTHER = "o".repeat(40);

function object(kind: string, name: string, content: object, namespace = "default"): Resource {
  const apiVersion = kind === "Secret" ? "v1" : "graylane.io/v1alpha1";
  return { apiVersion, kind, metadata: { name, namespace }, ...content };
}

const lane = (name: string): Resource =>
  object("Lane", name, {
    spec: { group: "shop", selector: { matchLabels: { lane: name } }, enabled: true, priority: 0 },
  });
const secret = (stringData: object, more: object = {}, namespace = "default"): Resource =>
  object("Secret", "keys", { type: "Opaque", stringData, ...more }, namespace);
const laneGroup = (signed: object, baseline: object = {}): Resource =>
  object("LaneGroup", "shop", {
    spec: {
      entry: { gateways: [{ name: "edge" }] },
      services: [],
      baseline,
      fallback: "permissive",
      context: {
        mode: "header",
        routeHeader: "x-lane",
        signed: { secretName: "keys", epoch: 2, lifetimeSeconds: 60, ...signed },
      },
      acceptFromClients: false,
    },
  });

function compiled(signed: object, secrets: readonly Resource[], baseline: object = {}) {
  const resources = [laneGroup(signed, baseline), lane("gray"), lane("base"), ...secrets];
  const { snapshot, messages } = compile({ resources, modules: new Map() });
  const own = messages.filter(({ code }) => code.startsWith("GL035"));
  const group = snapshot.laneGroups["default/shop"];
  return {
    snapshot,
    ids: group?.signature?.keys.map(({ id }) => id),
    signature: group?.signature,
    open: group?.lanes.filter(({ enabled }) => enabled).map(({ name }) => name),
    codes: own.map(({ code }) => code),
    text: own.map(({ message, path }) => `${path}: ${message}`).join("\n"),
  };
}

describe("a lane group with signed contexts", () => {
  test("has the keys of its Secret, its epoch and its lifetime", () => {
    const { signature, codes, open } = compiled({}, [secret({ a: KEY })]);
    const signingSecret = Buffer.from(KEY).toString("base64");
    assert.deepEqual(signature, {
      keys: [{ id: "a", signingSecret }],
      epoch: 2,
      lifetimeMs: 60_000,
    });
    assert.deepEqual(codes, []);
    assert.deepEqual(open, ["base", "gray"]);
  });

  test("signs with the last key by name, or with the one that it names", () => {
    const secrets = [secret({ "2026-01": KEY, "2026-03": KEY, "2026-02": KEY })];
    assert.deepEqual(compiled({}, secrets).ids, ["2026-03", "2026-02", "2026-01"]);
    const named = compiled({ signWith: "2026-01" }, secrets);
    assert.deepEqual(named.ids, ["2026-01", "2026-03", "2026-02"]);
  });

  test("reads data in base64, and stringData before it", () => {
    const data = { data: { a: Buffer.from(KEY).toString("base64"), b: "AAAA" } };
    const { signature, codes } = compiled({}, [secret({ b: OTHER }, data)]);
    const secretOf = (text: string): string => Buffer.from(text).toString("base64");
    assert.deepEqual(signature?.keys, [
      { id: "b", signingSecret: secretOf(OTHER) },
      { id: "a", signingSecret: secretOf(KEY) },
    ]);
    assert.deepEqual(codes, []);
  });

  test("does not use a key that is too short, and signs with one that is not", () => {
    const { ids, codes, text, open } = compiled({}, [secret({ a: KEY, b: "short" })]);
    assert.deepEqual(ids, ["a"]);
    assert.deepEqual(codes, ["GL0351"]);
    assert.match(text, /^spec\.context\.signed\.secretName: the entry b of the Secret keys is sh/);
    assert.deepEqual(open, ["base", "gray"]);
  });

  test("uses 16 keys and no more, the one that signs among them", () => {
    const names = Array.from({ length: 18 }, (_none, at) => `k${String(at).padStart(2, "0")}`);
    const all = Object.fromEntries(names.map((name) => [name, KEY]));
    const { ids, codes } = compiled({ signWith: "k00" }, [secret(all)]);
    assert.deepEqual(ids, ["k00", ...names.slice(3).reverse()]);
    assert.deepEqual(codes, ["GL0351", "GL0351"]);
  });

  const unusable = [
    { name: "no Secret", secrets: [], says: /signed: there is no Secret keys in the group's/ },
    { name: "a Secret elsewhere", secrets: [secret({ a: KEY }, {}, "other")], says: /no Secret/ },
    { name: "a Secret without a key", secrets: [secret({})], says: /has no key of 32 bytes/ },
    { name: "a short key", secrets: [secret({ a: "x" })], says: /keys has no key of 32 bytes/ },
    {
      name: "no key of the name that signs",
      signed: { signWith: "z" },
      secrets: [secret({ a: KEY })],
      says: /the Secret keys has no key z of 32 bytes/,
    },
    {
      name: "a short key of the name that signs",
      signed: { signWith: "z" },
      secrets: [secret({ a: KEY, z: "short" })],
      says: /the Secret keys has no key z of 32 bytes/,
    },
  ];
  for (const { name, signed = {}, secrets, says } of unusable) {
    test(`with ${name} closes its lanes, believes nothing, and says why`, () => {
      const { ids, open, codes, text } = compiled(signed, secrets);
      assert.deepEqual(ids, []);
      assert.deepEqual(open, []);
      assert.ok(codes.includes("GL0350"), codes.join());
      assert.match(text, says);
      assert.doesNotMatch(text, new RegExp(KEY));
      assert.deepEqual(compiled(signed, secrets, { lane: "base" }).open, ["base"]);
    });
  }

  test("shows no key where the snapshot is printed", () => {
    const { snapshot } = compiled({}, [secret({ a: KEY })]);
    const printed = JSON.stringify(snapshot, withoutKeys);
    assert.match(printed, /"id":"a"/);
    assert.ok(!printed.includes(Buffer.from(KEY).toString("base64")));
  });
});
