//! The configurations that the gateway is measured with.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { A_TEST } from "../../src/dataplane/testing/certificates.ts";
import { snapshotVersion } from "../../src/snapshot/delta.ts";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../../src/snapshot/snapshot.ts";
import type {
  Condition,
  Lane,
  LaneGroup,
  Listener,
  Route,
  Snapshot,
  Subset,
  VirtualHost,
} from "../../src/snapshot/snapshot.ts";
import type { TlsServer } from "../../src/snapshot/tls.ts";
import type { Ports } from "./scenario.ts";

const GROUP = "/canary";
const HOST = "mocka.default.svc.cluster.local";
const CLUSTER = `outbound|8000||${HOST}`;
const GATEWAY = "istio=ingressgateway";
const TAG = "x-asm-prefer-tag";
const LANE_LABEL = "ASM_TRAFFIC_TAG";
const PLUGIN = "istio-system/hash-tagging";
/** Of a hundred users so many are in the canary. */
export const CANARY_RANGE = 20;

/** The plug-in's configuration of examples/asm-hash-tagging. */
export const PLUGIN_CONFIGURATION: string = JSON.stringify({
  rules: [
    {
      header: "x-user-id",
      modulo: 100,
      tagHeader: TAG,
      policies: [
        { range: CANARY_RANGE, tagValue: "s2" },
        { range: 100, tagValue: "s1" },
      ],
    },
  ],
});

const TLS: TlsServer = {
  hosts: ["*"],
  ...A_TEST,
  clientCa: "",
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.3",
};

export function pluginFile(root: string): string {
  return join(root, "plugins", "hash-tagging", "hash-tagging.wasm");
}

function lane(name: string): Subset {
  return { kind: "lane", group: GROUP, lane: name };
}

function exact(value: string): { readonly kind: "exact"; readonly value: string } {
  return { kind: "exact", value };
}

interface RouteOptions {
  readonly index?: number;
  /** The name of the VirtualService in istio-system. */
  readonly of?: string;
  readonly path?: string;
  readonly header?: readonly [name: string, value: string];
  readonly subset?: Subset;
  readonly fallback?: Subset;
  readonly tag?: string;
}

/** Without path and header it takes every request. */
export function route(options: RouteOptions): Route {
  const { index, path, header, subset, fallback, tag } = options;
  const name = options.of ?? "swimlane-ingress-vs";
  const destination = {
    weight: 100,
    target: { kind: "cluster", cluster: CLUSTER, subset: subset ?? null } as const,
    fallback:
      fallback === undefined
        ? null
        : ({ kind: "cluster", cluster: CLUSTER, subset: fallback } as const),
    requestHeaders:
      tag === undefined
        ? NO_HEADER_OPERATIONS
        : { ...NO_HEADER_OPERATIONS, set: [[TAG, tag] as const] },
    responseHeaders: NO_HEADER_OPERATIONS,
  };
  const headers = header === undefined ? [] : [{ name: header[0], match: exact(header[1]) }];
  return {
    id: `istio-system/${name}/http[${index ?? 0}]`,
    label: "",
    source: { kind: "VirtualService", namespace: "istio-system", name },
    matches: path === undefined ? [] : [{ uri: exact(path), headers }],
    action: { kind: "forward", destinations: [destination] },
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
    timeoutMs: 15_000,
  };
}

export function laneRoutes(): Route[] {
  const [s1, s2] = [lane("s1"), lane("s2")];
  return [
    route({ path: "/", header: ["x-user-id", "jason"], subset: s2, fallback: s1, tag: "s2" }),
    route({ index: 1, path: "/", header: [TAG, "s2"], subset: s2, fallback: s1 }),
    route({ index: 2, path: "/", header: [TAG, "s1"], subset: s1 }),
  ];
}

export function laneGroup(): LaneGroup {
  return {
    name: GROUP,
    source: { kind: "ASMSwimLaneGroup", namespace: "", name: "canary" },
    gateways: [GATEWAY],
    services: ["default/mocka"],
    baseline: { kind: "lane", lane: "s1" },
    fallback: "permissive",
    serviceFallback: {},
    context: { mode: "traceId", routeHeader: TAG, traceHeader: "x-user-id" },
    stripFromClients: false,
    lanes: [laneOf("s1", "v1"), laneOf("s2", "v2")],
  };
}

interface RuledGroup {
  readonly name: string;
  readonly lanes: readonly Lane[];
  readonly entryRoutes?: LaneGroup["entryRoutes"];
}

