import assert from "node:assert/strict";
import { test } from "node:test";
import { formatJson } from "./access-log.ts";
import { compileLogFormat, ENVOY_DEFAULT, ISTIO_DEFAULT } from "./log-format.ts";
import { NO_DETAILS } from "./access-log.ts";
import type { AccessLogDetails, AccessLogEntry } from "./access-log.ts";

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

function lineOf(format: string, logged: AccessLogEntry = entry): string {
  const compiled = compileLogFormat(format);
  assert.ok(typeof compiled !== "string", JSON.stringify(compiled));
  return compiled.line(logged);
}

const lines = [
  {
    name: "Envoy's default format",
    format: ENVOY_DEFAULT,
    is:
      '[2026-11-21T08:00:01.007Z] "GET /mock?x=1 HTTP/1.1" 200 - 0 12 1 1 "-" "curl/8" "r-1" ' +
      '"localhost" "127.10.0.5:8000"\n',
  },
  {
    name: "lanes",
    format: "%LANE_GROUP% %LANE% %LANE_REASON% %LANE_FALLBACK%",
    is: "default/group gray rule -\n",
  },
  { name: "a length", format: "%REQ(:PATH):5%|%DURATION:1%", is: "/mock|1\n" },
  { name: "a kept field, else another", format: "%REQ(x-user?user-agent)%", is: "curl/8\n" },
  { name: "a per cent sign", format: "100%% %ROLE%", is: "100% gateway\n" },
  {
    name: "a time of one's own",
    format: "%START_TIME(%d.%m.%Y %T.%3f %s)%",
    is: "21.11.2026 08:00:01.007 1795248001\n",
  },
  {
    name: "a JSON object, with numbers, nulls and texts",
    format:
      '{"code":"%RESPONSE_CODE%","flag":"%RESPONSE_FLAGS%","at":{"host":"to %UPSTREAM_HOST%"}}',
    is: '{"code":200,"flag":null,"at":{"host":"to 127.10.0.5:8000"}}\n',
  },
];
for (const { name, format, is } of lines) {
  test(`a format writes ${name}`, () => {
    assert.equal(lineOf(format), is);
  });
}

test("a format names the request fields that must be kept for it", () => {
  const compiled = compileLogFormat("%REQ(X-User?:PATH)% %REQ(X-B)% %REQ(USER-AGENT)%");
  assert.ok(typeof compiled !== "string");
  assert.deepEqual(compiled.fields, ["x-user", "x-b"]);
  const headers = [["x-user", "u7"]] as const;
  assert.equal(compiled.line({ ...entry, headers }), "u7 - curl/8\n");
});

const flags = [
  { flags: "no_route", status: 404, is: "NR no_route" },
  { flags: "overload", status: 503, is: "OM overload" },
  { flags: "bad_host", status: 400, is: "DPE bad_host" },
  { flags: "internal", status: 500, is: "- internal" },
  { flags: "", status: 200, is: "- via_upstream" },
  { flags: "", status: 301, upstreamMs: -1, is: "- direct_response" },
];
for (const { flags: flag, status, upstreamMs = 1, is } of flags) {
  test(`the flag ${flag || `of an answer ${status}`} is ${is} in a format`, () => {
    const line = lineOf("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%", {
      ...{ ...entry, flags: flag, status, upstreamMs },
    });
    assert.equal(line, `${is}\n`);
  });
}

const details: AccessLogDetails = {
  ...{ peer: "10.0.0.9:41000", local: "[::1]:443", client: "203.0.113.7:0", connectionId: 7 },
  ...{ serverName: "a.test", tlsVersion: "TLSv1.3", scheme: "https", attempts: 2 },
  certificate: { subject: "CN=client", uri: "spiffe://x/y", dnsName: null, sha256: "ab12" },
  ...{ upstreamLocal: "127.0.0.1:50000", upstreamFailure: "TLS_error:expired" },
  responseField: (name) => ({ server: "app" })[name] ?? null,
  responseTrailer: (name) => ({ "grpc-status": "14", "x-sum": "9" })[name] ?? null,
};

