import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata } from "@grpc/grpc-js";
import { trustIn } from "./envoy-trust.ts";

const TOKEN = "a".repeat(64);

const CASES: readonly (readonly [name: string, field: string | null, want: string])[] = [
  ["the token", `Bearer ${TOKEN}`, "keys"],
  ["no field", null, "none"],
  ["Envoy's word for a variable that is not set", "Bearer -", "none"],
  ["an empty variable", "Bearer ", "none"],
  ["another token", `Bearer ${"b".repeat(64)}`, "wrong"],
  ["the beginning of the token", `Bearer ${TOKEN.slice(1)}`, "wrong"],
];

for (const [name, field, want] of CASES) {
  test(`whether an Envoy is told keys: ${name}: ${want}`, () => {
    const metadata = new Metadata();
    if (field !== null) metadata.set("authorization", field);
    assert.equal(trustIn(metadata, TOKEN), want);
  });
}

test("a control plane without a token tells nobody keys", () => {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${TOKEN}`);
  assert.equal(trustIn(metadata, undefined), "none");
});
