//! What is made of a request and its answer on their way: header operations, bodies, policies.

import type { ParityCase, ParityGroup } from "../case.ts";
import { routes, subsetsOf, to } from "../topology.ts";

const BASE = [to("a", "base")];

function at(path: string, more: object): object {
  return { match: [{ uri: { prefix: path } }], route: BASE, ...more };
}

function instead(path: string, more: object): object {
  return { match: [{ uri: { prefix: path } }], ...more };
}

const HEADERS: ParityGroup = {
  name: "header operations",
  objects: [
    routes([
      at("/set", {
        headers: {
          request: { set: { "x-a": "set", "X-Upper": "1", "x-pct": "50%", "x-utf": "李" } },
        },
      }),
      at("/add", { headers: { request: { add: { "x-a": "added", "x-new": "new" } } } }),
      at("/remove", { headers: { request: { remove: ["x-a", "X-B", "x-none"] } } }),
      at("/all", {
        headers: { request: { remove: ["x-a"], set: { "x-b": "s" }, add: { "x-a": "again" } } },
      }),
      at("/answer", {
        headers: {
          response: { set: { "x-one": "ours" }, add: { "x-two": "ours" }, remove: ["x-three"] },
        },
      }),
      at("/destination", {
        headers: { request: { set: { "x-a": "route" } }, response: { set: { "x-o": "route" } } },
        route: [
          {
            ...to("a", "base"),
            headers: {
              request: { set: { "x-a": "destination" }, add: { "x-b": "2" } },
              response: { add: { "x-o": "destination" } },
            },
          },
        ],
      }),
      at("/empty", { headers: { request: { set: { "x-a": "" } } } }),
      at("/auth", { headers: { request: { remove: ["authorization", "cookie"] } } }),
      instead("/moved", {
        redirect: { uri: "/x" },
        headers: { response: { set: { "x-o": "moved" } } },
      }),
      { route: BASE },
    ]),
    subsetsOf("a"),
  ],
  cases: [
    {
      name: "a request header is set over the client's",
      ask: { path: "/set", headers: [["x-a", "client"]] },
      want: { seen: { "x-a": "set", "x-upper": "1" } },
    },
    {
      name: "what only a proxy in front may say is not the client's",
      ask: {
        headers: [
          ["x-forwarded-host", "evil.test"],
          ["x-forwarded-port", "1"],
          ["x-forwarded-client-cert", "By=evil"],
        ],
      },
      want: {
        seen: {
          "x-forwarded-host": null,
          "x-forwarded-port": null,
          "x-forwarded-client-cert": null,
        },
      },
    },
    {
      name: "what steers Envoys is not the client's",
      ask: {
        headers: [
          ["x-envoy-retry-on", "5xx"],
          ["x-envoy-upstream-rq-timeout-ms", "1"],
          ["x-envoy-original-path", "/x"],
          ["x-envoy-decorator-operation", "x"],
        ],
      },
      want: {
        seen: {
          "x-envoy-retry-on": null,
          "x-envoy-upstream-rq-timeout-ms": null,
          "x-envoy-original-path": null,
          "x-envoy-decorator-operation": null,
        },
      },
    },
    {
      name: "a per cent sign in a value is itself",
      ask: { path: "/set" },
      want: { seen: { "x-pct": "50%" } },
    },
    { name: "a value beyond ASCII is UTF-8", ask: { path: "/set" }, want: { hops: "a-base" } },
    {
      name: "a request header is added beside the client's",
      ask: { path: "/add", headers: [["x-a", "client"]] },
      want: { seen: { "x-a": "client, added", "x-new": "new" } },
    },
    {
      name: "request headers are removed, whatever the case of their names",
      ask: {
        path: "/remove",
        headers: [
          ["x-a", "1"],
          ["X-B", "2"],
          ["x-c", "3"],
        ],
      },
      want: { seen: { "x-a": null, "x-b": null, "x-c": "3" } },
    },
    {
      name: "what is removed and added is there once",
      ask: { path: "/all", headers: [["x-a", "client"]] },
      want: { seen: { "x-a": "again", "x-b": "s" } },
    },
    {
      name: "response headers are set, added and removed",
      ask: {
        path: "/answer",
        headers: [["x-do", "header=x-one:app;header=x-two:app;header=x-three:app"]],
      },
      want: { headers: { "x-one": "ours", "x-two": "app, ours", "x-three": null } },
    },
    {
      name: "a destination's operations meet those of the route",
      ask: { path: "/destination", headers: [["x-b", "1"]] },
      want: {
        seen: { "x-a": "destination", "x-b": "1, 2" },
        headers: { "x-o": "route, destination" },
      },
    },
    {
      name: "an empty value is set",
      ask: { path: "/empty", headers: [["x-a", "client"]] },
      want: { seen: { "x-a": "" } },
    },
    {
      name: "authorization and cookie may be removed",
      ask: {
        path: "/auth",
        headers: [
          ["authorization", "Bearer x"],
          ["cookie", "a=1"],
        ],
      },
      want: { seen: { authorization: null, cookie: null } },
    },
    {
      name: "a redirect has the route's response headers",
      ask: { path: "/moved" },
      want: { status: 301, headers: { "x-o": "moved" } },
    },
    {
      name: "a field that is there twice goes on as it is",
      ask: {
        headers: [
          ["x-a", "1"],
          ["x-a", "2"],
        ],
      },
      want: { seen: { "x-a": "1, 2" } },
    },
    {
      name: "hop-by-hop fields go no further",
      ask: {
        headers: [
          ["connection", "x-a, keep-alive"],
          ["x-a", "1"],
          ["te", "trailers, deflate"],
          ["proxy-connection", "close"],
        ],
      },
      want: { seen: { "x-a": null, "proxy-connection": null } },
    },
    {
      name: "several cookies of an answer stay several",
      ask: { headers: [["x-do", "header=set-cookie:a=1;header=set-cookie:b=2"]] },
      want: { headers: { "set-cookie": "a=1,b=2" } },
    },
  ],
};

