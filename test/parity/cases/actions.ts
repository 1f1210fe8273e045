//! What a route does with a request that it takes.

import type { ParityCase, ParityGroup } from "../case.ts";
import { PORT, destinationRule, routes, subsetsOf, to } from "../topology.ts";

const BASE = [to("a", "base")];

function at(path: string, more: object): object {
  return { match: [{ uri: { prefix: path } }], route: BASE, ...more };
}

function instead(path: string, more: object): object {
  return { match: [{ uri: { prefix: path } }], ...more };
}

const REDIRECTS: ParityGroup = {
  name: "redirects and direct answers",
  objects: [
    routes([
      instead("/uri", { redirect: { uri: "/elsewhere" } }),
      instead("/authority", { redirect: { authority: "other.test" } }),
      instead("/both", { redirect: { uri: "/x", authority: "other.test", redirectCode: 307 } }),
      instead("/scheme", { redirect: { scheme: "https" } }),
      instead("/port", { redirect: { scheme: "https", port: 8443 } }),
      instead("/default", { redirect: { scheme: "https", derivePort: "FROM_PROTOCOL_DEFAULT" } }),
      instead("/prefix", { redirect: { uri: "%PREFIX()%/moved", redirectCode: 308 } }),
      instead("/see", { redirect: { uri: "/seen", redirectCode: 303 } }),
      instead("/found", { redirect: { redirectCode: 302, uri: "/f?y=2" } }),
      instead("/teapot", { directResponse: { status: 418, body: { string: "short and stout" } } }),
      instead("/silent", { directResponse: { status: 204 } }),
      instead("/gone", {
        directResponse: { status: 410, body: { string: "gone" } },
        headers: { response: { set: { "x-why": "moved", "content-type": "text/html" } } },
      }),
      { route: BASE },
    ]),
    subsetsOf("a"),
  ],
  cases: [
    ...(
      [
        ["the path is replaced", "/uri/a", 301, "http://shop.example.com/elsewhere"],
        ["the query stays", "/uri?x=1&y=%20", 301, "http://shop.example.com/elsewhere?x=1&y=%20"],
        [
          "the authority is replaced, the path stays",
          "/authority/p?q",
          301,
          "http://other.test/authority/p?q",
        ],
        ["path, authority and code", "/both/1", 307, "http://other.test/x"],
        ["the scheme is replaced", "/scheme/x", 301, "https://shop.example.com/scheme/x"],
        ["the port is written", "/port", 301, "https://shop.example.com:8443/port"],
        ["the port that the scheme has", "/default", 301, "https://shop.example.com/default"],
        ["a path with its own query", "/found?x=1", 302, null],
        ["303", "/see", 303, "http://shop.example.com/seen"],
      ] as const
    ).map(([name, path, status, location]): ParityCase => ({
      name: `a redirect: ${name}`,
      ask: { path },
      want: { status, ...(location === null ? {} : { headers: { location } }) },
    })),
    {
      name: "a redirect keeps what follows the matched prefix",
      ask: { path: "/prefix/a/b?q=1" },
      want: { status: 308 },
    },
    {
      name: "a redirect answers POST as well, and takes its body",
      ask: { path: "/uri", method: "POST", body: "x".repeat(100_000) },
      want: { status: 301 },
    },
    {
      name: "a direct answer has status and body",
      ask: { path: "/teapot/x" },
      want: { status: 418, text: "short and stout", headers: { "content-length": "15" } },
    },
    {
      name: "a direct answer to HEAD has no body",
      ask: { path: "/teapot", method: "HEAD" },
      want: { status: 418, text: "" },
    },
    { name: "a direct answer without body", ask: { path: "/silent" }, want: { status: 204 } },
    {
      name: "a direct answer has the route's response headers",
      ask: { path: "/gone" },
      want: { status: 410, text: "gone", headers: { "x-why": "moved" } },
    },
  ],
};

const REWRITES: ParityGroup = {
  name: "rewrites",
  objects: [
    routes([
      at("/prefix", { rewrite: { uri: "/new" } }),
      at("/slash/", { rewrite: { uri: "/" } }),
      { match: [{ uri: { exact: "/exact" } }], rewrite: { uri: "/is" }, route: BASE },
      { match: [{ uri: { regex: "/r/[a-z]+" } }], rewrite: { uri: "/whole" }, route: BASE },
      at("/groups", {
        rewrite: { uriRegexRewrite: { match: "/groups/([^/]+)/(.*)", rewrite: "/\\2/of/\\1" } },
      }),
      at("/part", { rewrite: { uriRegexRewrite: { match: "p+", rewrite: "q" } } }),
      at("/host", { rewrite: { authority: "other.test" } }),
      at("/both", { rewrite: { uri: "/b", authority: "both.test:81" } }),
      at("/signs", { rewrite: { uri: "/100%25/\\1" } }),
      { rewrite: { uri: "/any" }, route: BASE },
    ]),
    subsetsOf("a"),
  ],
  cases: [
    ...(
      [
        ["a matched prefix is replaced", "/prefix/x", "/new/x"],
        ["what follows the prefix within its element stays", "/prefixes", "/newes"],
        ["the query stays", "/prefix?a=%20b", "/new?a=%20b"],
        ["a prefix with a slash becomes the root", "/slash/x/y", "/x/y"],
        ["an exact path is replaced", "/exact?q", "/is?q"],
        ["a path matched by a regular expression is replaced whole", "/r/abc?q=1", "/whole?q=1"],
        ["groups of a regular expression", "/groups/one/two/three", "/two/three/of/one"],
        ["a regular expression that does not match changes nothing", "/groups", "/groups"],
        ["every match of a regular expression is replaced", "/part/ppx/p", "/qart/qx/q"],
        ["the path stays when the authority changes", "/host/x", "/host/x"],
        ["percent and backslash are themselves", "/signs", "/100%25/\\1"],
      ] as const
    ).map(([name, path, to_]): ParityCase => ({
      name,
      ask: { path },
      want: { hops: "a-base", path: to_ },
    })),
    {
      name: "the old path goes along",
      ask: { path: "/prefix/x?y" },
      want: { seen: { "x-envoy-original-path": "/prefix/x?y" } },
    },
    {
      name: "the authority is replaced",
      ask: { path: "/host" },
      want: { host: "other.test" },
    },
    {
      name: "path and authority are replaced",
      ask: { path: "/both/1" },
      want: { host: "both.test:81", path: "/b/1" },
    },
  ],
};

