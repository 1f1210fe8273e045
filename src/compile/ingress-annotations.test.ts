//! Annotations of Higress and ingress-nginx: what becomes of an Ingress' routes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Fault } from "../resources/fault.ts";
import type { Resource } from "../resources/object.ts";
import type { Route } from "../snapshot/snapshot.ts";
import { compile } from "./compile.ts";

function service(name: string): Resource {
  const spec = { selector: { app: name }, ports: [{ port: 80, protocol: "TCP" }] };
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace: "default" }, spec };
}

interface Written {
  readonly name?: string;
  readonly path?: string;
  readonly pathType?: string;
  readonly annotations: Readonly<Record<string, string>>;
}

function ingress(written: Written): Resource {
  const { name = "shop", path = "/shop", pathType = "Prefix", annotations } = written;
  const backend = { service: { name, port: { number: 80 } } };
  const own = Object.entries(annotations).map(([key, value]) => [
    key.includes("/") ? key : `higress.io/${key}`,
    value,
  ]);
  const all = Object.fromEntries(own) as Record<string, string>;
  const metadata = { name, namespace: "default", annotations: all };
  const spec = { rules: [{ http: { paths: [{ path, pathType, backend }] } }] };
  return { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata, spec };
}

function compiled(...all: readonly Written[]): {
  readonly routes: readonly Route[];
  readonly messages: readonly Fault[];
} {
  const resources = [service("shop"), service("next"), ...all.map(ingress)];
  const { snapshot, messages } = compile({ resources, modules: new Map() });
  const routes = Object.values(snapshot.routeTables)[0]?.virtualHosts[0]?.routes ?? [];
  return { routes, messages: messages.filter(({ object }) => object?.kind === "Ingress") };
}

const NEXT = "outbound|80||next.default.svc.cluster.local";
const SHOP = "outbound|80||shop.default.svc.cluster.local";

const CASES: readonly (readonly [what: string, Written, want: object])[] = [
  [
    "conditions on header, query, pseudo-header and method",
    {
      annotations: {
        "exact-match-header-X-User": "jason",
        "prefix-match-query-v": "2",
        "regex-match-pseudo-header-authority": "a|b",
        "match-method": "GET POST",
      },
    },
    {
      matches: ["exact", "prefix"].map((kind) => ({
        uri: { kind, value: kind === "exact" ? "/shop" : "/shop/" },
        method: { kind: "regex", value: "GET|POST" },
        headers: [
          { name: "x-user", match: { kind: "exact", value: "jason" } },
          { name: ":authority", match: { kind: "regex", value: "a|b" } },
        ],
        queryParams: [{ name: "v", match: { kind: "prefix", value: "2" } }],
      })),
    },
  ],
  [
    "a rewrite by groups",
    { path: "/shop/(v[0-9]+)/(.*)", annotations: { "rewrite-target": "/$2?x=$1" } },
    {
      matches: [{ uri: { kind: "regex", value: "(?:/shop/(v[0-9]+)/(.*)).*" } }],
      policy: {
        rewrite: {
          uriRegex: { match: "^(?:/shop/(v[0-9]+)/(.*)).*$", rewrite: "/\\2?x=\\1" },
        },
      },
    },
  ],
  [
    "a rewritten prefix and host",
    { annotations: { "rewrite-path": "/new/", "upstream-vhost": "in.test" } },
    {
      policy: {
        rewrite: {
          authority: "in.test",
          uriRegex: { match: "^/shop(.*)$", rewrite: "/new\\1" },
        },
      },
    },
  ],
  [
    "a prefix that is taken away",
    { annotations: { "rewrite-path": "/" } },
    { policy: { rewrite: { uriRegex: { match: "^/shop/?(.*)$", rewrite: "/\\1" } } } },
  ],
  [
    "a rewritten exact path",
    { pathType: "Exact", annotations: { "rewrite-path": "/new" } },
    { policy: { rewrite: { path: "/new" } } },
  ],
  [
    "a permanent redirect with its code",
    {
      annotations: {
        "permanent-redirect": "https://www.test:8443/a?b=c",
        "permanent-redirect-code": "308",
      },
    },
    {
      action: {
        ...{ kind: "redirect", status: 308, scheme: "https" },
        ...{ authority: "www.test:8443", path: "/a?b=c" },
      },
    },
  ],
  [
    "a temporal redirect",
    { annotations: { "temporal-redirect": "http://www.test" } },
    {
      action: {
        ...{ kind: "redirect", status: 302, scheme: "http" },
        ...{ authority: "www.test", path: "/" },
      },
    },
  ],
  [
    "CORS with its defaults",
    {
      annotations: {
        "nginx.ingress.kubernetes.io/enable-cors": "true",
        "cors-allow-origin": "https://a.test, https://*.b.test",
      },
    },
    {
      policy: {
        cors: {
          allowOrigins: [
            { kind: "exact", value: "https://a.test" },
            { kind: "regex", value: "https://[^/]*\\.b\\.test" },
          ],
          allowMethods: "GET, PUT, POST, DELETE, PATCH, OPTIONS",
          allowHeaders:
            "DNT,X-CustomHeader,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since," +
            "Cache-Control,Content-Type,Authorization",
          ...{ exposeHeaders: "", maxAge: "1728000", allowCredentials: true },
          unmatchedPreflights: "forward",
        },
      },
    },
  ],
  ["a timeout in seconds", { annotations: { timeout: "2.5" } }, { timeoutMs: 2_500 }],
  [
    "copies",
    { annotations: { "mirror-target-service": "default/next:80", "mirror-percentage": "5" } },
    {
      policy: {
        mirrors: [
          {
            target: { kind: "cluster", cluster: NEXT, subset: null },
            sharePpm: 50_000,
            requestHeaders: { remove: [], set: [], add: [] },
          },
        ],
      },
    },
  ],
];

