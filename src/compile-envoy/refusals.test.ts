//! What Envoys cannot do is said at the object that asks for it, and answered 503.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "../base/json.ts";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Gateway, Listener, Route, Snapshot } from "../snapshot/snapshot.ts";
import type { ClusterPolicy, RoutePolicy } from "../snapshot/routing.ts";
import type { TlsServer } from "../snapshot/tls.ts";
import { laneGroupOf } from "../snapshot/testing/lane-maker.ts";
import { compileForEnvoy } from "./compile-envoy.ts";
import { Refusals } from "./refusals.ts";

const CLUSTER = "outbound|80||shop.default.svc.cluster.local";
const TARGET = { kind: "cluster", cluster: CLUSTER, subset: null } as const;
const SOURCE = { kind: "VirtualService", namespace: "default", name: "shop" };
const VIEW = { role: "gateway", labels: { a: "b" }, bindAddress: "::", portMap: {} } as const;
const NONE = NO_HEADER_OPERATIONS;
const TLS = {
  serverName: "shop",
  acceptedNames: ["shop"],
  isVerified: true,
  authorities: "",
  certificate: "",
  privateKey: "",
};

const SERVER: TlsServer = {
  ...{ hosts: ["a.test"], certificate: "C", privateKey: "K", clientCa: "" },
  ...{ minVersion: "TLSv1.2", maxVersion: "TLSv1.3" },
};

interface Asked {
  readonly route?: Partial<Route>;
  readonly policy?: ClusterPolicy;
  readonly listener?: Partial<Listener>;
  readonly gateway?: Partial<Gateway>;
}

function snapshotOf({ route, policy, listener, gateway }: Asked): Snapshot {
  const destination = { weight: 1, target: TARGET, fallback: null };
  const one: Route = {
    id: "default/shop/http[0]",
    label: "",
    source: SOURCE,
    matches: [],
    action: {
      kind: "forward",
      destinations: [{ ...destination, requestHeaders: NONE, responseHeaders: NONE }],
    },
    requestHeaders: NONE,
    responseHeaders: NONE,
    timeoutMs: 0,
    ...route,
  };
  const routeTable = "a=b:80";
  const open: Listener = { port: 80, protocol: "HTTP", hosts: ["*"], routeTable, ...listener };
  const gateways = { name: "a=b", labels: { a: "b" }, listeners: [open], plugins: [], ...gateway };
  return {
    ...EMPTY_SNAPSHOT,
    gateways: { "a=b": gateways },
    routeTables: {
      [routeTable]: { name: routeTable, virtualHosts: [{ domains: ["*"], routes: [one] }] },
    },
    clusters: {
      [CLUSTER]: {
        ...{ name: CLUSTER, host: "shop", aliases: [], namespace: "default", port: 80 },
        ...{ service: "default/shop", connectTimeoutMs: 1_000 },
        ...(policy === undefined ? {} : { policy }),
      },
    },
  };
}

const withPolicy = (policy: RoutePolicy): Asked => ({ route: { policy } });
const set = { ...NONE, set: [["host", "x"] as const] };

const ROUTES: readonly { readonly name: string; readonly asked: Asked; readonly says: string }[] = [
  {
    name: "a redirect to the request's port",
    asked: { route: { action: { kind: "redirect", status: 301, port: "request" } } },
    says: "redirect to the port that the request came in at",
  },
  {
    name: "another Host by a header operation",
    asked: { route: { requestHeaders: set } },
    says: "edit the Host field by header operations",
  },
  {
    name: "a mirror with other fields",
    asked: withPolicy({ mirrors: [{ target: TARGET, sharePpm: 1, requestHeaders: set }] }),
    says: "edit the header fields of a mirrored request",
  },
  {
    name: "TLS to a service by the system's authorities, where there are none",
    asked: { policy: { tls: TLS } },
    says: "trust the authorities of the system, of which this machine has no list",
  },
  {
    name: "TLS to a service with a certificate whose key it may not have",
    asked: { policy: { tls: { ...TLS, authorities: "CA", certificate: "C", privateKey: "K" } } },
    says: "show a certificate to a service: it is given no private keys without the xDS token",
  },
  {
    name: "TLS to a service that cannot be used",
    asked: { policy: { tls: { ...TLS, fault: "no Secret a" } } },
    says: "speak TLS to a service: no Secret a",
  },
];