const MESSAGES: ParityGroup = {
  name: "methods, statuses, bodies",
  objects: [routes([{ route: BASE }]), subsetsOf("a")],
  cases: [
    ...["PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"].map((method): ParityCase => ({
      name: `${method} goes on as it is`,
      ask: { method },
      want: { method, hops: "a-base" },
    })),
    {
      name: "HEAD is answered without a body",
      ask: { method: "HEAD" },
      want: { text: "" },
    },
    {
      name: "a body goes on",
      ask: { method: "POST", body: "a=1&b=2" },
      want: { body: "a=1&b=2", seen: { "content-length": "7" } },
    },
    {
      name: "a large body goes on whole",
      ask: { method: "PUT", body: "0123456789".repeat(30_000) },
      want: { body: "0123456789".repeat(30_000) },
    },
    {
      name: "a chunked body goes on",
      ask: { method: "POST", body: "chunks", headers: [["transfer-encoding", "chunked"]] },
      want: { body: "chunks" },
    },
    ...[201, 404, 429, 500, 503].map((status): ParityCase => ({
      name: `the app's ${status} is passed on with its body`,
      ask: { headers: [["x-do", `status=${status}`]] },
      want: { status, hops: "a-base" },
    })),
    {
      name: "a long query goes on",
      ask: { path: `/?q=${"x".repeat(8_000)}` },
      want: { path: `/?q=${"x".repeat(8_000)}` },
    },
    {
      name: "x-graylane fields of a client go no further",
      ask: { headers: [["x-graylane-lane", "gray"]] },
      want: { seen: { "x-graylane-lane": null } },
    },
    {
      name: "an endpoint that closes without an answer",
      ask: { headers: [["x-do", "reset"]] },
      want: { status: 502, text: /^upstream_reset: / },
      onEnvoy: { status: 503, text: /^upstream connect error/ },
    },
  ],
};

const RETRY = { attempts: 2, retryOn: "5xx", backoff: "25ms" };
let lastId = 0;
const fresh = (word: string): string => `${word}-${(lastId += 1)}`;

function doing(what: string, more: readonly (readonly [string, string])[] = []) {
  return [["x-do", what] as const, ["x-id", fresh("retry")] as const, ...more];
}

