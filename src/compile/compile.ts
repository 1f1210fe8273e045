//! Resources to the one immutable snapshot, and what there is to say about them.
//!
//! Pure and total: a fault between objects never stops it. What dangles becomes a fallback, else a
//! 503 that says why. The same resources in any order give the same snapshot and the same messages.

import { keepEqual } from "../base/equal.ts";
import type { Fault } from "../resources/fault.ts";
import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { VirtualService } from "../resources/kinds/virtual-service.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import type { Resource } from "../resources/object.ts";
import { refOf } from "../resources/object.ts";
import { SECTIONS, snapshotVersion } from "../snapshot/delta.ts";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type {
  Cluster,
  EndpointSet,
  Gateway,
  LaneGroup,
  Plugin,
  Route,
  RouteTable,
  Snapshot,
} from "../snapshot/snapshot.ts";
import { reportAsmConflicts } from "./asm-conflicts.ts";
import { withAsmContexts } from "./asm-context.ts";
import { modelAsmLaneGroups } from "./asm-lane.ts";
import { asmRoutes } from "./asm-routes.ts";
import {
  checkDefaultRoutes,
  checkLanePods,
  checkServices,
  checkTaggings,
  collectRunners,
} from "./consistency.ts";
import type { Runner } from "./consistency.ts";
import type { StoredAllocation } from "./allocation-state.ts";
import { compileCohorts } from "./cohorts.ts";
import { ownRoutes } from "./delegate.ts";
import { hasSelector, SliceIndex } from "./endpoint-slice.ts";
import { collectSubsets, rulesByService, withPolicy } from "./destination-rule.ts";
import { collectGateways, compileGateway, reportSharedPorts } from "./gateway.ts";
import type { Gateways, LostPort } from "./gateway.ts";
import { GatewayApi } from "./gateway-api/gateway-api.ts";
import type { ApiStatus } from "./gateway-api/status.ts";
import { addIngressRoutes, impliedGateways } from "./ingress.ts";
import type { LabelIndex } from "../lane/label-index.ts";
import { isMeshTable } from "../lane/mesh-routes.ts";
import { compileHealthCheck } from "./health-check.ts";
import { reportNearness, withWeights } from "./locality.ts";
import { modelLaneGroups, nextExpiryMs } from "./lane-group.ts";
import { reportCallers } from "./lane-callers.ts";
import { reportEntryRoutes } from "./lane-messages.ts";
import type { GroupModel, LaneScope } from "./lane-model.ts";
import { laneFindings } from "./lane-status.ts";
import type { LaneFindings } from "./lane-status.ts";
import { compileLaneGroups } from "./lanes.ts";
import { compileMeshTables } from "./mesh-routes.ts";
import type { MeshScope } from "./mesh-routes.ts";
import type { KeySetMap } from "./key-sets.ts";
import { compareMessages, compareTexts, MessageList } from "./messages.ts";
import { compileEndpoints, compileWorkloads, indexPods } from "./pod.ts";
import { indexResources, namespaceOfKey } from "./resource-index.ts";
import type { ResourceIndex } from "./resource-index.ts";
import {
  bindHosts,
  bindVirtualServices,
  compileRouteTables,
  logicalNames,
  matchesHeader,
} from "./route-table.ts";
import type { Binding } from "./route-table.ts";
import { collectServices } from "./service.ts";
import type { HostClusters } from "./service.ts";
import { collectEntries, compileEntryEndpoints, indexWorkloads } from "./service-entry.ts";
import type { EntryHost, EntryWorld, NameMap } from "./service-entry.ts";
import type { MatchPlaces, TargetScope } from "./target.ts";
import {
  collectRegistryHosts,
  podsByAddress,
  registryEndpoints,
  registryFindings,
} from "./registry.ts";
import type { RegistryAnswers, RegistryHost } from "./registry.ts";
import { UpstreamTlsResolver } from "./upstream-tls.ts";
import { compileRoutes } from "./virtual-service.ts";
import { reportUnmet, sidecarPods } from "./unmet-policies.ts";
import { callerNamespaces, visibleRules } from "./visibility.ts";
import { BLOCKED, compilePlugins } from "./wasm-plugin.ts";
import type { ModuleResult, Plugins } from "./wasm-plugin.ts";

