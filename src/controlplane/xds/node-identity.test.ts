import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "../../base/json.ts";
import { readIdentity } from "./node-identity.ts";

function identity(graylane: Json): ReturnType<typeof readIdentity> {
  return readIdentity({ id: "one", metadata: { graylane } });
}

test("a sidecar is known by its pod", () => {
  const view = { role: "sidecar", pod: "default/a-1" };
  assert.deepEqual(identity(view), { name: "one", view });
});

test("a gateway is known by its labels", () => {
  const said = { role: "gateway", labels: { a: "b" }, bind_address: "::1", ports: { "80": 81 } };
  const view = { role: "gateway", labels: { a: "b" }, bindAddress: "::1", portMap: { "80": 81 } };
  assert.deepEqual(identity(said), { name: "one", view });
});

test("who fetches modules says by which cluster", () => {
  const view = { role: "sidecar", pod: "default/a-1", modules: "graylane-modules" };
  assert.deepEqual(identity(view), { name: "one", view });
});

const FAULTS: readonly (readonly [said: Json, words: RegExp])[] = [
  [{}, /role must be "gateway" or "sidecar"; make the bootstrap with/],
  [{ role: "sidecar" }, /pod must be NAMESPACE\/NAME/],
  [{ role: "sidecar", pod: "a-1" }, /pod must be NAMESPACE\/NAME/],
  [{ role: "sidecar", pod: `a/${"b".repeat(600)}` }, /pod must be NAMESPACE\/NAME/],
  [{ role: "sidecar", pod: "a/b", modules: 1 }, /modules must be the name of a cluster/],
  [{ role: "gateway", labels: { a: 1 } }, /labels must be at most 64 texts/],
  [{ role: "gateway", bind_address: "here" }, /bind_address must be an IP address/],
  [{ role: "gateway", bind_address: "::1", ports: { a: 1 } }, /ports must be at most/],
];
for (const [said, words] of FAULTS) {
  test(`who does not say what it is gets told how: ${JSON.stringify(said).slice(0, 60)}`, () => {
    assert.match(JSON.stringify(identity(said)).replaceAll('\\"', '"'), words);
  });
}
