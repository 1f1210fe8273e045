import assert from "node:assert/strict";
import { test } from "node:test";

import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Route, RouteMatch } from "../snapshot/snapshot.ts";
import type { RedirectAction, Rewrite } from "../snapshot/routing.ts";
import { redirectLocation, rewrittenTarget } from "./path-rewrite.ts";
import { prepareRouteTable } from "./route.ts";
import type { PreparedRoute, RouteRequest } from "./route.ts";

function prepared(match: RouteMatch | null, more: Partial<Route>): PreparedRoute {
  const route: Route = {
    id: "vs/http[0]",
    label: "",
    source: { kind: "VirtualService", namespace: "default", name: "vs" },
    matches: match === null ? [] : [match],
    action: { kind: "direct", status: 200, body: "" },
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
    timeoutMs: 0,
    ...more,
  };
  const table = { name: "t", virtualHosts: [{ domains: ["*"], routes: [route] }] };
  const found = prepareRouteTable(table).special.get(route);
  assert.ok(found);
  return found;
}

function request(path: string, authority = "shop.example.com"): RouteRequest {
  return { method: "GET", path, authority, header: () => undefined };
}

const prefix = (value: string, ignoreCase = false): RouteMatch => ({
  uri: { kind: "prefix", value, ...(ignoreCase ? { ignoreCase } : {}) },
});

const rewrites: readonly {
  name: string;
  match: RouteMatch | null;
  rewrite: Rewrite;
  path: string;
  want: string;
}[] = [
  {
    name: "a matched prefix is replaced, and the query stays",
    match: prefix("/api/"),
    rewrite: { uri: "/" },
    path: "/api/v1?a=/api/",
    want: "/v1?a=/api/",
  },
  {
    name: "a prefix that matched in another case is replaced",
    match: prefix("/API", true),
    rewrite: { uri: "/x" },
    path: "/api/v1",
    want: "/x/v1",
  },
  {
    name: "after an exact match the whole path is replaced",
    match: { uri: { kind: "exact", value: "/a" } },
    rewrite: { uri: "/b" },
    path: "/a?q",
    want: "/b?q",
  },
  {
    name: "after a regex match the whole path is replaced",
    match: { uri: { kind: "regex", value: "/a.*" } },
    rewrite: { uri: "/b" },
    path: "/abc",
    want: "/b",
  },
  {
    name: "a route without a path condition matched the prefix /",
    match: null,
    rewrite: { uri: "/new/" },
    path: "/a",
    want: "/new/a",
  },
  {
    name: "a pattern is replaced wherever it is found, with its groups",
    match: null,
    rewrite: { uriRegex: { match: "/v([0-9]+)", rewrite: "/\\1$1\\\\" } },
    path: "/v1/v22?/v3",
    want: "/1$1\\/22$1\\?/v3",
  },
  {
    name: "a target always begins with a slash",
    match: prefix("/a"),
    rewrite: { uri: "b" },
    path: "/a/c",
    want: "/b/c",
  },
];
for (const { name, match, rewrite, path, want } of rewrites) {
  test(name, () => {
    assert.equal(rewrittenTarget(prepared(match, { policy: { rewrite } }), request(path)), want);
  });
}

const redirects: readonly {
  name: string;
  action: Partial<RedirectAction>;
  authority?: string;
  want: string;
}[] = [
  {
    name: "a path, with the query kept",
    action: { path: "/b" },
    want: "http://shop.example.com/b?q=1",
  },
  {
    name: "a path with a query of its own",
    action: { path: "/b?x" },
    want: "http://shop.example.com/b?x",
  },
  { name: "a host", action: { authority: "a.example" }, want: "http://a.example/api/x?q=1" },
  {
    name: "another scheme, without the old one's default port",
    action: { scheme: "https" },
    authority: "shop.example.com:80",
    want: "https://shop.example.com/api/x?q=1",
  },
  {
    name: "another scheme, with a port that is no default",
    action: { scheme: "https" },
    authority: "shop.example.com:8080",
    want: "https://shop.example.com:8080/api/x?q=1",
  },
  {
    name: "another port",
    action: { port: 8443, scheme: "https" },
    authority: "shop.example.com:80",
    want: "https://shop.example.com:8443/api/x?q=1",
  },
  {
    name: "the port that the request came in at",
    action: { port: "request" },
    want: "http://shop.example.com:8081/api/x?q=1",
  },
  {
    name: "the matched prefix",
    action: { prefix: "/v2/" },
    want: "http://shop.example.com/v2/x?q=1",
  },
];
for (const { name, action, authority, want } of redirects) {
  test(`a redirect names ${name}`, () => {
    const redirect: RedirectAction = { kind: "redirect", status: 301, ...action };
    const route = prepared(prefix("/api/"), { action: redirect });
    assert.equal(redirectLocation(redirect, route, request("/api/x?q=1", authority), 8081), want);
  });
}