describe("an Ingress' annotations ask for", () => {
  for (const [what, written, want] of CASES) {
    test(what, () => {
      const { routes, messages } = compiled(written);
      assert.deepEqual(messages, []);
      assert.equal(routes.length, 1);
      const [route] = routes;
      for (const [key, value] of Object.entries(want)) {
        assert.deepEqual(route?.[key as keyof Route], value);
      }
    });
  }

  test("header operations, on each line one", () => {
    const { routes, messages } = compiled({
      annotations: {
        "request-header-control-add": "X-A one two\nx-b  three",
        "request-header-control-update": "x-c four",
        "request-header-control-remove": "X-D, x-e",
        "response-header-control-update": "server none",
      },
    });
    assert.deepEqual(messages, []);
    const action = routes[0]?.action;
    assert.ok(action?.kind === "forward");
    const [destination] = action.destinations;
    assert.deepEqual(destination?.requestHeaders, {
      remove: ["x-d", "x-e"],
      set: [["x-c", "four"]],
      add: [
        ["x-a", "one two"],
        ["x-b", "three"],
      ],
    });
    assert.deepEqual(destination.responseHeaders.set, [["server", "none"]]);
  });

  test("destinations by percent, in the place of the backend", () => {
    const { routes, messages } = compiled({
      name: "gone",
      annotations: { destination: "80% shop.default.svc.cluster.local:80\n20% next" },
    });
    assert.deepEqual(messages, []);
    const action = routes[0]?.action;
    assert.ok(action?.kind === "forward");
    const told = action.destinations.map(({ weight, target }) => [
      weight,
      target.kind === "cluster" ? target.cluster : target.message,
    ]);
    assert.deepEqual(told, [
      [80, SHOP],
      [20, NEXT],
    ]);
  });

  test("a canary that goes by the base's settings, and by its own header operations", () => {
    const { routes } = compiled(
      { annotations: { timeout: "3", "request-header-control-update": "x-who base" } },
      {
        name: "next",
        annotations: {
          ...{ canary: "true", "canary-by-header": "x-go", "canary-weight": "10", timeout: "9" },
          "request-header-control-update": "x-who canary",
        },
      },
    );
    assert.deepEqual(
      routes.map(({ timeoutMs }) => timeoutMs),
      [3_000, 3_000, 3_000],
    );
    const told = routes.map(({ action }) =>
      action.kind === "forward"
        ? action.destinations.map((one) => `${one.weight} ${one.requestHeaders.set[0]?.[1] ?? ""}`)
        : [],
    );
    assert.deepEqual(told, [["1 canary"], ["1 base"], ["100000 canary", "900000 base"]]);
  });
});

