import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";

import { SeededPrng } from "../base/prng.ts";
import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Route, RouteMatch, RouteTable, WeightedDestination } from "../snapshot/snapshot.ts";
import { explainNoMatch } from "./explain.ts";
import { hostOf, matchRoute, pickDestination, prepareRouteTable } from "./route.ts";
import type { RouteRequest } from "./route.ts";

function route(id: string, ...matches: RouteMatch[]): Route {
  return {
    id,
    label: "",
    source: { kind: "VirtualService", namespace: "default", name: "vs" },
    matches,
    action: { kind: "direct", status: 200, body: "" },
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
    timeoutMs: 0,
  };
}

function table(hosts: Readonly<Record<string, readonly Route[]>>): RouteTable {
  const virtualHosts = Object.entries(hosts).map(([domain, routes]) => ({
    domains: [domain],
    routes,
  }));
  return { name: "istio=ingressgateway:80", virtualHosts };
}

function request(
  path: string,
  headers: Readonly<Record<string, string | readonly string[]>> = {},
  more: Partial<RouteRequest> = {},
): RouteRequest {
  return {
    method: "GET",
    path,
    authority: "localhost",
    header: (name) => headers[name],
    ...more,
  };
}

const exact = (value: string) => ({ kind: "exact" as const, value });
const prefix = (value: string) => ({ kind: "prefix" as const, value });
const regex = (value: string) => ({ kind: "regex" as const, value });
const header = (name: string, value: string): RouteMatch => ({
  headers: [{ name, match: exact(value) }],
});

const seed = prepareRouteTable(
  table({
    "*": [
      route("vs/http[0]", { ...header("x-user-id", "jason"), uri: exact("/") }),
      route("vs/http[1]", { ...header("x-asm-prefer-tag", "s2"), uri: exact("/") }),
      route("vs/http[2]", { ...header("x-asm-prefer-tag", "s1"), uri: exact("/") }),
    ],
  }),
);

const seedCases = [
  { path: "/", headers: { "x-user-id": "jason" }, want: "vs/http[0]" },
  { path: "/", headers: { "x-user-id": "jason", "x-asm-prefer-tag": "s1" }, want: "vs/http[0]" },
  { path: "/?a=b", headers: { "x-user-id": "bob", "x-asm-prefer-tag": "s2" }, want: "vs/http[1]" },
  { path: "/", headers: { "x-asm-prefer-tag": "s1" }, want: "vs/http[2]" },
  { path: "/", headers: { "x-user-id": ["bob", "jason"] }, want: "vs/http[0]" },
  { path: "/", headers: { "x-asm-prefer-tag": ["s1", "s2"] }, want: "vs/http[1]" },
  { path: "/", headers: { "x-user-id": ["bob", "ann"] }, want: undefined },
  { path: "/", headers: { "x-user-id": "bob" }, want: undefined },
  { path: "/a", headers: { "x-asm-prefer-tag": "s1" }, want: undefined },
];
for (const { path, headers, want } of seedCases) {
  test(`${path} with ${JSON.stringify(headers)} takes ${want ?? "no route"}`, () => {
    assert.equal(matchRoute(seed, request(path, headers))?.id, want);
  });
}

test("a request that no route takes is told the first failed condition of every route", () => {
  assert.deepEqual(explainNoMatch(seed, request("/", { "x-user-id": "bob" })), [
    'vs/http[0]: header x-user-id is "bob", must be "jason"',
    'vs/http[1]: header x-asm-prefer-tag is absent, must be "s2"',
    'vs/http[2]: header x-asm-prefer-tag is absent, must be "s1"',
  ]);
  assert.deepEqual(explainNoMatch(seed, request("/x")).slice(0, 1), [
    'vs/http[0]: path is "/x", must be "/"',
  ]);
});

test("explaining names a host that no virtual host takes, and escapes what came in", () => {
  const prepared = prepareRouteTable(table({ "a.example": [route("r", { uri: exact("/") })] }));
  assert.deepEqual(explainNoMatch(prepared, request("/", {}, { authority: "b\n.example" })), [
    'no virtual host takes the host "b\\n.example"',
  ]);
});

test("a field of UTF-8 bytes is told as the text that it is, and any other as it came", () => {
  const prepared = prepareRouteTable(table({ "*": [route("a", header("x-a", "\u7070"))] }));
  const told = (value: string): string =>
    explainNoMatch(prepared, request("/", { "x-a": value })).join();
  assert.match(told(Buffer.from("\u7eff").toString("latin1")), /is "\u7eff", must be "\u7070"/);
  assert.match(told("\xe4"), /is "\xe4"/);
});

