import assert from "node:assert/strict";
import { test } from "node:test";
import { formatJson, formatText } from "./access-log.ts";
import type { AccessLogEntry } from "./access-log.ts";

const entry: AccessLogEntry = {
  role: "gateway",
  startMs: Date.UTC(2026, 10, 21, 8, 0, 1) + 7,
  method: "GET",
  path: "/mock?x=1",
  protocol: "HTTP/1.1",
  status: 200,
  flags: "",
  bytesReceived: 0,
  bytesSent: 12,
  durationMs: 1.23456,
  upstreamMs: 0.9,
  forwardedFor: "",
  userAgent: "curl/8",
  requestId: "r-1",
  headers: [],
  authority: "localhost",
  upstream: "127.10.0.5:8000",
  cluster: "outbound|8000||mocka.default.svc.cluster.local",
  route: "default/vs/http[0]",
  laneGroup: "default/group",
  lane: "gray",
  reason: "rule",
  fallback: "",
};

test("a JSON line holds what is known, and nothing that is empty", () => {
  assert.deepEqual(JSON.parse(formatJson(entry)), {
    time: "2026-11-21T08:00:01.007Z",
    role: "gateway",
    method: "GET",
    path: "/mock?x=1",
    protocol: "HTTP/1.1",
    status: 200,
    bytesReceived: 0,
    bytesSent: 12,
    durationMs: 1.235,
    upstreamMs: 0.9,
    authority: "localhost",
    userAgent: "curl/8",
    requestId: "r-1",
    upstream: "127.10.0.5:8000",
    cluster: "outbound|8000||mocka.default.svc.cluster.local",
    route: "default/vs/http[0]",
    laneGroup: "default/group",
    lane: "gray",
    reason: "rule",
  });
});

test("a text line begins as Envoy's default format does", () => {
  assert.equal(
    formatText(entry),
    '[2026-11-21T08:00:01.007Z] "GET /mock?x=1 HTTP/1.1" 200 - 0 12 1 1 "-" "curl/8" "r-1" ' +
      '"localhost" "127.10.0.5:8000" "gray" rule "-" "default/vs/http[0]"\n',
  );
});

test("no request can forge a line or a field", () => {
  const userAgent = 'x" 200\n[fake] \\ \u007f\u00e9 {"a":1}';
  const hostile = { ...entry, userAgent };
  for (const format of [formatJson, formatText]) {
    const line = format(hostile);
    assert.match(line, /^[\x20-\x7e]*\n$/);
    assert.ok(line.includes('x\\" 200\\u000a[fake] \\\\ \\u007f\\u00e9'));
  }
  const parsed = JSON.parse(formatJson(hostile)) as { readonly userAgent: string };
  assert.equal(parsed.userAgent, userAgent);
});

test("request fields that were asked for are logged by name, escaped", () => {
  const headers = [
    ["x-user-id", '4"711'],
    ["x-name", "j\u00fcrgen"],
  ] as const;
  const parsed = JSON.parse(formatJson({ ...entry, headers })) as { readonly headers: unknown };
  assert.deepEqual(parsed.headers, { "x-user-id": '4"711', "x-name": "j\u00fcrgen" });
});