test("of one path the Ingress with more conditions goes first, and both serve", () => {
  const { routes, messages } = compiled(
    { annotations: {} },
    { name: "next", annotations: { "exact-match-header-x-user": "jason" } },
  );
  assert.deepEqual(messages, []);
  assert.deepEqual(
    routes.map(({ source }) => source.name),
    ["next", "shop"],
  );
});

const BAD: readonly (readonly [annotations: Readonly<Record<string, string>>, want: RegExp])[] = [
  [{ "regex-match-header-x": "(" }, /^GL0222 .*\[higress.io\/regex-match-header-x\].*expression/],
  [{ "match-method": "get" }, /^GL0222 .*names no methods/],
  [{ "permanent-redirect": "/x" }, /^GL0222 .*no URL/],
  [{ "temporal-redirect": "https://a.test", "permanent-redirect-code": "1" }, /^$/],
  [
    { "permanent-redirect": "https://a.test", "permanent-redirect-code": "200" },
    /^GL0222 .*no status of a redirect/,
  ],
  [{ "enable-cors": "true", "cors-max-age": "soon" }, /^GL0222 .*no number of seconds/],
  [{ "request-header-control-add": "lonely" }, /^GL0222 .*without name and value: lonely/],
  [{ timeout: "5s" }, /^GL0222 .*no number of seconds/],
  [{ "mirror-target-service": "nowhere" }, /^GL0222 .*no Service/],
  [{ "mirror-target-service": "next", "mirror-percentage": "101" }, /^GL0222 .*from 0 to 100/],
  [{ destination: "a b c d" }, /^GL0222 .*cannot be read: a b c d/],
  [{ destination: "nowhere.static" }, /^GL0222 .*nowhere.static with port 80: 503/],
  [{ destination: "next:80 v1" }, /^GL0222 .*the subset v1 of next/],
  [{ destination: "50% next\n20% shop" }, /^GL0222 .*comes to 70 percent/],
  [{ "proxy-body-size": "8m" }, /^GL0223 .*proxy-body-size has no effect/],
  [{ "whitelist-source-range": "10.0.0.0/8" }, /^GL0223 /],
];

describe("an Ingress' annotation is named where it cannot be followed:", () => {
  for (const [annotations, want] of BAD) {
    test(JSON.stringify(annotations), () => {
      const { messages, routes } = compiled({ annotations });
      assert.equal(routes.length, 1);
      const lines = messages.map(({ code, path, message }) => `${code} ${path} ${message}`);
      assert.ok(lines.length <= 1, lines.join("\n"));
      assert.match(lines.join(""), want);
    });
  }

  test("a path that is no regular expression", () => {
    const { messages, routes } = compiled({ path: "/a(", annotations: { "use-regex": "true" } });
    assert.match(messages[0]?.message ?? "", /use-regex has no effect: the path \/a\( is no/);
    assert.deepEqual(routes[0]?.matches[0], { uri: { kind: "exact", value: "/a(" } });
  });
});

describe("rewrite-path puts in the place of /shop", () => {
  for (const [wanted, path, want] of [
    ["/", "/shop", "/"],
    ["/", "/shop/", "/"],
    ["/", "/shop/a/b", "/a/b"],
    ["/new", "/shop", "/new"],
    ["/new/", "/shop/", "/new/"],
    ["/new", "/shop/a", "/new/a"],
    ["/a\\1", "/shop/b", "/a\\1/b"],
  ] as const) {
    test(`${wanted}: ${path} becomes ${want}`, () => {
      const { routes } = compiled({ annotations: { "rewrite-path": wanted } });
      const rule = routes[0]?.policy?.rewrite?.uriRegex;
      assert.ok(rule !== undefined);
      const groups = new RegExp(rule.match).exec(path) ?? [];
      const got = rule.rewrite.replaceAll(/\\(\d|\\)/g, (_, what: string) =>
        what === "\\" ? what : (groups[Number(what)] ?? ""),
      );
      assert.equal(got, want);
    });
  }
});
