import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseManifests } from "../resources/parse.ts";
import { validateResource } from "../resources/validate.ts";
import type { Route } from "../snapshot/snapshot.ts";
import { compile } from "./compile.ts";

const WORLD = `
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: team}
spec: {selector: {app: shop}, ports: [{port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: g, namespace: web}
spec: {selector: {a: b}, servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ["*"]}]}
`;

function virtualService(name: string, spec: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name.split("/")[1]}, namespace: ${name.split("/")[0]}}
spec: {${spec}}
`;
}

/** The root in `web`, whose one route delegates to `team/shop`. */
function root(route: string): string {
  const http = `http: [{${route}, delegate: {name: shop, namespace: team}}]`;
  return virtualService("web/root", `hosts: ["*"], gateways: [g], ${http}`);
}

const delegate = (http: string, more = ""): string =>
  virtualService("team/shop", `${more}http: [${http}]`);

function compiled(text: string): { readonly routes: readonly Route[]; readonly said: string[] } {
  const { documents } = parseManifests(WORLD + text, "t.yaml");
  const resources = documents.map(({ value, positionOf }) => {
    const { resource, faults } = validateResource(value, positionOf);
    assert.ok(resource !== null, JSON.stringify(faults));
    return resource;
  });
  const { snapshot, messages } = compile({ resources, modules: new Map() });
  const routes = snapshot.routeTables["a=b:80"]?.virtualHosts[0]?.routes ?? [];
  const said = messages
    .filter(({ code }) => code !== "GL0215")
    .map(({ code, object, path, message }) => `${code} ${object?.name} ${path}: ${message}`);
  return { routes, said };
}

const TO_SHOP = "route: [{destination: {host: shop}}]";
const ANY = "name: any, match: [{uri: {prefix: /shop}}]";

describe("a route that is delegated", () => {
  test("has the delegate's destination, looked up in the delegate's namespace", () => {
    const { routes, said } = compiled(root(ANY) + delegate(`{name: all, ${TO_SHOP}}`));
    assert.deepEqual(said, []);
    assert.equal(routes.length, 1);
    const [route] = routes;
    assert.equal(route?.id, "web/root/http[0]/team/shop/http[0]");
    assert.equal(route.label, "any-all");
    assert.deepEqual(route.source, { kind: "VirtualService", namespace: "team", name: "shop" });
    assert.deepEqual(route.matches, [{ uri: { kind: "prefix", value: "/shop" } }]);
    assert.match(JSON.stringify(route.action), /outbound\|80\|\|shop\.team\.svc/);
  });

  test("takes from the root what the delegate does not say", () => {
    const policy = "timeout: 5s, retries: {attempts: 1}, headers: {request: {set: {a: root}}}";
    const own = "timeout: 1s, headers: {request: {set: {b: own}}}";
    const { routes } = compiled(root(`${ANY}, ${policy}`) + delegate(`{${own}, ${TO_SHOP}}`));
    assert.equal(routes[0]?.timeoutMs, 1_000);
    assert.equal(routes[0].policy?.retry?.retries, 1);
    assert.deepEqual(routes[0].requestHeaders.set, [["b", "own"]]);
  });

  test("must meet both matches, each alternative of the delegate with each of the root", () => {
    const outer = "match: [{uri: {prefix: /a}, headers: {x: {exact: '1'}}}, {uri: {prefix: /ab}}]";
    const inner = "match: [{uri: {exact: /abc}, method: {exact: GET}}]";
    const { routes, said } = compiled(root(outer) + delegate(`{${inner}, ${TO_SHOP}}`));
    assert.deepEqual(said, []);
    const uri = { kind: "exact", value: "/abc" };
    const method = { kind: "exact", value: "GET" };
    const headers = [{ name: "x", match: { kind: "exact", value: "1" } }];
    assert.deepEqual(routes[0]?.matches, [
      { uri, method, headers },
      { uri, method },
    ]);
  });
});

const CONFLICTS: readonly (readonly [what: string, outer: string, inner: string])[] = [
  ["another prefix", "uri: {prefix: /a}", "uri: {prefix: /b}"],
  ["a wider prefix", "uri: {prefix: /a/b}", "uri: {prefix: /a}"],
  ["a prefix where the root has the whole text", "uri: {exact: /a}", "uri: {prefix: /a}"],
  ["a regular expression", "uri: {prefix: /a}", "uri: {regex: /a.*}"],
  ["another header's value", "headers: {x: {exact: a}}", "headers: {x: {exact: b}}"],
  ["another parameter's value", "queryParams: {x: {exact: a}}", "queryParams: {x: {exact: b}}"],
  ["another exclusion", "withoutHeaders: {x: {exact: a}}", "withoutHeaders: {x: {exact: b}}"],
  ["another port", "port: 80", "port: 81"],
  ["other letters' case", "uri: {prefix: /a}, ignoreUriCase: true", "uri: {prefix: /a}"],
];

describe("a delegate's route is left out, and said so, for", () => {
  for (const [what, outer, inner] of CONFLICTS) {
    test(what, () => {
      const { routes, said } = compiled(
        root(`match: [{${outer}}]`) + delegate(`{match: [{${inner}}], ${TO_SHOP}}`),
      );
      assert.deepEqual(routes, []);
      assert.equal(said.length, 1);
      assert.match(
        said[0] ?? "",
        /^GL0267 shop spec\.http\[0\]\.match: .*web\/root spec\.http\[0\]/,
      );
    });
  }
});

const MISSING: readonly (readonly [what: string, text: string, says: RegExp])[] = [
  ["nobody", "", /there is no VirtualService team\/shop/],
  [
    "one that has hosts",
    virtualService("team/shop", `hosts: [a.b], gateways: [web/g], http: [{${TO_SHOP}}]`),
    /there is no VirtualService team\/shop/,
  ],
  [
    "one that is not exported",
    delegate(`{${TO_SHOP}}`, "exportTo: [., other], "),
    /not exported here is the VirtualService team\/shop/,
  ],
];

describe("a route that delegates to", () => {
  for (const [what, text, says] of MISSING) {
    test(`${what} is answered 503 that says so`, () => {
      const { routes, said } = compiled(root(ANY) + text);
      const action = routes.find(({ source }) => source.name === "root")?.action;
      assert.ok(action?.kind === "direct");
      assert.equal(action.status, 503);
      assert.match(action.body, says);
      assert.match(said.join("\n"), /^GL0266 root spec\.http\[0\]\.delegate: /m);
    });
  }

  test("one that is exported to its namespace is served", () => {
    const { said } = compiled(root(ANY) + delegate(`{${TO_SHOP}}`, "exportTo: [web], "));
    assert.deepEqual(said, []);
  });
});

test("a delegate that nobody names says so, and serves nothing", () => {
  const { routes, said } = compiled(delegate(`{${TO_SHOP}}`));
  assert.deepEqual(routes, []);
  assert.match(said.join("\n"), /^GL0268 shop spec: /);
});

const BAD: readonly (readonly [what: string, spec: string, want: RegExp])[] = [
  ["gateways", `gateways: [g], http: [{${TO_SHOP}}]`, /^GL0119 spec\.gateways: /],
  ["another delegation", "http: [{delegate: {name: x}}]", /^GL0119 spec\.http\[0\]\.delegate: /],
  [
    "a match on labels",
    `http: [{match: [{sourceLabels: {a: b}}], ${TO_SHOP}}]`,
    /^GL0119 spec\.http\[0\]\.match\[0\]\.sourceLabels: /,
  ],
  ["no routes", "hosts: []", /^GL0104 spec: .*needs hosts, or routes/],
  [
    "a namespace that is none",
    `exportTo: [A_B], http: [{${TO_SHOP}}]`,
    /^GL0113 spec\.exportTo\[0\]: /,
  ],
];

describe("a VirtualService without hosts is refused with", () => {
  for (const [what, spec, want] of BAD) {
    test(what, () => {
      const { documents } = parseManifests(virtualService("team/shop", spec), "t.yaml");
      const [first] = documents;
      assert.ok(first !== undefined);
      const { faults } = validateResource(first.value, first.positionOf);
      const said = faults.map(({ code, path, message }) => `${code} ${path}: ${message}`);
      assert.equal(said.length, 1, said.join("\n"));
      assert.match(said[0] ?? "", want);
    });
  }
});