const REFUSED_TEXT = /^Envoy cannot /;

const REFUSED: ParityGroup = {
  name: "routes that Envoys refuse",
  objects: [
    routes([
      at("/host", { headers: { request: { set: { Host: "other.test" } } } }),
      instead("/port", { redirect: { scheme: "https", derivePort: "FROM_REQUEST_PORT" } }),
      at("/service", { route: [{ ...to("a", "gray"), fallback: { target: { host: "c" } } }] }),
      at("/mirror", { mirrors: [{ destination: { host: "a", subset: "gray" } }] }),
      { route: BASE },
    ]),
    subsetsOf("a"),
  ],
  cases: [
    {
      name: "header operations on Host",
      ask: { path: "/host" },
      want: { hops: "a-base" },
      onEnvoy: { status: 503, text: REFUSED_TEXT },
    },
    {
      name: "a redirect to the port that the request came in at",
      ask: { path: "/port" },
      want: { status: 301 },
      onEnvoy: { status: 503, text: REFUSED_TEXT },
    },
    {
      name: "a fallback to another service",
      ask: { path: "/service" },
      want: { hops: "a-gray" },
      onEnvoy: { status: 503, text: REFUSED_TEXT },
    },
    {
      name: "a mirror to a subset",
      ask: { path: "/mirror" },
      want: { hops: "a-base" },
      onEnvoy: { status: 503, text: REFUSED_TEXT },
    },
  ],
  refused: [
    { kind: "VirtualService", name: "shop", says: /edit the Host field/ },
    { kind: "VirtualService", name: "shop", says: /redirect to the port that the request came in/ },
    { kind: "VirtualService", name: "shop", says: /fall back to another service/ },
    { kind: "VirtualService", name: "shop", says: /mirror to a service that has lanes or subsets/ },
  ],
};

const TARGETS: ParityGroup = {
  name: "destinations",
  objects: [
    routes([
      at("/service", { route: [to("nowhere")] }),
      at("/subset", { route: [to("a", "nowhere")] }),
      at("/port", { route: [{ destination: { host: "a", port: { number: 9_999 } } }] }),
      at("/right", {
        route: [{ destination: { host: "b", subset: "gray", port: { number: PORT } } }],
      }),
      at("/full", { route: [to("b.default.svc.cluster.local", "base")] }),
      at("/short", { route: [to("b.default", "base")] }),
      at("/gray", { route: [to("a", "gray")] }),
      at("/blue", { route: [to("a", "pair")] }),
      at("/none", { route: [to("a", "none")] }),
      at("/fallback", {
        route: [{ ...to("a", "none"), fallback: { target: { host: "a", subset: "gray" } } }],
      }),
      at("/unused", {
        route: [{ ...to("a", "blue"), fallback: { target: { host: "a", subset: "gray" } } }],
      }),
      at("/missing", {
        route: [{ ...to("nowhere"), fallback: { target: { host: "a", subset: "gray" } } }],
      }),
      { route: [to("c")] },
    ]),
    destinationRule("a", {
      subsets: [
        { name: "gray", labels: { track: "a-gray" } },
        { name: "blue", labels: { track: "a-blue" } },
        { name: "pair", labels: { k3: "x", k4: "x" } },
        { name: "none", labels: { k3: "x", k4: "none" } },
      ],
    }),
    subsetsOf("b"),
  ],
  replicas: { "c-base": 0, "c-blue": 0 },
  cases: [
    { name: "a missing service is a 503", ask: { path: "/service" }, want: { status: 503 } },
    { name: "a missing subset is a 503", ask: { path: "/subset" }, want: { status: 503 } },
    { name: "a missing port is a 503", ask: { path: "/port" }, want: { status: 503 } },
    { name: "a port by its number", ask: { path: "/right" }, want: { hops: "b-gray" } },
    { name: "a service by its full name", ask: { path: "/full" }, want: { hops: "b-base" } },
    { name: "a service by name and namespace", ask: { path: "/short" }, want: { hops: "b-base" } },
    { name: "a subset by one label", ask: { path: "/gray" }, want: { hops: "a-gray" } },
    { name: "a subset by two labels", ask: { path: "/blue" }, want: { hops: "a-blue" } },
    { name: "a subset without pods is a 503", ask: { path: "/none" }, want: { status: 503 } },
    {
      name: "a route's fallback serves for a subset without pods",
      ask: { path: "/fallback" },
      want: { hops: "a-gray" },
    },
    {
      name: "a route's fallback is not used while the subset has pods",
      ask: { path: "/unused" },
      want: { hops: "a-blue" },
    },
    {
      name: "a route's fallback serves for a missing service",
      ask: { path: "/missing" },
      want: { hops: "a-gray" },
    },
    { name: "a service without pods is a 503", ask: {}, want: { status: 503 } },
  ],
};

export const ACTION_GROUPS: readonly ParityGroup[] = [...[REDIRECTS, REWRITES, REFUSED, TARGETS]];
