//! Which route of a VirtualService takes a request.

import type { ParityCase, ParityGroup } from "../case.ts";
import type { Question } from "../question.ts";
import { routes, subsetsOf, to } from "../topology.ts";

/** Each route says its name in the answer. */
function named(name: string, match: object | readonly object[]): object {
  return {
    name,
    match: Array.isArray(match) ? match : [match],
    headers: { response: { set: { "x-route": name } } },
    route: [to("a", "base")],
  };
}

const REST = { headers: { response: { set: { "x-route": "rest" } } }, route: [to("a", "base")] };

type Fields = NonNullable<Question["headers"]>;
type Row = readonly [name: string, route: string, path: string, more?: Omit<Question, "path">];

function rows(list: readonly Row[]): ParityCase[] {
  return list.map(([name, route, path, more = {}]) => ({
    name,
    ask: { path, ...more },
    want: { headers: { "x-route": route }, hops: "a-base" },
  }));
}

const headers = (...fields: Fields): { readonly headers: Fields } => ({ headers: fields });

const PATHS: ParityGroup = {
  name: "paths",
  objects: [
    routes([
      named("exact", { uri: { exact: "/exact" } }),
      named("folded exact", { uri: { exact: "/Folded" }, ignoreUriCase: true }),
      named("folded prefix", { uri: { prefix: "/Under" }, ignoreUriCase: true }),
      named("regex", { uri: { regex: "/r[0-9]+(/x)?" } }),
      named("first", { uri: { prefix: "/order" } }),
      named("second", { uri: { prefix: "/order/x" } }),
      named("prefix", { uri: { prefix: "/api" } }),
      named("either", [{ uri: { exact: "/one" } }, { uri: { prefix: "/two/" } }]),
      named("up", { uri: { prefix: "/up/b" } }),
      named("slashes", { uri: { prefix: "//twice" } }),
      named("escaped", { uri: { exact: "/s%2Ft" } }),
      named("space", { uri: { exact: "/a%20b" } }),
      named("utf8", { uri: { prefix: "/%E6%9D%8E" } }),
      REST,
    ]),
    subsetsOf("a"),
  ],
  cases: rows([
    ["an exact path is taken", "exact", "/exact"],
    ["an exact path is compared without the query", "exact", "/exact?x=/other"],
    ["an exact path is no prefix", "rest", "/exact/more"],
    ["an exact path is compared by case", "rest", "/Exact"],
    ["ignoreUriCase folds an exact path", "folded exact", "/foLDed"],
    ["ignoreUriCase folds a prefix", "folded prefix", "/uNDER/Way"],
    ["a prefix is taken", "prefix", "/api/x"],
    ["a prefix may end within an element", "prefix", "/apis"],
    ["a prefix is not looked for later in the path", "rest", "/x/api"],
    ["a regular expression meets the whole path", "regex", "/r12/x?q=1"],
    ["a regular expression does not meet a part", "rest", "/r12/y"],
    ["the first route that matches wins, not the longest", "first", "/order/x"],
    ["one of several matches is enough: the first", "either", "/one"],
    ["one of several matches is enough: the second", "either", "/two/x"],
    ["dot segments are resolved before the match", "up", "/up/a/../b"],
    ["encoded dots count as dots", "up", "/up/a/%2e%2E/b"],
    ["two slashes are not merged", "slashes", "//twice"],
    ["an escaped slash stays", "escaped", "/s%2Ft"],
    ["an escape of an unreserved character is decoded", "exact", "/%65xact"],
    ["an escaped blank stays", "space", "/a%20b"],
    ["escapes of UTF-8 are compared as they are written", "utf8", "/%E6%9D%8E"],
    ["a backslash is a slash", "up", "/up\\b"],
    ["the query alone leaves the path /", "rest", "/?x=/exact"],
  ]),
};

