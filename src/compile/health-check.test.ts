import assert from "node:assert/strict";
import { test } from "node:test";
import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import { compileHealthCheck, HEALTH_CHECK_ANNOTATION } from "./health-check.ts";
import { MessageList } from "./messages.ts";

function read(text: string) {
  const messages = new MessageList();
  const annotations = { [HEALTH_CHECK_ANNOTATION]: text };
  const rule = {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: { name: "a", namespace: "default", annotations },
    spec: { host: "a" },
  } as DestinationRule;
  return { check: compileHealthCheck(rule, messages), messages: messages.sorted() };
}

const TIMES = { timeout: "1s", interval: "5s", unhealthy_threshold: 3, healthy_threshold: 2 };
const HTTP = { http_health_check: { path: "/healthz" } };
const check = (more: object): string => JSON.stringify({ ...TIMES, ...more });

test("what is not said is Envoy's default", () => {
  assert.deepEqual(read(check(HTTP)).check, {
    timeoutMs: 1_000,
    intervalMs: 5_000,
    unhealthyIntervalMs: 5_000,
    unhealthyEdgeIntervalMs: 5_000,
    healthyEdgeIntervalMs: 5_000,
    jitterMs: 0,
    jitterPercent: 0,
    initialJitterMs: 0,
    unhealthyThreshold: 3,
    healthyThreshold: 2,
    ask: {
      ...{ kind: "http", method: "GET", path: "/healthz", host: "" },
      ...{ statuses: [[200, 201]], retriable: [] },
    },
  });
});

test("every field is taken", () => {
  const http = {
    ...{ path: "/", host: "h", method: "HEAD", expected_statuses: [{ start: 200, end: 300 }] },
    retriable_statuses: [{ start: 503, end: 504 }],
  };
  const all = {
    ...{ unhealthy_interval: "1s", unhealthy_edge_interval: "0.5s", healthy_edge_interval: "2s" },
    ...{ interval_jitter: "0.1s", interval_jitter_percent: 10, initial_jitter: "3s" },
  };
  const found = read(check({ ...all, http_health_check: http }));
  assert.deepEqual(found.messages, []);
  assert.equal(found.check?.unhealthyEdgeIntervalMs, 500);
  assert.equal(found.check.jitterPercent, 10);
  const receive = [{ text: "0A" }];
  assert.deepEqual(
    read(check({ tcp_health_check: { send: { text: "ff" }, receive } })).check?.ask,
    {
      ...{ kind: "tcp", send: "ff", receive: ["0a"] },
    },
  );
  assert.deepEqual(read(check({ grpc_health_check: { service_name: "s" } })).check?.ask, {
    ...{ kind: "grpc", service: "s", authority: "" },
  });
});

const BAD: readonly (readonly [text: string, says: RegExp])[] = [
  ["{", /the text is no JSON object/],
  ["[]", /the text is no JSON object/],
  [JSON.stringify(HTTP), /interval is missing/],
  [check({}), /it needs one of http_health_check/],
  [check({ ...HTTP, tcp_health_check: {} }), /it needs one of/],
  [check({ ...HTTP, intervall: "1s" }), /intervall is no field that is known/],
  [check({ ...HTTP, interval: "5" }), /interval must be seconds such as "5s"/],
  [check({ ...HTTP, interval: "0.01s" }), /interval must be .* at least 100 ms/],
  [check({ ...HTTP, unhealthy_threshold: 0 }), /unhealthy_threshold must be a whole number/],
  [check({ ...HTTP, healthy_threshold: "2" }), /healthy_threshold must be a whole number/],
  [check({ http_health_check: [] }), /http_health_check must be an object/],
  [check({ http_health_check: {} }), /http_health_check\.path is missing/],
  [check({ http_health_check: { path: "x" } }), /path must begin with/],
  [check({ http_health_check: { path: "/", method: "FETCH" } }), /method FETCH is not one/],
  [
    check({ http_health_check: { path: "/", expected_statuses: [{ start: 300, end: 200 }] } }),
    /expected_statuses\[0\]\.end must be a whole number from 301/,
  ],
  [check({ tcp_health_check: { send: { text: "xyz" } } }), /bytes in hexadecimal/],
  [check({ tcp_health_check: { receive: {} } }), /receive must be a list/],
  [check({ grpc_health_check: { service_name: 1 } }), /service_name must be a text/],
];

for (const [text, says] of BAD) {
  test(`a health check that cannot be read is said, and none is made: ${String(says)}`, () => {
    const found = read(text);
    assert.equal(found.check, null);
    assert.equal(found.messages.length, 1);
    assert.equal(found.messages[0]?.code, "GL0269");
    assert.match(found.messages[0].message, says);
  });
}