export interface CompileInput {
  readonly resources: readonly Resource[];
  /** Keyed by `pluginKey` of the resource. */
  readonly modules: ReadonlyMap<string, ModuleResult>;
  /**
   * The plug-ins of the snapshot that runs now: one whose new module cannot be had keeps running as
   * it was. Without them such a plug-in is left out (FAIL_OPEN), or its gateways answer 503.
   */
  readonly lastGoodPlugins?: Readonly<Record<string, Plugin>>;
  /** Logical gateways that serve now: a new plug-in that is being fetched does not stop them. */
  readonly servingGateways?: Iterable<string>;
  /** What is as in this snapshot keeps its identity. Changes nothing else. */
  readonly before?: Snapshot;
  /** What DNS says of `namesToResolve`. Absent: names stand for themselves, unresolved. */
  readonly names?: NameMap;
  /** What is at the addresses of `keySetsToFetch`. Absent: nobody fetches keys for Envoys. */
  readonly keySets?: KeySetMap;
  /** What the registries of McpBridges say. Absent: nobody asks them. */
  readonly registries?: RegistryAnswers;
  /** Where the gateways of this machine listen. Absent: not known, and no status tells it. */
  readonly gatewayAddress?: string;
  /** Wall time in milliseconds: lanes that have expired by then are closed. Absent: none has. */
  readonly nowMs?: number;
}

export interface CompileResult {
  readonly snapshot: Snapshot;
  /** In a settled order; `position` is null: who has the files adds it. */
  readonly messages: readonly Fault[];
  /** By `namespace/name` of LaneGroups: what `status.allocation` must hold from now on. */
  readonly allocations: ReadonlyMap<string, StoredAllocation>;
  /** By `refText` of lanes, lane groups and McpBridges: what their status says beside messages. */
  readonly findings: ReadonlyMap<string, LaneFindings>;
  /** By `refText` of objects of the Gateway API: what their status must say. */
  readonly gatewayApi: ReadonlyMap<string, ApiStatus>;
  /** Wall time at which the next lane expires, so that the outcome is another; null: none does. */
  readonly nextExpiryMs: number | null;
}

export function compile(input: CompileInput): CompileResult {
  const messages = new MessageList();
  const index = indexResources(input.resources);
  const api = new GatewayApi(index, messages);
  const gateways = collectGateways([
    ...index.gateways,
    ...impliedGateways(index.ingresses),
    ...api.shaped,
  ]);
  const known = collectServices(index.services);
  const entries = collectEntries(index.serviceEntries, (key) => known.has(key), messages);
  const registered = registryHosts(index, input, (host) => entries.has(host));
  const hosts = new Map<string, HostClusters>([...entries, ...registered]);
  const services = collectServices(index.services, hosts, input.registries !== undefined);
  const scope: LaneScope = {
    gateways,
    services,
    secrets: index.secrets,
    messages,
    keySets: input.keySets ?? null,
    nowMs: input.nowMs ?? null,
  };
  const models = modelGroups(index, scope);
  const bindings = bindAll(index, models, scope);
  const laneGroups = compileLaneGroups(
    models,
    scope,
    (at, header) => matchesHeader(bindings, gateways, at, header) || api.matchesHeader(at, header),
  );
  const plugins = compilePlugins({
    resources: index.plugins,
    gateways: gateways.logical,
    modules: input.modules,
    lastGood: input.lastGoodPlugins ?? {},
    servingGateways: new Set(input.servingGateways ?? []),
    messages,
  });
  const pods = indexPods(index.pods);
  const members = { pods, slices: new SliceIndex(index.endpointSlices, index.pods) };
  const workloads = indexWorkloads(index.workloadEntries);
  const entryWorld = { pods, workloads, names: input.names ?? null, messages };
  const callers = callerNamespaces(gateways, index.pods);
  const rules = visibleRules(index.destinationRules, callers, messages);
  const routed = { bindings, models, laneGroups, plugins };
  const world: World = { index, rules, api, scope, ...members, ...routed };
  const { lostPorts, ...routing } = compileGateways(world);
  const cohorts = compileCohorts({ models, laneGroups, routing, messages });
  const content = {
    formatVersion: 1 as const,
    ...routing,
    ...compileServices(world, { entries, registered }, entryWorld),
    laneGroups: cohorts.laneGroups,
    plugins: plugins.plugins,
    workloads: compileWorkloads(index.pods, messages),
  };
  const runners = collectRunners(index.deployments, index.pods, pods);
  checkLanes(world, { ...routing, endpoints: content.endpoints }, runners);
  const found = laneFindings({ ...content, models, services, pods, runners });
  const bridges = bridgeFindings(index, input, messages);
  const kept = keptFrom(input.before ?? EMPTY_SNAPSHOT, content);
  const snapshot = sorted({ ...kept, version: snapshotVersion(kept) });
  return {
    snapshot,
    messages: messages.sorted(),
    allocations: cohorts.allocations,
    gatewayApi: api.statuses(lostPorts, input.gatewayAddress ?? null),
    findings: new Map([...found, ...bridges]),
    nextExpiryMs: nextExpiryMs(index.lanes, input.nowMs ?? null),
  };
}