const POLICIES: ParityGroup = {
  name: "timeouts, retries, mirrors, weights",
  objects: [
    routes([
      at("/timeout", { timeout: "0.3s" }),
      at("/retry", { retries: RETRY }),
      at("/none", { retries: { attempts: 0 } }),
      at("/gateway", { retries: { ...RETRY, retryOn: "gateway-error" } }),
      at("/codes", { retries: { ...RETRY, retryOn: "409,429" } }),
      at("/4xx", { retries: { ...RETRY, retryOn: "retriable-4xx" } }),
      at("/try", { retries: { attempts: 2, perTryTimeout: "0.25s", retryOn: "5xx" } }),
      at("/reset", { retries: { ...RETRY, retryOn: "reset" } }),
      at("/mirror", { mirrors: [{ destination: { host: "c" }, percentage: { value: 100 } }] }),
      at("/seldom", { mirrors: [{ destination: { host: "c" }, percentage: { value: 0 } }] }),
      at("/c", { route: [to("c")] }),
      at("/weights", {
        route: [
          { ...to("a", "gray"), weight: 0 },
          { ...to("a", "blue"), weight: 100 },
        ],
      }),
      at("/single", { route: [{ ...to("a", "gray"), weight: 0 }] }),
      at("/half", {
        route: [
          { ...to("nowhere"), weight: 0 },
          { ...to("a", "gray"), weight: 1 },
        ],
      }),
      { route: BASE },
    ]),
    subsetsOf("a"),
  ],
  replicas: { "c-blue": 0 },
  cases: [
    {
      name: "an answer that takes longer than the timeout is a 504",
      ask: { path: "/timeout", headers: [["x-do", "delay=1500"]] },
      want: { status: 504 },
    },
    {
      name: "an answer within the timeout is passed on",
      ask: { path: "/timeout", headers: [["x-do", "delay=50"]] },
      want: { hops: "a-base" },
    },
    {
      name: "a 5xx is tried again",
      ask: { path: "/retry", headers: doing("fail=503x2") },
      want: { headers: { "x-attempts": "3" } },
    },
    {
      name: "after the last attempt the app's own answer is passed on",
      ask: { path: "/retry", headers: doing("fail=500x9") },
      want: { status: 500, headers: { "x-attempts": "3" } },
    },
    {
      name: "a 4xx is not tried again for 5xx",
      ask: { path: "/retry", headers: doing("fail=404x1") },
      want: { status: 404, headers: { "x-attempts": "1" } },
    },
    {
      name: "no attempts: a 5xx is not tried again",
      ask: { path: "/none", headers: doing("fail=503x1") },
      want: { status: 503, headers: { "x-attempts": "1" } },
    },
    {
      name: "without retries of its own a 5xx is not tried again",
      ask: { headers: doing("fail=503x1") },
      want: { status: 503, headers: { "x-attempts": "1" } },
    },
    {
      name: "gateway-error is 502, 503 and 504",
      ask: { path: "/gateway", headers: doing("fail=502x1") },
      want: { headers: { "x-attempts": "2" } },
    },
    {
      name: "gateway-error is not 500",
      ask: { path: "/gateway", headers: doing("fail=500x1") },
      want: { status: 500, headers: { "x-attempts": "1" } },
    },
    {
      name: "status codes that retryOn names",
      ask: { path: "/codes", headers: doing("fail=429x1") },
      want: { headers: { "x-attempts": "2" } },
    },
    {
      name: "status codes that retryOn does not name",
      ask: { path: "/codes", headers: doing("fail=503x1") },
      want: { status: 503, headers: { "x-attempts": "1" } },
    },
    {
      name: "retriable-4xx is 409",
      ask: { path: "/4xx", headers: doing("fail=409x1") },
      want: { headers: { "x-attempts": "2" } },
    },
    {
      name: "each try has its time: the last one's end is a 504",
      ask: { path: "/try", headers: doing("delay=1200") },
      want: { status: 504 },
    },
    {
      name: "a body is sent again with each try",
      ask: { path: "/retry", method: "POST", body: "again", headers: doing("fail=503x1") },
      want: { body: "again", headers: { "x-attempts": "2" } },
    },
    {
      name: "a mirrored request reaches the other service",
      ask: [
        { path: "/mirror/x", headers: [["x-id", "mirrored"]] },
        { path: "/c", headers: [["x-count", "mirrored"]] },
      ],
      want: { text: /^[1-9]/ },
      isEventual: true,
    },
    {
      name: "a mirrored request is answered by its own destination",
      ask: { path: "/mirror/x" },
      want: { hops: "a-base" },
    },
    {
      name: "none of 0 % is mirrored",
      ask: [
        { path: "/seldom", headers: [["x-id", "seldom"]] },
        { path: "/c", headers: [["x-count", "seldom"]] },
      ],
      want: { text: "0" },
    },
    {
      name: "a destination of weight 0 gets nothing",
      ask: { path: "/weights" },
      want: { hops: "a-blue" },
    },
    {
      name: "the only destination gets everything, whatever its weight",
      ask: { path: "/single" },
      want: { hops: "a-gray" },
    },
    {
      name: "a missing service of weight 0 is not missed",
      ask: { path: "/half" },
      want: { hops: "a-gray" },
    },
  ],
};

export const MESSAGE_GROUPS: readonly ParityGroup[] = [HEADERS, MESSAGES, POLICIES];