/** Of lanes that are entered by rules, each with a pod of its own. */
export function ruledGroup({ name, lanes, entryRoutes }: RuledGroup): LaneGroup {
  return {
    name: `default/${name}`,
    source: { kind: "LaneGroup", namespace: "default", name },
    gateways: [GATEWAY],
    services: ["default/mocka"],
    baseline: { kind: "untagged", labelKeys: [LANE_LABEL] },
    fallback: "permissive",
    serviceFallback: {},
    context: { mode: "header", routeHeader: `x-${name}-lane` },
    stripFromClients: true,
    lanes,
    ...(entryRoutes === undefined ? {} : { entryRoutes }),
  };
}

export function ruledLane(name: string, condition: Condition): Lane {
  const rule = { programVersion: 2, condition } as const;
  return { ...laneOf(name, name), rule };
}

function laneOf(name: string, version: string): Lane {
  const selector = { [LANE_LABEL]: version };
  return { name, tag: name, selector, services: [], enabled: true, rule: null };
}

export interface SnapshotOptions {
  readonly ports: Ports;
  /** Of all hosts. */
  readonly routes?: readonly Route[];
  readonly virtualHosts?: readonly VirtualHost[];
  readonly laneGroups?: readonly LaneGroup[];
  /** Paths of modules, in their order. */
  readonly plugins?: readonly string[];
  readonly isSecure?: boolean;
}

type Endpoint = Snapshot["endpoints"][string]["endpoints"][number];

/** `v1` serves the baseline, and `v2` every lane but that of the label `v1`. */
function endpointsOf(ports: Ports, groups: readonly LaneGroup[]): Endpoint[] {
  const endpoint = (version: "v1" | "v2", labels: Endpoint["labels"]): Endpoint => ({
    address: "127.0.0.1",
    port: ports[version],
    pod: `default/mocka-${Object.values(labels).join("-")}`,
    labels: { app: "mocka", ...labels },
  });
  const lanes = groups.flatMap((group) => group.lanes.map(({ selector }) => selector));
  const isBaselineLane = (labels: Endpoint["labels"]): boolean => labels[LANE_LABEL] === "v1";
  return [
    ...(lanes.some(isBaselineLane) ? [] : [endpoint("v1", {})]),
    ...lanes.map((labels) => endpoint(isBaselineLane(labels) ? "v1" : "v2", labels)),
  ];
}

export function snapshotOf(options: SnapshotOptions): Snapshot {
  const { ports, routes = [route({})], laneGroups = [], plugins = [], isSecure = false } = options;
  const { virtualHosts = [{ domains: ["*"], routes }] } = options;
  const named = plugins.map((path, at) => pluginOf(path, `${PLUGIN}-${at}`));
  const listener: Listener = {
    port: 80,
    protocol: "HTTP",
    hosts: ["*"],
    routeTable: `${GATEWAY}:80`,
    ...(isSecure ? { tls: [TLS] } : {}),
  };
  const content: Omit<Snapshot, "version"> = {
    ...EMPTY_SNAPSHOT,
    gateways: {
      [GATEWAY]: {
        name: GATEWAY,
        labels: { istio: "ingressgateway" },
        listeners: [listener],
        plugins: named.map(({ name }) => name),
      },
    },
    routeTables: {
      [listener.routeTable]: {
        name: listener.routeTable,
        virtualHosts,
      },
    },
    clusters: {
      [CLUSTER]: {
        name: CLUSTER,
        host: HOST,
        aliases: ["mocka", "mocka.default", HOST],
        namespace: "default",
        port: 8000,
        service: "default/mocka",
        connectTimeoutMs: 1_000,
      },
    },
    endpoints: { [CLUSTER]: { endpoints: endpointsOf(ports, laneGroups) } },
    laneGroups: Object.fromEntries(laneGroups.map((group) => [group.name, group])),
    plugins: Object.fromEntries(named.map((plugin) => [plugin.name, plugin])),
  };
  return { ...content, version: snapshotVersion(content) };
}

function pluginOf(path: string, name: string): Snapshot["plugins"][string] {
  const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
  return {
    name,
    source: { kind: "WasmPlugin", namespace: "istio-system", name: "hash-tagging" },
    module: { sha256, path },
    configuration: PLUGIN_CONFIGURATION,
    rootId: "",
    vmId: "",
    failMode: "closed",
    env: {},
  };
}