const FIELDS: ParityGroup = {
  name: "headers, methods, queries",
  objects: [
    routes([
      named("method", { uri: { prefix: "/m" }, method: { exact: "PUT" } }),
      named("methods", { uri: { prefix: "/m" }, method: { regex: "P.*|DELETE" } }),
      named("host", { uri: { prefix: "/h" }, authority: { exact: "shop.example.com" } }),
      named("hosts", { uri: { prefix: "/h" }, authority: { prefix: "api." } }),
      named("scheme", { uri: { exact: "/scheme" }, scheme: { exact: "http" } }),
      named("https", { uri: { prefix: "/scheme" }, scheme: { exact: "https" } }),
      named("port", { uri: { exact: "/port" }, port: 80 }),
      named("other port", { uri: { prefix: "/port" }, port: 81 }),
      named("gateway", {
        uri: { exact: "/gateway" },
        gateways: ["istio-system/ingressgateway"],
      }),
      named("labels", {
        uri: { exact: "/labels" },
        sourceLabels: { istio: "ingressgateway" },
      }),
      named("other labels", { uri: { prefix: "/labels" }, sourceLabels: { istio: "other" } }),
      named("both", { headers: { "x-a": { exact: "1" }, "x-b": { prefix: "2" } } }),
      named("exact", { headers: { "x-a": { exact: "gold" } } }),
      named("prefix", { headers: { "x-a": { prefix: "sil" } } }),
      named("regex", { headers: { "x-a": { regex: "b[ro]+nze" } } }),
      named("there", { headers: { "X-There": {} } }),
      named("but not", {
        headers: { "x-c": {} },
        withoutHeaders: { "x-stay": { exact: "yes" }, "x-never": {} },
      }),
      named("but no prefix", {
        headers: { "x-d": {} },
        withoutHeaders: { "x-stay": { prefix: "no" } },
      }),
      named("but no empty", {
        headers: { "x-e": {} },
        withoutHeaders: { "x-stay": { regex: "a?" }, "x-go": { exact: "" } },
      }),
      named("list", { headers: { "x-g": { exact: "1,2" } } }),
      named("query", { queryParams: { beta: { exact: "on" } } }),
      named("query regex", { queryParams: { beta: { regex: "v[0-9]" } } }),
      named("query prefix", { queryParams: { beta: { prefix: "pre" } } }),
      named("query there", { queryParams: { there: {} } }),
      REST,
    ]),
    subsetsOf("a"),
  ],
  cases: rows([
    ["a method is taken", "method", "/m", { method: "PUT" }],
    ["methods by a regular expression", "methods", "/m", { method: "DELETE" }],
    ["another method goes on", "rest", "/m", { method: "GET" }],
    ["the authority is compared", "host", "/h"],
    ["the authority's prefix is compared", "hosts", "/h", { host: "api.example.com" }],
    ["the scheme of the request is http", "scheme", "/scheme"],
    ["a route for another scheme is not taken", "rest", "/schemes"],
    ["the port is the Gateway's, not that of the connection", "port", "/port"],
    ["a route for another port is not taken", "rest", "/ports"],
    ["a match names its Gateway", "gateway", "/gateway"],
    ["sourceLabels are the gateway's own", "labels", "/labels"],
    ["sourceLabels that the gateway does not have", "rest", "/labelss"],
    ["a header's value is taken", "exact", "/", headers(["x-a", "gold"])],
    ["a header's name is compared without case", "exact", "/", headers(["X-A", "gold"])],
    ["a header's value is compared by case", "rest", "/", headers(["x-a", "Gold"])],
    ["a header's exact value is no prefix", "rest", "/", headers(["x-a", "golden"])],
    ["blanks around a header's value do not count", "exact", "/", headers(["x-a", " gold "])],
    ["a header's prefix is taken", "prefix", "/", headers(["x-a", "silver"])],
    ["a header's regular expression is whole", "regex", "/", headers(["x-a", "bronze"])],
    ["a header's regular expression is no search", "rest", "/", headers(["x-a", "a bronze"])],
    ["a header that must be there", "there", "/", headers(["x-there", "any"])],
    ["an empty header is there", "there", "/", headers(["x-there", ""])],
    ["all headers of a match must meet it", "both", "/", headers(["x-a", "1"], ["x-b", "23"])],
    ["one header of two is not enough", "rest", "/", headers(["x-a", "1"])],
    ["withoutHeaders: the field is missing", "but not", "/", headers(["x-c", "1"])],
    [
      "withoutHeaders: the field has another value",
      "but not",
      "/",
      headers(["x-c", "1"], ["x-stay", "no"]),
    ],
    [
      "withoutHeaders: the field has the value",
      "rest",
      "/",
      headers(["x-c", "1"], ["x-stay", "yes"]),
    ],
    [
      "withoutHeaders: a field that may not be there",
      "rest",
      "/",
      headers(["x-c", "1"], ["x-never", ""]),
    ],
    ["withoutHeaders by a prefix", "rest", "/", headers(["x-d", "1"], ["x-stay", "now"])],
    ["withoutHeaders by a prefix: missing", "but no prefix", "/", headers(["x-d", "1"])],
    [
      "withoutHeaders that an empty value meets: missing",
      "but no empty",
      "/",
      headers(["x-e", "1"]),
    ],
    [
      "withoutHeaders that an empty value meets: empty",
      "rest",
      "/",
      headers(["x-e", "1"], ["x-stay", ""]),
    ],
    [
      "withoutHeaders that an empty value meets: another value",
      "but no empty",
      "/",
      headers(["x-e", "1"], ["x-stay", "ab"], ["x-go", "1"]),
    ],
    [
      "withoutHeaders that an empty value meets: one of two",
      "rest",
      "/",
      headers(["x-e", "1"], ["x-stay", "ab"], ["x-go", ""]),
    ],
    [
      "one of several fields of a name is enough",
      "exact",
      "/",
      headers(["x-a", "red"], ["x-a", "gold"]),
    ],
    [
      "several fields of a name are not one with a list",
      "rest",
      "/",
      headers(["x-g", "1"], ["x-g", "2"]),
    ],
    [
      "withoutHeaders: one of several fields of a name",
      "rest",
      "/",
      headers(["x-c", "1"], ["x-stay", "no"], ["x-stay", "yes"]),
    ],
    ["a parameter's value is taken", "query", "/?a=1&beta=on"],
    ["a parameter's first value counts", "rest", "/?beta=off&beta=on"],
    ["a parameter's regular expression", "query regex", "/?beta=v2"],
    ["a parameter's prefix", "query prefix", "/?beta=prefix"],
    ["a parameter that must be there", "query there", "/?there"],
    ["a parameter's name is compared by case", "rest", "/?Beta=on"],
    ["a parameter is not part of another's name", "rest", "/?alphabeta=on"],
    ["a parameter's escapes are compared as they are sent", "rest", "/?beta=%6fn"],
  ]),
};

