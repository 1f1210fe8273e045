import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Json } from "../../base/json.ts";
import { DeltaRequestReader } from "./delta-request.ts";
import { EnvoyApi } from "./envoy-api.ts";
import { WireError } from "./wire.ts";

const REQUEST = "envoy.service.discovery.v3.DeltaDiscoveryRequest";
const api = EnvoyApi.load(join("generated", "envoy-api", "descriptor.json"));
const reader = new DeltaRequestReader(api);
const NONE = { typeUrl: "", subscribe: [], unsubscribe: [], initialVersions: new Map(), nonce: "" };

const CASES: Readonly<Record<string, { message: Json; node?: Json; request: object }>> = {
  nothing: { message: {}, request: {} },
  "who it is": {
    message: { node: { id: "a", metadata: { x: 1 } }, type_url: "t" },
    node: { id: "a", metadata: { x: 1 } },
    request: { typeUrl: "t" },
  },
  "names, also one that is no ASCII": {
    message: { resource_names_subscribe: ["a", "ünï"], resource_names_unsubscribe: ["b"] },
    request: { subscribe: ["a", "ünï"], unsubscribe: ["b"] },
  },
  "versions, also of a name that objects have anyway": {
    message: { initial_resource_versions: { a: "1", toString: "2", "": "" } },
    request: {
      initialVersions: new Map([
        ["a", "1"],
        ["toString", "2"],
        ["", ""],
      ]),
    },
  },
  "an answer": { message: { response_nonce: "7" }, request: { nonce: "7" } },
  "a refusal": {
    message: { response_nonce: "7", error_detail: { code: 13, message: "no" } },
    request: { nonce: "7", error: "no" },
  },
  "a refusal without a word": {
    message: { error_detail: { code: 13 } },
    request: { error: "no reason given" },
  },
};

for (const [what, { message, node, request }] of Object.entries(CASES)) {
  test(`a request is read as it was meant: ${what}`, () => {
    const said = reader.read(api.encode(REQUEST, message));
    assert.deepEqual(said.node, node);
    assert.deepEqual(said.request, { ...NONE, error: null, ...request });
  });
}

test("fields that are not known are left out, wherever they are", () => {
  const known = api.encode(REQUEST, { type_url: "t" });
  const entry = Buffer.from([0x2a, 8, 0x0a, 1, 0x61, 0x18, 5, 0x12, 1, 0x31]);
  const { request } = reader.read(Buffer.concat([Buffer.from([0x98, 6, 1]), known, entry]));
  assert.equal(request.typeUrl, "t");
  assert.deepEqual([...request.initialVersions], [["a", "1"]]);
});

test("bytes that are no such message are refused", () => {
  const whole = api.encode(REQUEST, { initial_resource_versions: { name: "version" } });
  for (let length = 1; length < whole.length; length++) {
    assert.throws(() => reader.read(whole.subarray(0, length)), WireError, `${length} bytes`);
  }
  // The key reaches behind its entry.
  assert.throws(() => reader.read(Buffer.from([0x2a, 3, 0x0a, 2, 0x61, 0x62])), WireError);
});