test("every kind of condition that fails is named", () => {
  const prepared = prepareRouteTable(
    table({
      "*": [
        route("a", { method: exact("POST") }, { authority: prefix("api.") }),
        route("b", { withoutHeaders: [{ name: "x-a", match: { kind: "present" } }] }),
        route("c", { headers: [{ name: "x-b", match: { kind: "present" } }] }),
        route("d", { queryParams: [{ name: "q", match: regex("[0-9]+") }] }),
      ],
    }),
  );
  assert.deepEqual(explainNoMatch(prepared, request("/?q=z", { "x-a": "1" })), [
    'a: method is "GET", must be "POST"; or authority is "localhost", must be prefix "api."',
    'b: header x-a is "1", which withoutHeaders excludes',
    "c: header x-b is absent, must be present",
    'd: query parameter q is "z", must be regex "[0-9]+"',
  ]);
});

const hosts = prepareRouteTable(
  table({
    "*": [route("any")],
    "*.example.com": [route("wild")],
    "*.deep.example.com": [route("deep")],
    "*.flat.example.com": [route("flat")],
    "static.*": [route("static")],
    "static.old.*": [route("old")],
    "shop.example.com": [route("exact")],
  }),
);
const hostCases = [
  ["shop.example.com", "exact"],
  ["SHOP.example.com:8080", "exact"],
  ["a.example.com", "wild"],
  ["example.com", "any"],
  ["a.deep.example.com", "deep"],
  ["a.flat.example.com", "flat"],
  ["static.example.com", "wild"],
  ["static.example.org", "static"],
  ["static.old.example.org", "old"],
  ["static.", "any"],
  ["[::1]:80", "any"],
] as const;
for (const [authority, want] of hostCases) {
  test(`host ${authority} is taken by the virtual host "${want}"`, () => {
    assert.equal(matchRoute(hosts, request("/", {}, { authority }))?.id, want);
  });
}

test("a host keeps its IPv6 brackets and loses its port", () => {
  const authorities = ["[::1]", "[::1]:80", "A.b:1", "a", "a:1-x", "a:"];
  assert.deepEqual(authorities.map(hostOf), ["[::1]", "[::1]", "a.b", "a", "a:1-x", "a"]);
});

test("the start line can be matched by its pseudo header names", () => {
  const prepared = prepareRouteTable(
    table({ "*": [route("r", { ...header(":path", "/a?b=c") }, header(":method", "PUT"))] }),
  );
  assert.equal(matchRoute(prepared, request("/a?b=c"))?.id, "r");
  assert.equal(matchRoute(prepared, request("/x", {}, { method: "PUT" }))?.id, "r");
  assert.deepEqual(explainNoMatch(prepared, request("/a")), [
    'r: header :path is "/a", must be "/a?b=c"; or header :method is "GET", must be "PUT"',
  ]);
});

test("the path index keeps the order of routes", () => {
  const prepared = prepareRouteTable(
    table({
      "*": [
        route("prefix-first", { uri: prefix("/api/v2") }),
        route("exact", { uri: exact("/api/v2/x") }, { uri: exact("/other") }),
        route("exact-late", { uri: exact("/other") }),
        route("regex", { uri: regex("/api/.*") }),
        route("rest"),
      ],
    }),
  );
  const cases = { "/api/v2/x": "prefix-first", "/other": "exact", "/api/z": "regex", "/y": "rest" };
  for (const [path, want] of Object.entries(cases)) {
    assert.equal(matchRoute(prepared, request(path))?.id, want, path);
  }
});

test("the index gives what a search in order gives", () => {
  const uri = fc.record({
    kind: fc.constantFrom("exact" as const, "prefix" as const),
    value: fc.constantFrom("/", "/a", "/a/b", "/b"),
  });
  const matches = fc.array(
    uri.map((value) => ({ uri: value })),
    { maxLength: 3 },
  );
  fc.assert(
    fc.property(fc.array(matches, { maxLength: 8 }), fc.constantFrom("/", "/a", "/a/b"), (l, p) => {
      const routes = l.map((list, index) => route(String(index), ...list));
      const want = l.findIndex(
        (list) =>
          list.length === 0 ||
          list.some((m) =>
            m.uri.kind === "exact" ? m.uri.value === p : p.startsWith(m.uri.value),
          ),
      );
      const found = matchRoute(prepareRouteTable(table({ "*": routes })), request(p));
      assert.equal(found?.id ?? "-1", String(want));
    }),
  );
});

test("a weighted draw follows relative weights, and weight 0 of several gets nothing", () => {
  const destination = (weight: number): WeightedDestination => ({
    weight,
    target: { kind: "missing", message: String(weight) },
    fallback: null,
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
  });
  const prng = new SeededPrng(7);
  const three = [destination(1), destination(0), destination(3)];
  const counts = [0, 0, 0];
  for (let draw = 0; draw < 4_000; draw++) {
    counts[three.indexOf(pickDestination(three, prng)!)]!++;
  }
  assert.equal(counts[1], 0);
  assert.ok(Math.abs(counts[0]! - 1_000) < 120, `got ${counts.join()}`);
  const single = [destination(0)];
  assert.equal(pickDestination(single, prng), single[0]);
  assert.equal(pickDestination([], prng), null);
});
