import assert from "node:assert/strict";
import { test } from "node:test";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import type { Cluster, LaneGroup, Snapshot, Workload } from "../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../snapshot/testing/lane-maker.ts";
import { compileForEnvoy } from "./compile-envoy.ts";
import type { EnvoyConfig, SidecarView } from "./envoy-config.ts";

const LANE = laneOf("gray");
const GROUP = laneGroupOf({
  name: "default/g",
  gateways: [],
  services: ["default/b"],
  context: { mode: "header", routeHeader: "X-Lane" },
  lanes: [LANE],
});
const POD: Workload = {
  sidecar: "envoy",
  name: "a-1",
  namespace: "default",
  labels: { lane: "gray" },
  address: "127.10.0.1",
  inbound: [{ port: 8000, appAddress: "127.20.0.1", appPort: 20_001 }],
  outbound: { address: "127.20.0.1", port: 20_002 },
};

function cluster(service: string, namespace: string, port: number, more = {}): Cluster {
  const host = `${service}.${namespace}.svc.cluster.local`;
  return {
    name: `outbound|${port}||${host}`,
    host,
    aliases: [service, `${service}.${namespace}`],
    namespace,
    port,
    service: `${namespace}/${service}`,
    connectTimeoutMs: 1_000,
    ...more,
  };
}

function compiled(
  groups: readonly LaneGroup[],
  clusters: readonly Cluster[] = [cluster("b", "default", 8000)],
  pod: Workload = POD,
  view: Partial<SidecarView> = {},
): EnvoyConfig {
  const snapshot: Snapshot = {
    ...EMPTY_SNAPSHOT,
    clusters: Object.fromEntries(clusters.map((one) => [one.name, one])),
    laneGroups: Object.fromEntries(groups.map((one) => [one.name, one])),
    workloads: { "default/a-1": pod },
  };
  return compileForEnvoy(snapshot, { role: "sidecar", pod: "default/a-1", ...view });
}

interface EnvoyRoute {
  readonly route?: {
    readonly weighted_clusters?: {
      readonly clusters: readonly {
        readonly request_headers_to_add?: readonly {
          readonly header: { readonly value: string };
        }[];
        readonly request_headers_to_remove?: readonly string[];
        readonly metadata_match?: object;
      }[];
    };
  };
  readonly match: { readonly headers?: readonly object[] };
  readonly request_headers_to_remove?: readonly string[];
}

interface VirtualHost {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly EnvoyRoute[];
}

function hostsOf(config: EnvoyConfig): readonly VirtualHost[] {
  return config.routes["outbound"]?.json["virtual_hosts"] as unknown as readonly VirtualHost[];
}

function routesTo(config: EnvoyConfig, name: string): readonly EnvoyRoute[] {
  return hostsOf(config).find((host) => host.name.includes(name))?.routes ?? [];
}

test("a sidecar listens at the addresses of its pod", () => {
  const { listeners, clusters } = compiled([]);
  assert.deepEqual(Object.keys(listeners), ["inbound:8000", "outbound"]);
  const places = Object.values(listeners).map(({ json }) => json["address"]);
  assert.deepEqual(places, [
    { socket_address: { address: "127.10.0.1", port_value: 8_000 } },
    { socket_address: { address: "127.20.0.1", port_value: 20_002 } },
  ]);
  assert.ok("inbound|8000||" in clusters);
});

test("an idle connection to the app is closed before Node's servers close it", () => {
  const { json = {} } = compiled([]).clusters["inbound|8000||"] ?? {};
  assert.match(JSON.stringify(json), /"common_http_protocol_options":\{"idle_timeout":"4s"\}/);
});

test("nothing is opened for a pod of the embedded engine, nor for one that is not there", () => {
  const embedded = Object.entries(POD).filter(([field]) => field !== "sidecar");
  const pod = Object.fromEntries(embedded) as unknown as Workload;
  assert.deepEqual(compiled([], [], pod).listeners, {});
  const other = { role: "sidecar", pod: "default/other" } as const;
  assert.deepEqual(compileForEnvoy(EMPTY_SNAPSHOT, other).listeners, {});
});

test("a short name is a service of the pod's own namespace, and 80 is the port without one", () => {
  const clusters = [cluster("b", "default", 80), cluster("c", "other", 8000)];
  const [b, c] = hostsOf(compiled([], clusters));
  const full = "b.default.svc.cluster.local";
  assert.deepEqual(b?.domains, [
    ...[`${full}:80`, full, `${full}.:80`, `${full}.`],
    ...["b:80", "b", "b.default:80", "b.default", "b.default.:80", "b.default."],
  ]);
  assert.ok(!(c?.domains ?? []).some((name) => name.startsWith("c:")));
});

