//! Claims in the plug-in lane-filter: they count where Envoy's own filter says that it has verified
//! them, and nowhere else.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FilterProgram, RULES_HEADER } from "../../src/compile-envoy/filter-program.ts";
import { tokenExtensions } from "../../src/compile-envoy/token-claims.ts";
import { configurationOf } from "../../src/compile-envoy/own-extension.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { SIGNERS, keySet, token } from "../parity/tokens.ts";
import { startPlugin, testServices } from "../support/plugin.ts";

const CLAIMS = "x-graylane-claims";
const TOKEN = "x-graylane-token";
const PROOF = "metadata.filter_metadata.envoy.filters.http.jwt_authn.graylane.alg";
const HEAD = [
  [":authority", "shop.test"],
  [":path", "/"],
  [":method", "GET"],
] as const;
const FROM = { kind: "header", name: "authorization" } as const;
const SETTINGS = { keys: { kind: "inline", jwks: keySet() }, from: FROM } as const;

const program = new FilterProgram();
const added = program.add(
  {
    ...{ kind: "test", operator: "==", values: ["ann"] },
    operand: { kind: "claim", name: "sub" },
  },
  { trustedHops: 0, tokens: SETTINGS },
);
assert.equal(added.kind, "rule");
const { tokens } = program;
assert.ok(tokens !== null);

async function started(configuration: string): Promise<Plugin> {
  const services = testServices();
  const plugin = await startPlugin("lane-filter", configuration, services);
  assert.ok(plugin instanceof Plugin, services.lines.join("\n"));
  return plugin;
}

/** What the plug-in leaves of a request. */
function passed(
  plugin: Plugin,
  headers: readonly (readonly [string, string])[],
  proof: string,
): FakeStreamHost {
  const host = new FakeStreamHost([...HEAD, ...headers]);
  if (proof !== "") host.properties.set(PROOF, new TextEncoder().encode(proof));
  const stream = plugin.createStream(host);
  assert.ok(stream !== null);
  stream.onRequestHeaders(true);
  stream.finish();
  return host;
}

const encoded = (text: string): string => Buffer.from(text).toString("base64url");

const reader = await started(JSON.stringify(program.configuration()));

for (const [name, claims, proof, isMet] of [
  ["claims that Envoy has verified are read", '{"sub":"ann"}', "RS256", true],
  ["claims of a chain without that filter are a client's own", '{"sub":"ann"}', "", false],
  ["other claims do not meet the rule", '{"sub":"bob"}', "RS256", false],
  ["claims that are no JSON are none", '{"sub":"ann",}', "RS256", false],
  ["what has expired is not good", '{"sub":"ann","exp":1}', "RS256", false],
  ["what begins later is not good yet", '{"sub":"ann","nbf":99999999999}', "RS256", false],
] as const) {
  test(name, () => {
    const { request } = passed(reader, [[CLAIMS, encoded(claims)]], proof);
    assert.equal(request.get(RULES_HEADER) !== undefined, isMet);
  });
}

test("one request's claims do not count for the next one", () => {
  const { request } = passed(reader, [[CLAIMS, encoded('{"sub":"ann"}')]], "RS256");
  assert.notEqual(request.get(RULES_HEADER), undefined);
  assert.equal(passed(reader, [], "RS256").request.get(RULES_HEADER), undefined);
});

const place = { place: "gateway", source: { kind: "Gateway", namespace: "", name: "g" } };
const [offer, verification] = tokenExtensions(tokens, { path: "/p.wasm", sha256: "0" }, place);
assert.ok(offer !== undefined && verification !== undefined);
const giver = await started(configurationOf(offer.resource));
const good = token({ sub: "ann" });

for (const [name, headers, given] of [
  ["a token is handed over without its scheme", [["authorization", `Bearer ${good}`]], good],
  ["of two fields none is handed over", twice("a.b.c", good), undefined],
  ["not even of the same", twice(good, good), undefined],
  ["a client's own is not handed over", [[TOKEN, good]], undefined],
  ["a client's own claims are removed", [[CLAIMS, "e30"]], undefined],
  ["one of an algorithm with a shared secret is not", bearer({ alg: "HS256" }), undefined],
] as const satisfies readonly (readonly [
  string,
  readonly (readonly [string, string])[],
  string | undefined,
])[]) {
  test(name, () => {
    const { request } = passed(giver, headers, "");
    assert.equal(request.get(TOKEN), given);
    assert.equal(request.get(CLAIMS), undefined);
    const sent = headers.filter(([field]) => field === "authorization");
    assert.equal(request.get("authorization"), sent[0]?.[1], "the app's own token stays");
  });
}

function twice(one: string, other: string): readonly (readonly [string, string])[] {
  return [one, other].map((text) => ["authorization", `Bearer ${text}`]);
}

function bearer(parts: { readonly alg: string }): readonly (readonly [string, string])[] {
  return [["authorization", `Bearer ${token({ sub: "ann" }, parts)}`]];
}

for (const alg of Object.keys(SIGNERS)) {
  test(`a token of ${alg} is handed over`, () => {
    const signed = token({ sub: "ann" }, { alg });
    const { request } = passed(giver, [["authorization", `Bearer ${signed}`]], "");
    assert.equal(request.get(TOKEN), signed);
  });
}

test("Envoy refuses nobody for a token, and keeps what it says out of its metadata", () => {
  const text = JSON.stringify(verification.resource.json);
  assert.match(text, /"allow_missing_or_failed":\{\}/);
  assert.doesNotMatch(text, /payload_in_metadata/);
});
