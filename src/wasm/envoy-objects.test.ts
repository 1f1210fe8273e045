import assert from "node:assert/strict";
import { test } from "node:test";
import { ENVOY_OBJECTS, PARTS_OF_OBJECTS } from "./envoy-objects.ts";

/** Of each object something that it takes. */
const TAKEN: Readonly<Record<string, string>> = {
  "envoy.bool": "yes",
  "envoy.network.ip": "1.2.3.4",
  "envoy.network.transport_socket.http_11_proxy.info": "a.com:443,1.2.3.4:80",
  "envoy.network.transport_socket.original_dst_address": "1.2.3.4:80",
  "envoy.filters.listener.original_dst.local_ip": "1.2.3.4:80",
  "envoy.filters.listener.original_dst.remote_ip": "[::1]:80",
  "envoy.ai.llm_protocol.request": "ANTHROPIC_MESSAGES",
};

for (const [name, read] of ENVOY_OBJECTS) {
  test(`${name} stays what it is when the guest's memory changes`, () => {
    // As the host sees it: a part of a larger buffer.
    const memory = Buffer.from(` ${TAKEN[name] ?? "80"} `, "latin1");
    const stored = read(memory.subarray(1, -1));
    assert.ok(stored !== null);
    const before = stored.map(([part, value]) => [part, Buffer.from(value).toString("latin1")]);
    memory.fill("x");
    const later = stored.map(([part, value]) => [part, Buffer.from(value).toString("latin1")]);
    assert.deepEqual(later, before);
    const parts = stored.flatMap(([part]) => (part === "" ? [] : [part.slice(1)]));
    assert.deepEqual(parts, [...(PARTS_OF_OBJECTS.get(name)?.keys() ?? [])]);
  });
}
