import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import type { Resource } from "../resources/object.ts";
import { withoutKeys } from "../snapshot/tls.ts";
import { compile } from "./compile.ts";

const TOKEN = "a-token-of-some-length";

function secret(content: object, namespace = "default"): Resource {
  const metadata = { name: "debug", namespace };
  return { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", ...content };
}

function compiled(secrets: readonly Resource[]) {
  const group: Resource = {
    apiVersion: "graylane.io/v1alpha1",
    kind: "LaneGroup",
    metadata: { name: "shop", namespace: "default" },
    spec: {
      entry: { gateways: [{ name: "edge" }] },
      services: [],
      baseline: {},
      fallback: "permissive",
      context: { mode: "header", routeHeader: "x-lane" },
      acceptFromClients: false,
      trace: { tokenFrom: { secretName: "debug", key: "token" } },
    },
  };
  const { snapshot, messages } = compile({ resources: [group, ...secrets], modules: new Map() });
  const own = messages.filter(({ code }) => code === "GL0352");
  const text = own.map(({ message, path }) => `${path}: ${message}`).join();
  return { snapshot, digest: snapshot.laneGroups["default/shop"]?.traceTokenDigest, text };
}

const DIGEST = createHash("sha256").update(TOKEN).digest("base64");

for (const [title, content] of [
  ["stringData", { stringData: { token: TOKEN } }],
  ["data in base64", { data: { token: Buffer.from(TOKEN).toString("base64") } }],
  ["a file with a line break at its end", { stringData: { token: `${TOKEN}\n` } }],
] as const) {
  test(`the debug token is read from ${title}, and neither it nor its digest is printed`, () => {
    const { snapshot, digest, text } = compiled([secret(content)]);
    assert.deepEqual([digest, text], [DIGEST, ""]);
    const printed = JSON.stringify(snapshot, withoutKeys);
    assert.ok(!printed.includes(TOKEN) && !printed.includes(DIGEST));
  });
}

for (const [title, secrets, says] of [
  ["no Secret", [], /trace\.tokenFrom: there is no Secret debug/],
  ["a Secret elsewhere", [secret({ stringData: { token: TOKEN } }, "other")], /no Secret debug/],
  ["no such entry", [secret({ stringData: { other: TOKEN } })], /has no entry token/],
  ["a short one", [secret({ stringData: { token: "short" } })], /has not 16 to 1024 characters/],
  ["one with a space", [secret({ stringData: { token: `${TOKEN} x` } })], /no header can carry/],
  ["one in Chinese", [secret({ stringData: { token: "李".repeat(20) } })], /no header can carry/],
] as const) {
  test(`a debug token that cannot be used is named: ${title}`, () => {
    const { digest, text } = compiled(secrets);
    assert.equal(digest, undefined);
    assert.match(text, says);
    assert.ok(!text.includes(TOKEN), "the token is shown");
  });
}