describe("a route that Envoy cannot have is answered 503 that says so, with GL0701 for", () => {
  for (const { name, asked, says } of ROUTES) {
    test(name, () => {
      const { refusals, routes } = compileForEnvoy(snapshotOf(asked), VIEW);
      const message = `Envoy cannot ${says}`;
      assert.deepEqual(
        refusals.map(({ code, severity, object, ...rest }) => ({
          code,
          severity,
          object,
          message: rest.message,
        })),
        [{ code: "GL0701", severity: "error", object: SOURCE, message }],
      );
      const [host] = routes["a=b:80"]?.json["virtual_hosts"] as readonly JsonObject[];
      const [route] = host?.["routes"] as readonly JsonObject[];
      const body = { inline_string: `${message}\n` };
      assert.deepEqual(route?.["direct_response"], { status: 503, body });
    });
  }
});

const LISTENERS: typeof ROUTES = [
  {
    name: "TLS from clients without a certificate that can be used",
    asked: { listener: { tls: [] } },
    says: "end TLS on port 80: no certificate can be used",
  },
  {
    name: "TLS from clients without its keys",
    asked: { listener: { tls: [SERVER] } },
    says: "end TLS on port 80: it is given no private keys without the xDS token",
  },
];

describe("a port that Envoy cannot have is not opened, with GL0701 for", () => {
  for (const { name, asked, says } of LISTENERS) {
    test(name, () => {
      const { refusals, listeners } = compileForEnvoy(snapshotOf(asked), VIEW);
      assert.deepEqual(
        refusals.map(({ code, message }) => `${code} ${message}`),
        [`GL0701 Envoy cannot ${says}`],
      );
      assert.deepEqual(listeners, {});
    });
  }
});

test("a host outside the mesh is refused where there are lanes, and only there", () => {
  const snapshot = snapshotOf({});
  const one = snapshot.clusters[CLUSTER];
  assert.ok(one !== undefined);
  const clusters = { [CLUSTER]: { ...one, isOutside: true as const, source: SOURCE } };
  assert.deepEqual(compileForEnvoy({ ...snapshot, clusters }, VIEW).refusals, []);
  const group = laneGroupOf({
    name: "default/g",
    gateways: [],
    baseline: { kind: "untagged", labelKeys: [] },
    fallback: "strict",
  });
  const { refusals } = compileForEnvoy({ ...snapshot, clusters, laneGroups: { g: group } }, VIEW);
  const message = "Envoy cannot keep the context of lanes from a host outside the mesh";
  assert.deepEqual(
    refusals.map((fault) => fault.message),
    [message],
  );
});

test("an endpoint on a Unix socket is a pipe of Envoy's", () => {
  const there = { address: "unix:///run/a.sock", port: 0, pod: "", labels: {} };
  const snapshot = { ...snapshotOf({}), endpoints: { [CLUSTER]: { endpoints: [there] } } };
  const { endpoints } = compileForEnvoy(snapshot, VIEW);
  const pipe = { pipe: { path: "/run/a.sock" } };
  assert.deepEqual(endpoints[CLUSTER]?.json["endpoints"], [
    { lb_endpoints: [{ endpoint: { address: pipe } }] },
  ]);
});

test("what Envoy can have is refused nowhere", () => {
  assert.deepEqual(compileForEnvoy(snapshotOf({}), VIEW).refusals, []);
});

test("the same refusal at the same object is told once, at another object again", () => {
  const refusals = new Refusals();
  for (const name of ["a", "a", "b"]) refusals.add({ ...SOURCE, name }, "fly");
  assert.deepEqual(
    refusals.list().map(({ object }) => object?.name),
    ["a", "b"],
  );
});

for (const isHedged of [true, false]) {
  test(`a hedge policy is the same for Envoys: ${isHedged ? "on" : "off"}`, () => {
    const retry = {
      ...{ retries: 2, perTryTimeoutMs: 1_000, on: ["5xx"] as const, statuses: [] },
      ...{ backOffBaseMs: 25, backOffMaxMs: 250, ...(isHedged ? { isHedged } : {}) },
    };
    const { routes, refusals } = compileForEnvoy(snapshotOf(withPolicy({ retry })), VIEW);
    assert.deepEqual(refusals, []);
    const text = JSON.stringify(routes);
    assert.equal(text.includes('"hedge_policy":{"hedge_on_per_try_timeout":true}'), isHedged);
  });
}