const HOST = (name: string): object => ({
  headers: { response: { set: { "x-route": name } } },
  route: [to("a", "base")],
});

const HOSTS: ParityGroup = {
  name: "hosts",
  objects: [
    routes([HOST("exact")], "exact", ["shop.example.com"]),
    routes([HOST("wide")], "wide", ["*.example.com"]),
    routes([HOST("narrow")], "narrow", ["*.api.example.com"]),
    routes([{ ...named("only", { uri: { prefix: "/only" } }) }], "only", ["only.test"]),
    subsetsOf("a"),
  ],
  cases: [
    ...rows([
      ["a whole name goes before a wildcard", "exact", "/"],
      ["a wildcard takes the other names", "wide", "/", { host: "other.example.com" }],
      ["the longest wildcard wins", "narrow", "/", { host: "v1.api.example.com" }],
      ["a wildcard takes several labels", "wide", "/", { host: "a.b.example.com" }],
      ["a host is compared without case", "exact", "/", { host: "SHOP.Example.com" }],
      ["the port in Host does not count", "exact", "/", { host: "shop.example.com:8080" }],
    ]),
    {
      name: "a wildcard does not take the bare name",
      ask: { host: "example.com" },
      want: { status: 404 },
    },
    { name: "a host without routes is a 404", ask: { host: "else.test" }, want: { status: 404 } },
    {
      name: "a host none of whose routes matches is a 404",
      ask: { host: "only.test" },
      want: { status: 404 },
    },
  ],
};

export const MATCH_GROUPS: readonly ParityGroup[] = [PATHS, FIELDS, HOSTS];
