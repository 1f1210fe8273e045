//! Several canaries of one path: each request against the routes, by the shares of who may get it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../resources/object.ts";
import type { HeaderMatch, RouteMatch } from "../snapshot/snapshot.ts";
import { compile } from "./compile.ts";

function service(name: string): Resource {
  const spec = { selector: { app: name }, ports: [{ port: 80, protocol: "TCP" }] };
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace: "default" }, spec };
}

function ingress(name: string, own: Readonly<Record<string, string>> = {}): Resource {
  const annotations: Record<string, string> = {};
  for (const [key, value] of Object.entries(own)) {
    annotations[`nginx.ingress.kubernetes.io/${key}`] = value;
  }
  const backend = { service: { name, port: { number: 80 } } };
  const metadata = { name, namespace: "default", annotations };
  const spec = { rules: [{ http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }] };
  return { apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata, spec };
}

const canary = (name: string, annotations: Readonly<Record<string, string>>): Resource =>
  ingress(name, { canary: "true", ...annotations });

type Headers = Readonly<Record<string, string>>;

function isMet({ name, match }: HeaderMatch, headers: Headers): boolean {
  const value = headers[name];
  if (value === undefined || match.kind === "present") return value !== undefined;
  return match.kind === "regex"
    ? new RegExp(`^(?:${match.value})$`).test(value)
    : match.value === value;
}

function takes({ headers = [], withoutHeaders = [] }: RouteMatch, sent: Headers): boolean {
  return (
    headers.every((one) => isMet(one, sent)) && !withoutHeaders.some((one) => isMet(one, sent))
  );
}

/** What each backend gets of such requests, in ‰. */
function sharesOf(resources: readonly Resource[], sent: Headers): Record<string, number> {
  const { snapshot } = compile({ resources, modules: new Map() });
  const routes = Object.values(snapshot.routeTables)[0]?.virtualHosts[0]?.routes ?? [];
  const route = routes.find(({ matches }) => matches.some((match) => takes(match, sent)));
  assert.ok(route?.action.kind === "forward");
  const { destinations } = route.action;
  const total = destinations.reduce((sum, { weight }) => sum + weight, 0);
  const shares: Record<string, number> = {};
  for (const { target, weight } of destinations) {
    assert.ok(target.kind === "cluster");
    const name = /\|\|(\w+)\./.exec(target.cluster)?.[1] ?? "";
    shares[name] = (weight * 1_000) / total;
  }
  return shares;
}

/** Without those of the Services, which have no pods. */
function messagesOf(resources: readonly Resource[]): string[] {
  const { messages } = compile({ resources, modules: new Map() });
  return messages
    .filter(({ code }) => code !== "GL0215")
    .map(({ code, object }) => `${code} ${object?.name ?? ""}`)
    .sort();
}

const BASE = [service("base"), service("a"), service("b"), ingress("base")];
const BY_ONE_HEADER = [
  ...BASE,
  canary("a", { "canary-by-header": "x-try", "canary-weight": "100" }),
  canary("b", { "canary-by-header": "x-try", "canary-weight": "1", "canary-weight-total": "1000" }),
];
const APART = [
  ...BASE,
  canary("a", {
    ...{ "canary-by-header": "x-a", "canary-by-cookie": "a" },
    ...{ "canary-weight": "20" },
  }),
  canary("b", {
    ...{ "canary-by-header": "x-b", "canary-by-cookie": "b" },
    ...{ "canary-weight": "1", "canary-weight-total": "1000" },
  }),
];

const CASES = [
  [
    "a header that both read keeps out of both",
    BY_ONE_HEADER,
    { "x-try": "never" },
    { base: 1_000 },
  ],
  ["else each has its own share", APART, {}, { a: 200, b: 1, base: 799 }],
  ["a header leads in", APART, { "x-b": "always" }, { b: 1_000 }],
  ["a header keeps out of its own canary only", APART, { "x-a": "never" }, { b: 1, base: 999 }],
  ["so does a cookie", APART, { cookie: "b=never" }, { a: 200, base: 800 }],
  ["both keep out of both", APART, { "x-a": "never", cookie: "b=never" }, { base: 1_000 }],
  [
    "kept out of one, a cookie leads into the other",
    APART,
    { "x-a": "never", cookie: "b=always" },
    { b: 1_000 },
  ],
  [
    "a header goes before its canary's cookie",
    APART,
    { "x-a": "never", cookie: "a=always" },
    { b: 1, base: 999 },
  ],
  [
    "another value of a header says nothing",
    APART,
    { "x-a": "later", cookie: "a=always" },
    { a: 1_000 },
  ],
] as const;

describe("of several canaries of one path", () => {
  for (const [name, resources, sent, want] of CASES) {
    test(name, () => {
      assert.deepEqual(sharesOf(resources, sent), want);
    });
  }

  test("the weights of more than can be kept apart take nobody, and are named", () => {
    const names = ["c1", "c2", "c3", "c4", "c5", "c6"];
    const resources = [
      ...BASE,
      ...names.map(service),
      ...names.map((name) =>
        canary(name, { "canary-by-header": `x-${name}`, "canary-weight": "10" }),
      ),
    ];
    assert.deepEqual(messagesOf(resources), ["GL0224 c6"]);
    assert.deepEqual(sharesOf(resources, {}), {
      ...{ c1: 100, c2: 100, c3: 100, c4: 100, c5: 100, base: 500 },
    });
    assert.deepEqual(sharesOf(resources, { "x-c6": "always" }), { c6: 1_000 });
  });
});

describe("the annotation canary", () => {
  for (const [text, codes] of [
    ["T", []],
    ["0", ["GL0219 base"]],
    ["yes", ["GL0219 base", "GL0222 a"]],
  ] as const) {
    test(`"${text}" is read as ingress-nginx reads it`, () => {
      const resources = [...BASE, ingress("a", { canary: text, "canary-weight": "1" })];
      assert.deepEqual(messagesOf(resources), codes);
    });
  }
});