const detailed = [
  [
    "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "203.0.113.7:0 203.0.113.7",
  ],
  ["%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_PORT%", "10.0.0.9:41000 41000"],
  ["%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%", "::1 443"],
  ["%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_REMOTE_PORT%", "127.0.0.1:50000 8000"],
  ["%REQUESTED_SERVER_NAME% %DOWNSTREAM_TLS_VERSION% %CONNECTION_ID%", "a.test TLSv1.3 7"],
  ["%DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_URI_SAN%", "CN=client spiffe://x/y"],
  ["%DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_FINGERPRINT_256%", "- ab12"],
  ["%RESP(X-NONE?SERVER)% %TRAILER(X-SUM)% %REQ(:SCHEME)%", "app 9 https"],
  ["%GRPC_STATUS% %GRPC_STATUS_NUMBER%", "Unavailable 14"],
  ["%UPSTREAM_TRANSPORT_FAILURE_REASON% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "TLS_error:expired 2"],
] as const;
for (const [format, is] of detailed) {
  test(`a format with ${format} asks for more than a line of ours has`, () => {
    const compiled = compileLogFormat(format);
    assert.ok(typeof compiled !== "string", JSON.stringify(compiled));
    assert.ok(compiled.isDetailed);
    assert.equal(compiled.line(entry, details), `${is}\n`);
    assert.equal(compiled.line(entry), compiled.line(entry, NO_DETAILS));
  });
}

test("Istio's own format is taken as it is", () => {
  assert.equal(
    lineOf(ISTIO_DEFAULT),
    '[2026-11-21T08:00:01.007Z] "GET /mock?x=1 HTTP/1.1" 200 - via_upstream - "-" 0 12 1 1 "-" ' +
      '"curl/8" "r-1" "localhost" "127.10.0.5:8000" ' +
      "outbound|8000||mocka.default.svc.cluster.local - - - - default/vs/http[0]\n",
  );
  assert.equal(lineOf("istio"), lineOf(ISTIO_DEFAULT));
});

const refused = [
  { format: "%NOPE%", says: /^%NOPE%: not offered; there is START_TIME, REQ,/ },
  { format: "%RESP(:STATUS)%", says: /^%RESP\(:STATUS\)%: there is no :status here/ },
  { format: "%TRAILER(a b)%", says: /write TRAILER\(NAME\)/ },
  { format: "%HOSTNAME(1)%", says: /it takes no argument/ },
  { format: "%REQ(a b)%", says: /write REQ\(NAME\)/ },
  { format: "%REQ(:PORT)%", says: /there is no :port; take :METHOD/ },
  { format: "50% of", says: /^what begins at "% of" is no command; % is written %%/ },
  { format: "%PROTOCOL(1)%", says: /it takes no argument/ },
  { format: "%START_TIME(%Q)%", says: /%Q is not offered in a time; take %Y/ },
  { format: '{"a":1}', says: /a member of a JSON format is a text or an object, not number/ },
  { format: '{"a":', says: /JSON/ },
  { format: "x".repeat(16_385), says: /longer than 16384/ },
];
for (const { format, says } of refused) {
  test(`the format ${format.slice(0, 20)} is refused in words`, () => {
    const why = compileLogFormat(format);
    assert.match(typeof why === "string" ? why : "taken", says);
  });
}

test("no request can forge a line or a field", () => {
  const userAgent = 'x" 200\n[fake] \\ \u007f\u00e9 {"a":1}';
  const hostile = { ...entry, userAgent };
  const inJson = '{"a":"%REQ(USER-AGENT)%","b":"is %REQ(USER-AGENT)%"}';
  const made = [ENVOY_DEFAULT, inJson].map((format) => lineOf(format, hostile));
  for (const line of [formatJson(hostile), ...made]) {
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
