import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Json, JsonObject } from "../../base/json.ts";
import { EncodeError, EnvoyApi } from "./envoy-api.ts";
import { WireError } from "./wire.ts";

const api = EnvoyApi.load(join("generated", "envoy-api", "descriptor.json"));
const CLUSTER = "envoy.config.cluster.v3.Cluster";
const RESPONSE = "envoy.service.discovery.v3.DiscoveryResponse";

const CASES: readonly (readonly [what: string, type: string, value: Json])[] = [
  [
    "texts, enums, durations and wrappers",
    CLUSTER,
    {
      name: "ä",
      type: "EDS",
      connect_timeout: "1.25s",
      circuit_breakers: { thresholds: [{ max_requests: 4_294_967_295 }] },
      common_lb_config: { update_merge_window: "0s", healthy_panic_threshold: { value: 12.5 } },
    },
  ],
  [
    "maps and free-form metadata",
    CLUSTER,
    {
      metadata: { filter_metadata: { a: { list: ["x", 1, true, null, { deep: [] }] } } },
    },
  ],
  [
    "lists of numbers and numbers of 64 bits",
    "envoy.config.route.v3.RetryPolicy",
    {
      retriable_status_codes: [409, 503],
      num_retries: 0,
    },
  ],
  [
    "messages within Any, known by their type",
    RESPONSE,
    {
      resources: [
        { "@type": `type.googleapis.com/${CLUSTER}`, name: "one" },
        { "@type": "type.googleapis.com/google.protobuf.StringValue", value: "two" },
      ],
      nonce: "7",
    },
  ],
];

for (const [what, type, value] of CASES) {
  test(`what is encoded is decoded to the same: ${what}`, () => {
    const decoded = api.decode(type, api.encode(type, value));
    // Maps have no prototype.
    assert.deepEqual(JSON.parse(JSON.stringify(decoded)), value);
  });
}

test("a map's key may be the name of what objects have anyway", () => {
  const entry = Buffer.from("0a095f5f70726f746f5f5f12013a", "hex");
  const field = Buffer.from([0x2a, entry.length]);
  const type = "envoy.service.discovery.v3.DeltaDiscoveryRequest";
  const { initial_resource_versions: versions } = api.decode(
    type,
    Buffer.concat([field, entry]),
  ) as JsonObject;
  assert.deepEqual(Object.entries(versions ?? {}), [["__proto__", ":"]]);
});

test("bytes are those of Protocol Buffers", () => {
  const bytes = api.encode(CLUSTER, { name: "ab", type: "EDS", connect_timeout: "300s" });
  assert.equal(bytes.toString("hex"), "0a02616210032205" + "08ac02" + "1000");
});

const FAULTS: readonly (readonly [value: Json, words: RegExp])[] = [
  [{ nome: "x" }, /has no field nome/],
  [{ name: 1 }, /Cluster\.name: 1 is no string/],
  [{ type: "WEIRD" }, /"WEIRD" is no envoy\.config\.cluster/],
  [{ connect_timeout: 5 }, /connect_timeout/],
  [{ circuit_breakers: { thresholds: {} } }, /thresholds: a list is needed/],
  [{ circuit_breakers: { thresholds: [{ max_requests: -1 }] } }, /max_requests/],
  [{ typed_extension_protocol_options: { a: {} } }, /an object with @type is needed/],
  [null, /an object is needed/],
];

for (const [value, words] of FAULTS) {
  test(`a value that does not fit is refused: ${JSON.stringify(value)}`, () => {
    assert.throws(
      () => api.encode(CLUSTER, value),
      (error) => error instanceof EncodeError && words.test(error.message),
    );
  });
}

test("fields that are not known are left out", () => {
  assert.deepEqual(api.decode(CLUSTER, Buffer.from("fa3e0161" + "0a0161", "hex")), { name: "a" });
});

test("a message that is cut is refused", () => {
  const bytes = api.encode(CLUSTER, { name: "a name" });
  for (let length = 1; length < bytes.length; length++) {
    assert.throws(() => api.decode(CLUSTER, bytes.subarray(0, length)), WireError);
  }
});