function bridgeFindings(
  { mcpBridges }: ResourceIndex,
  { registries }: CompileInput,
  messages: MessageList,
): ReadonlyMap<string, LaneFindings> {
  if (registries === undefined) return new Map<string, LaneFindings>();
  return registryFindings(mcpBridges, registries, messages);
}

function registryHosts(
  { mcpBridges }: ResourceIndex,
  { registries }: CompileInput,
  isTaken: (host: string) => boolean,
): ReadonlyMap<string, RegistryHost> {
  return registries === undefined
    ? new Map<string, RegistryHost>()
    : collectRegistryHosts(mcpBridges, registries, isTaken);
}

/** Of both kinds, in the order of their names. */
function modelGroups(index: ResourceIndex, scope: LaneScope): GroupModel[] {
  const models = [
    ...modelAsmLaneGroups(index.asmLaneGroups, index.asmLanes, scope),
    ...modelLaneGroups(index.laneGroups, index.lanes, scope),
  ].sort((a, b) => compareTexts(a.name, b.name));
  return withAsmContexts(models, index, scope.messages);
}

/** VirtualServices, and behind them what ASM's objects make. */
function bindAll(
  { virtualServices }: ResourceIndex,
  models: readonly GroupModel[],
  { gateways, messages }: LaneScope,
): Binding[] {
  const own = bindVirtualServices(virtualServices, gateways, messages);
  const made = asmRoutes(models, messages);
  reportAsmConflicts(made, own, gateways, messages);
  return [...own, ...made.map(({ binding }) => binding)];
}

/** Everything collected before routes are made. */
interface World {
  readonly index: ResourceIndex;
  /** Those that some caller sees. */
  readonly rules: readonly DestinationRule[];
  readonly api: GatewayApi;
  readonly pods: LabelIndex<Pod>;
  readonly slices: SliceIndex;
  readonly scope: LaneScope;
  readonly bindings: readonly Binding[];
  readonly models: readonly GroupModel[];
  readonly laneGroups: Readonly<Record<string, LaneGroup>>;
  readonly plugins: Plugins;
}

function compileGateways(
  world: World,
): Pick<Snapshot, "gateways" | "routeTables"> & { readonly lostPorts: readonly LostPort[] } {
  const { gateways, messages } = world.scope;
  const compiled = gateways.logical.map((logical) => ({
    ...compileGateway(logical, world.index.secrets, messages),
    plugins: world.plugins.chains.get(logical.name) ?? [],
  }));
  const lostPorts = reportSharedPorts(gateways.logical, messages);
  const places: MatchPlaces = new Map();
  const mesh = meshScope(world, places);
  const meshTables = compileMeshTables(world.bindings, mesh);
  const routesOf = compileAllRoutes(world, places, mesh.made);
  const hosts = bindHosts(world.bindings, gateways, messages);
  checkDefaultRoutes({ hosts, routesOf, ...world }, messages);
  const bound = compileRouteTables(compiled, hosts, { routesOf, places });
  const withIngresses = addIngressRoutes(bound, world.index.ingresses, world.scope);
  const routeTables = world.api.addRoutes(withIngresses, world.scope.services);
  return {
    lostPorts,
    gateways: Object.fromEntries(compiled.map((gateway) => [gateway.name, gateway])),
    routeTables: { ...routeTables, ...blockedTables(compiled, world.plugins), ...meshTables },
  };
}