test("a call is sent to the lane that it carries, any other tag to the baseline", () => {
  const routes = routesTo(compiled([GROUP]), "b.default");
  const tried = routes.map(({ match, route }) => {
    const [only] = route?.weighted_clusters?.clusters ?? [];
    const [first] = JSON.stringify(only?.metadata_match).match(/"lane\/[^}]*/) ?? [];
    return [match.headers?.length ?? 0, first];
  });
  assert.deepEqual(tried, [
    [1, '"lane/default/g":"gray"'],
    [1, '"lane/default/g":"(baseline)"'],
    [0, '"lane/default/g":"(baseline)"'],
  ]);
});

test("in an isolated group the pod's own lane counts, whatever the call carries", () => {
  const [only, ...others] = routesTo(compiled([{ ...GROUP, isolated: true }]), "b.default");
  assert.deepEqual(others, []);
  const [way] = only?.route?.weighted_clusters?.clusters ?? [];
  assert.deepEqual(way?.request_headers_to_remove, ["x-lane"]);
  assert.equal(way.request_headers_to_add?.[0]?.header.value, "gray");
});

test("hosts outside the mesh are told no lane, neither by name nor by ServiceEntry", () => {
  const entry = cluster("api", "default", 8000, { isOutside: true });
  const config = compiled([GROUP], [entry]);
  const [way] = routesTo(config, "api")[0]?.route?.weighted_clusters?.clusters ?? [];
  assert.deepEqual(way?.request_headers_to_remove, ["x-lane"]);
  const rest = hostsOf(config).find(({ domains }) => domains.includes("*"));
  assert.deepEqual(rest?.routes[0]?.request_headers_to_remove, ["x-lane"]);
  assert.deepEqual(config.refusals, []);
});

test("what a sidecar cannot do is said of the lane group", () => {
  const baggage = { mode: "baggage", routeHeader: "x", baggageKey: "l" } as const;
  const cases: readonly (readonly [more: Partial<LaneGroup>, words: RegExp])[] = [
    [{ context: { ...baggage, stripFromClients: true } }, /write W3C baggage/],
    [{ signature: { keys: [], epoch: 0, lifetimeMs: 1 } }, /sign the context/],
    [{ outsideHosts: ["*"] }, /send the context of lanes to hosts outside/],
    [
      { context: { mode: "traceId", routeHeader: "x", traceHeader: "t" } },
      /remember the lane by a trace id/,
    ],
  ];
  for (const [more, words] of cases) {
    const { refusals } = compiled([{ ...GROUP, ...more }]);
    assert.match(refusals.map(({ message }) => message).join("; "), words);
    assert.deepEqual(refusals[0]?.object, GROUP.source);
  }
});

test("lanes by a trace id are remembered by one VM for both listeners", () => {
  const context = { mode: "traceId", routeHeader: "X-Lane", traceHeader: "X-User" } as const;
  const laneMemory = { path: "/lane-memory.wasm", sha256: "0123" };
  const group = { ...GROUP, context, lanes: [{ ...LANE, tag: "a,b" }] };
  const { listeners, extensions, refusals } = compiled([group], [], POD, { laneMemory });
  for (const [side, listener] of Object.entries({
    inbound: "inbound:8000",
    outbound: "outbound",
  })) {
    const name = `plugin|graylane.lane-memory/${side}`;
    const text = JSON.stringify(extensions[name]?.json).replaceAll("\\", "");
    assert.ok(listeners[listener]?.needs.includes(name) === true);
    assert.match(text, /"vm_id":"graylane.lane-memory\/0123"/);
    const kept = `{"name":"default/g","routeHeader":"x-lane","traceHeader":"x-user"}`;
    assert.ok(text.includes(`{"side":"${side}","groups":[${kept}]}`), text);
  }
  assert.equal(refusals.length, 1);
  assert.match(refusals[0]?.message ?? "", /remember a lane whose tag has a comma/);
  assert.deepEqual(refusals[0]?.object, { kind: "Lane", namespace: "default", name: "gray" });
});

test("a host that is not exported to the pod's namespace is outside the mesh for it", () => {
  const names = (exportTo: readonly string[]): string[] => {
    const { routes } = compiled([], [cluster("b", "default", 8000, { exportTo })]);
    return JSON.stringify(routes).match(/"b\.default:8000"/g) ?? [];
  };
  assert.equal(names(["default"]).length, 1);
  assert.equal(names(["other"]).length, 0);
});

test("a call that is dialled to a pod's address names the app's port, not the sidecar's", () => {
  const inbound = [{ port: 15_100, appAddress: "127.0.0.1", appPort: 8000, dialledPort: 8000 }];
  const pod: Workload = { ...POD, address: "10.1.0.7", inbound };
  const b = cluster("b", "default", 80);
  const endpoint = { address: "10.1.0.7", port: 15_100, pod: "default/a-1", labels: {} };
  const snapshot: Snapshot = {
    ...EMPTY_SNAPSHOT,
    clusters: { [b.name]: b },
    endpoints: { [b.name]: { endpoints: [endpoint] } },
    workloads: { "default/a-1": pod },
  };
  const { routes } = compileForEnvoy(snapshot, { role: "sidecar", pod: "default/a-1" });
  const names = JSON.stringify(routes).match(/"10\.1\.0\.7:\d+"/g);
  assert.deepEqual(names, ['"10.1.0.7:8000"']);
});
