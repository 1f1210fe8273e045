//! What is measured: the same traffic rules for each contender, and what a right answer is.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fnv1a32 } from "../../src/base/fnv1a.ts";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../../src/snapshot/snapshot.ts";
import { snapshotVersion } from "../../src/snapshot/delta.ts";
import type { LaneGroup, Route, Snapshot, Subset } from "../../src/snapshot/snapshot.ts";
import type { PlannedRequest } from "../support/open-loop.ts";

export interface Ports {
  readonly v1: number;
  readonly v2: number;
}

export interface Scenario {
  readonly name: string;
  /** In bench/end-to-end/envoy/. */
  readonly envoyFile: string;
  /** In bench/end-to-end/; "" for wrk's own request. */
  readonly wrkScript: string;
  readonly snapshot: (ports: Ports, root: string) => Snapshot;
  /** A request of the checking pass with its expected answer. */
  readonly request: (index: number) => PlannedRequest;
}

const GROUP = "/canary";
const HOST = "mocka.default.svc.cluster.local";
const CLUSTER = `outbound|8000||${HOST}`;
const GATEWAY = "istio=ingressgateway";
const TAG = "x-asm-prefer-tag";
const PLUGIN = "istio-system/hash-tagging";
const CANARY_RANGE = 20;

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

export function pluginFile(root: string): string {
  return join(root, "plugins", "hash-tagging", "hash-tagging.wasm");
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: "plain proxy",
    envoyFile: "plain.yaml",
    wrkScript: "",
    snapshot: (ports) => snapshotOf({ ports, routes: [route(0, {})] }),
    request: () => planned("x-plain: 1", "v1"),
  },
  {
    name: "lane routing with hash-tagging plug-in",
    envoyFile: "lanes.yaml",
    wrkScript: "users.lua",
    snapshot: (ports, root) =>
      snapshotOf({ ports, routes: laneRoutes(), laneGroup: laneGroup(), plugin: pluginFile(root) }),
    request: (index: number): PlannedRequest => {
      const user = index % 20 === 0 ? "jason" : `user-${index}`;
      const bucket = fnv1a32(Buffer.from(user)) % 100;
      return planned(`x-user-id: ${user}`, user === "jason" || bucket < CANARY_RANGE ? "v2" : "v1");
    },
  },
];

function planned(field: string, want: string): PlannedRequest {
  return {
    bytes: `GET / HTTP/1.1\r\nhost: localhost\r\n${field}\r\n\r\n`,
    check: ({ status, body }) => {
      const text = body.toString("latin1");
      return status === 200 && text === want ? null : `${field}: ${status} ${text}, not ${want}`;
    },
  };
}

function lane(name: string): Subset {
  return { kind: "lane", group: GROUP, lane: name };
}

function exact(value: string): { readonly kind: "exact"; readonly value: string } {
  return { kind: "exact", value };
}

interface RouteOptions {
  readonly header?: readonly [name: string, value: string];
  readonly subset?: Subset;
  readonly fallback?: Subset;
  readonly tag?: string;
}

function route(index: number, { header, subset, fallback, tag }: RouteOptions): Route {
  const name = "swimlane-ingress-vs";
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
  return {
    id: `istio-system/${name}/http[${index}]`,
    label: "",
    source: { kind: "VirtualService", namespace: "istio-system", name },
    matches:
      header === undefined
        ? []
        : [{ uri: exact("/"), headers: [{ name: header[0], match: exact(header[1]) }] }],
    action: { kind: "forward", destinations: [destination] },
    requestHeaders: NO_HEADER_OPERATIONS,
    responseHeaders: NO_HEADER_OPERATIONS,
    timeoutMs: 15_000,
  };
}

function laneRoutes(): Route[] {
  const [s1, s2] = [lane("s1"), lane("s2")];
  return [
    route(0, { header: ["x-user-id", "jason"], subset: s2, fallback: s1, tag: "s2" }),
    route(1, { header: [TAG, "s2"], subset: s2, fallback: s1 }),
    route(2, { header: [TAG, "s1"], subset: s1 }),
  ];
}

function laneGroup(): LaneGroup {
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

function laneOf(name: string, version: string): LaneGroup["lanes"][number] {
  const selector = { ASM_TRAFFIC_TAG: version };
  return { name, tag: name, selector, services: [], enabled: true, rule: null };
}

interface SnapshotOptions {
  readonly ports: Ports;
  readonly routes: readonly Route[];
  readonly laneGroup?: LaneGroup;
  /** Path of the module. */
  readonly plugin?: string;
}

function snapshotOf({ ports, routes, laneGroup: group, plugin }: SnapshotOptions): Snapshot {
  const endpoint = (version: "v1" | "v2"): Snapshot["endpoints"][string]["endpoints"][number] => ({
    address: "127.0.0.1",
    port: ports[version],
    pod: `default/mocka-${version}`,
    labels: { app: "mocka", ASM_TRAFFIC_TAG: version },
  });
  const listener = {
    port: 80,
    protocol: "HTTP",
    hosts: ["*"],
    routeTable: `${GATEWAY}:80`,
  } as const;
  const content: Omit<Snapshot, "version"> = {
    ...EMPTY_SNAPSHOT,
    gateways: {
      [GATEWAY]: {
        name: GATEWAY,
        labels: { istio: "ingressgateway" },
        listeners: [listener],
        plugins: plugin === undefined ? [] : [PLUGIN],
      },
    },
    routeTables: {
      [listener.routeTable]: {
        name: listener.routeTable,
        virtualHosts: [{ domains: ["*"], routes }],
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
    endpoints: {
      [CLUSTER]: {
        endpoints: group === undefined ? [endpoint("v1")] : [endpoint("v1"), endpoint("v2")],
      },
    },
    laneGroups: group === undefined ? {} : { [group.name]: group },
    plugins: plugin === undefined ? {} : { [PLUGIN]: pluginOf(plugin) },
  };
  return { ...content, version: snapshotVersion(content) };
}

function pluginOf(path: string): Snapshot["plugins"][string] {
  const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
  return {
    name: PLUGIN,
    source: { kind: "WasmPlugin", namespace: "istio-system", name: "hash-tagging" },
    module: { sha256, path },
    configuration: PLUGIN_CONFIGURATION,
    rootId: "",
    vmId: "",
    failMode: "closed",
    env: {},
  };
}