/** At gateways; what serves nowhere is compiled for what there is to say about it. */
function compileAllRoutes(
  world: World,
  places: MatchPlaces,
  inMesh: MadeRoutes,
): Map<VirtualService, readonly Route[]> {
  const subsets = collectSubsets(world.rules, world.scope.services, world.scope.messages);
  const routesOf = new Map<VirtualService, readonly Route[]>();
  for (const binding of world.bindings) {
    if (binding.gateways.length === 0 && inMesh.has(binding)) continue;
    const callers = [...new Set(binding.gateways.map(namespaceOfKey))].sort();
    const scope = { ...targetScope(binding, world, places), subsets, callers };
    routesOf.set(binding.resource, routesOfBinding(binding, scope));
  }
  return routesOf;
}

/** By the port of calls. */
type MadeRoutes = Map<Binding, Map<number, readonly Route[]>>;

function meshScope(world: World, places: MatchPlaces): MeshScope & { readonly made: MadeRoutes } {
  const { services, messages } = world.scope;
  // What is wrong with the rules themselves has been said.
  const subsets = collectSubsets(world.rules, services, new MessageList());
  const made: MadeRoutes = new Map();
  const routesFor = (binding: Binding, callPort: number): readonly Route[] => {
    const own = made.get(binding) ?? new Map<number, readonly Route[]>();
    const scope = { ...targetScope(binding, world, places), subsets, callPort };
    const routes = own.get(callPort) ?? routesOfBinding(binding, scope);
    made.set(binding, own.set(callPort, routes));
    return routes;
  };
  return { services, places, messages, made, routesFor };
}

function targetScope(
  binding: Binding,
  { scope: { services, messages, gateways }, laneGroups: groups }: World,
  places: MatchPlaces,
): Omit<TargetScope, "subsets"> {
  const laneGroups = groupsFor(binding, groups, gateways);
  return { resource: binding.resource, services, laneGroups, places, messages };
}

function routesOfBinding(
  { resource, makeRoutes, routes }: Binding,
  scope: TargetScope,
): readonly Route[] {
  return makeRoutes?.(scope) ?? compileRoutes(routes ?? ownRoutes(resource), scope);
}

/** Those entered at the VirtualService's own gateways come first: they own a shared lane name. */
function groupsFor(
  binding: Binding,
  groups: Readonly<Record<string, LaneGroup>>,
  gateways: Gateways,
): LaneGroup[] {
  const own = logicalNames(binding, gateways);
  const isOwn = (group: LaneGroup): boolean => group.gateways.some((name) => own.includes(name));
  const all = Object.values(groups);
  return [...all.filter(isOwn), ...all.filter((group) => !isOwn(group))];
}

/** A gateway whose plug-in may not be left out, and has no module, answers 503 to everything. */
function blockedTables(
  gateways: readonly Gateway[],
  { blocked }: Plugins,
): Record<string, RouteTable> {
  const tables: Record<string, RouteTable> = {};
  for (const { name, listeners } of gateways) {
    const cause = blocked.get(name);
    if (cause === undefined) continue;
    const route: Route = {
      id: `${cause.plugin.metadata.namespace ?? ""}/${cause.plugin.metadata.name}/${BLOCKED}`,
      label: "",
      source: refOf(cause.plugin),
      matches: [],
      action: { kind: "direct", status: 503, body: `${cause.message}\n` },
      requestHeaders: NO_HEADER_OPERATIONS,
      responseHeaders: NO_HEADER_OPERATIONS,
      timeoutMs: 0,
    };
    for (const { routeTable } of listeners) {
      const virtualHosts = [{ domains: ["*"], routes: [route] }];
      tables[routeTable] = { name: routeTable, virtualHosts };
    }
  }
  return tables;
}

/** Hosts that no Service stands for. */
interface OtherHosts {
  readonly entries: ReadonlyMap<string, EntryHost>;
  readonly registered: ReadonlyMap<string, RegistryHost>;
}

function othersWithSets(
  { entries, registered }: OtherHosts,
  entryWorld: EntryWorld,
  { pods }: ResourceIndex,
): (readonly [HostClusters, Snapshot["endpoints"]])[] {
  const places = registered.size === 0 ? new Map<string, Pod | null>() : podsByAddress(pods);
  return [
    ...[...entries.values()].map(
      (host) => [host, compileEntryEndpoints(host, entryWorld)] as const,
    ),
    ...[...registered.values()].map((host) => [host, registryEndpoints(host, places)] as const),
  ];
}

function compileServices(
  { scope, pods, slices, index, rules: visible, api }: World,
  { entries, registered }: OtherHosts,
  entryWorld: EntryWorld,
): Pick<Snapshot, "clusters" | "endpoints"> {
  const { services, secrets, messages } = scope;
  const rules = rulesByService(visible, services);
  const tls = new UpstreamTlsResolver(secrets, messages);
  const checks = new Map(
    [...rules.values()].map((rule) => [rule, compileHealthCheck(rule, messages)] as const),
  );
  const settings = { tls, checks };
  const clusters: Record<string, Cluster> = {};
  const endpoints: Record<string, EndpointSet> = {};
  const { grpcClusters } = api;
  for (const entry of services.values()) {
    for (const cluster of entry.clusters) {
      const own = withPolicy(cluster, rules.get(entry.key), settings);
      clusters[cluster.name] = grpcClusters.has(cluster.name) ? { ...own, protocol: "h2" } : own;
    }
    const isSelecting = hasSelector(entry.service);
    const sets = isSelecting ? compileEndpoints(entry, pods) : slices.endpointsOf(entry);
    Object.assign(endpoints, sets);
  }
  for (const [host, sets] of othersWithSets({ entries, registered }, entryWorld, index)) {
    for (const cluster of host.clusters) {
      const own = withPolicy(cluster, rules.get(host.key), settings);
      clusters[cluster.name] = withWeights(own, sets[cluster.name]);
    }
    Object.assign(endpoints, sets);
  }
  const sidecars = sidecarPods(index.pods);
  for (const [key, rule] of rules) {
    const hosts = services.get(key) ?? entries.get(key) ?? registered.get(key);
    const sets = hosts?.clusters.map(({ name }) => endpoints[name]) ?? [];
    reportNearness(rule, sets, scope);
    reportUnmet(rule, sets, { sidecars, messages });
  }
  return { clusters, endpoints };
}

function checkLanes(
  { scope, slices, models, laneGroups, plugins }: World,
  { routeTables, gateways, endpoints }: Pick<Snapshot, "routeTables" | "gateways" | "endpoints">,
  runners: LabelIndex<Runner>,
): void {
  const { services, messages } = scope;
  checkServices({ services, slices, runners }, messages);
  for (const model of models) {
    const group = laneGroups[model.name];
    if (group !== undefined) {
      checkLanePods({ model, group, services, runners, endpoints }, messages);
      reportCallers(model, group, { gateways, messages });
    }
    if (model.entryRoutes !== null) {
      reportEntryRoutes(model, gatewayRoutes(routeTables), messages);
    }
  }
  checkTaggings(plugins, laneGroups, messages);
}

function gatewayRoutes(tables: Snapshot["routeTables"]): Route[] {
  const own = Object.values(tables).filter(({ name }) => !isMeshTable(name));
  return own.flatMap(({ virtualHosts }) => virtualHosts.flatMap(({ routes }) => routes));
}

type Content = Omit<Snapshot, "version">;

/** The entries of `before` in place of those that equal them: only the others are hashed. */
function keptFrom(before: Snapshot, content: Content): Content {
  const sections = SECTIONS.map((name) => [name, keepEqual<unknown>(before[name], content[name])]);
  return { ...content, ...(Object.fromEntries(sections) as Partial<Content>) };
}

/** Sections in the order of their keys, so that a printed snapshot is settled too. */
function sorted(snapshot: Snapshot): Snapshot {
  const byKey = <T>(section: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(section).sort(([a], [b]) => compareTexts(a, b)));
  return {
    ...snapshot,
    gateways: byKey(snapshot.gateways),
    routeTables: byKey(snapshot.routeTables),
    clusters: byKey(snapshot.clusters),
    endpoints: byKey(snapshot.endpoints),
    laneGroups: byKey(snapshot.laneGroups),
    plugins: byKey(snapshot.plugins),
    workloads: byKey(snapshot.workloads),
  };
}

/** The messages that deleting the objects would add: what `delete --dry-run` foretells. */
export function foretellDelete(
  input: CompileInput,
  isDeleted: (resource: Resource) => boolean,
): Fault[] {
  const kept = input.resources.filter((resource) => !isDeleted(resource));
  return compareMessages(compile(input).messages, compile({ ...input, resources: kept }).messages);
}
