//! Finds what every object for itself is right about and all together are not: lanes without pods,
//! pods without lanes, requests without a route, tags without a lane.

import { isInBaseline, isInLane } from "../lane/membership.ts";
import type { Deployment } from "../resources/kinds/deployment.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import type { VirtualService } from "../resources/kinds/virtual-service.ts";
import type { WasmPlugin } from "../resources/kinds/wasm-plugin.ts";
import type { EndpointSet, Lane, LaneGroup, Route } from "../snapshot/snapshot.ts";
import { LabelIndex } from "../lane/label-index.ts";
import type { LaneModel, GroupModel } from "./lane-model.ts";
import { hasSelector } from "./endpoint-slice.ts";
import type { SliceIndex } from "./endpoint-slice.ts";
import type { MessageList } from "./messages.ts";
import { pluginKey } from "./plugin-kinds.ts";
import type { Plugins } from "./wasm-plugin.ts";
import { hasLabels, keyOf, listNames, namespaceOf } from "./resource-index.ts";
import { routesPath } from "./route-table.ts";
import type { BoundHost } from "./route-table.ts";
import type { ServiceClusters, ServiceMap } from "./service.ts";

/** What runs or will run: a Deployment's template, or a Pod that no Deployment made. */
export interface Runner {
  /** `Deployment default/mocka-v1`: stays the same while pods come and go. */
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

export function collectRunners(
  deployments: readonly Deployment[],
  pods: readonly Pod[],
  podIndex: LabelIndex<Pod>,
): LabelIndex<Runner> {
  const made = new Set(
    deployments.flatMap((deployment) =>
      podIndex.select(namespaceOf(deployment), deployment.spec.selector.matchLabels ?? {}),
    ),
  );
  const runners = [
    ...deployments.map((deployment) => ({
      name: `Deployment ${keyOf(deployment)}`,
      namespace: namespaceOf(deployment),
      labels: deployment.spec.template.metadata?.labels ?? {},
    })),
    ...pods
      .filter((pod) => !made.has(pod))
      .map((pod) => ({
        name: `Pod ${keyOf(pod)}`,
        namespace: namespaceOf(pod),
        labels: pod.metadata.labels ?? {},
      })),
  ];
  return new LabelIndex(runners, (runner) => runner);
}

export interface ServiceWorld {
  readonly services: ServiceMap;
  readonly slices: SliceIndex;
  readonly runners: LabelIndex<Runner>;
}

export function checkServices(
  { services, slices, runners }: ServiceWorld,
  messages: MessageList,
): void {
  for (const entry of services.values()) {
    if (runnersOf(entry, runners).length > 0) continue;
    if (!hasSelector(entry.service) && slices.slicesOf(entry.service).length > 0) continue;
    messages.add(entry.service, {
      severity: "info",
      code: "GL0215",
      path: "spec.selector",
      message: hasSelector(entry.service)
        ? "no Deployment or Pod carries the selector's labels, so calls answer 503"
        : "the Service has no selector and no EndpointSlice, so calls answer 503",
    });
  }
}

export interface LanePods {
  readonly model: GroupModel;
  readonly group: LaneGroup;
  readonly services: ServiceMap;
  readonly runners: LabelIndex<Runner>;
  /** By cluster: who is behind hosts that no Service stands for. */
  readonly endpoints: Readonly<Record<string, EndpointSet>>;
}

/** The endpoints of a host that no Service stands for, as what runs there. */
export function instancesOf(
  host: string,
  { services, endpoints }: Pick<LanePods, "services" | "endpoints">,
): readonly Runner[] {
  const [cluster] = services.entryHosts.get(host)?.clusters ?? [];
  const own = cluster === undefined ? [] : (endpoints[cluster.name]?.endpoints ?? []);
  return own.map(({ address, port, pod, labels }) => ({
    name: pod === "" ? `${address}:${port}` : `Pod ${pod}`,
    namespace: "",
    labels,
  }));
}

/** Every lane against everything that runs behind the group's member services. */
export function checkLanePods(
  { model, group, services, runners, endpoints }: LanePods,
  messages: MessageList,
): void {
  const members = new Set(
    group.services.flatMap((key) => {
      const entry = services.get(key);
      return entry === undefined
        ? instancesOf(key, { services, endpoints })
        : runnersOf(entry, runners);
    }),
  );
  const memberships = membershipsOf(members, group.lanes);
  for (const current of model.lanes) checkLane(current, memberships, messages);
  const stray = [...members].filter(
    (runner) =>
      !isInBaseline(runner, group.baseline, group.lanes) &&
      memberships.ofRunner.get(runner)?.length === 0,
  );
  if (stray.length === 0) return;
  messages.add(model.resource, {
    severity: "warning",
    code: "GL0308",
    path: "spec.services",
    message:
      `${listNames(stray.map((runner) => laneLabelled(runner, group)))}: in no lane and not in ` +
      "the baseline, so no request of the group reaches it",
    remedy:
      "Take a baseline pod's lane labels away, apply the lane that selects the pods, or delete " +
      "what is left over.",
  });
}

/** With the labels that keep it out of the baseline. */
function laneLabelled({ name, labels }: Runner, { baseline }: LaneGroup): string {
  if (baseline.kind === "lane") return name;
  const own = baseline.labelKeys.filter((key) => Object.hasOwn(labels, key));
  return `${name} (${own.map((key) => `${key}=${labels[key] ?? ""}`).join(", ")})`;
}

/** Who is in which lane. */
interface Memberships {
  /** In the order of the lanes. */
  readonly placeOf: ReadonlyMap<Lane, number>;
  readonly ofRunner: ReadonlyMap<Runner, readonly Lane[]>;
  readonly ofLane: ReadonlyMap<Lane, readonly Runner[]>;
}

/** Each runner is compared only with the lanes that ask for one of its labels. */
function membershipsOf(members: Iterable<Runner>, lanes: readonly Lane[]): Memberships {
  const placeOf = new Map(lanes.map((lane, place) => [lane, place]));
  const asking = new Map<string, Lane[]>();
  for (const lane of lanes) {
    const text = labelText(Object.entries(lane.selector)[0]);
    const others = asking.get(text);
    if (others === undefined) asking.set(text, [lane]);
    else others.push(lane);
  }
  const ofRunner = new Map<Runner, readonly Lane[]>();
  const ofLane = new Map<Lane, Runner[]>(lanes.map((lane) => [lane, []]));
  for (const runner of members) {
    const labels = [undefined, ...Object.entries(runner.labels)];
    const own = labels
      .flatMap((label) => asking.get(labelText(label)) ?? [])
      .filter((lane) => isInLane(runner, lane));
    ofRunner.set(runner, own);
    for (const lane of own) ofLane.get(lane)?.push(runner);
  }
  return { placeOf, ofRunner, ofLane };
}

/** Without a label: of a selector that selects everything. */
function labelText(label: readonly [key: string, value: string] | undefined): string {
  return label === undefined ? "" : label.join("=");
}

function checkLane(
  { lane, resource, selectorPath: path }: LaneModel,
  { placeOf, ofRunner, ofLane }: Memberships,
  messages: MessageList,
): void {
  const own = ofLane.get(lane) ?? [];
  if (own.length === 0) {
    messages.add(resource, {
      severity: "info",
      code: "GL0309",
      path,
      message: `no Deployment or Pod of the group's services is in the lane ${lane.name}`,
    });
  }
  const place = (one: Lane): number => placeOf.get(one) ?? 0;
  const shared = new Map<Lane, Runner[]>();
  for (const runner of own) {
    for (const other of ofRunner.get(runner) ?? []) {
      // Each pair once, told at the later lane; equal selectors have a message of their own.
      if (place(other) >= place(lane) || isSameSelector(other, lane)) continue;
      const both = shared.get(other);
      if (both === undefined) shared.set(other, [runner]);
      else both.push(runner);
    }
  }
  for (const [other, both] of [...shared].sort(([a], [b]) => place(a) - place(b))) {
    messages.add(resource, {
      severity: "warning",
      code: "GL0307",
      path,
      message: `${listNames(both.map(({ name }) => name))}: in the lane ${other.name} too`,
      remedy: "Give each pod the labels of one lane, or make the selectors narrower.",
    });
  }
}

function isSameSelector(a: Lane, b: Lane): boolean {
  const keys = Object.keys(a.selector);
  return keys.length === Object.keys(b.selector).length && hasLabels(b.selector, a.selector);
}

function runnersOf({ service }: ServiceClusters, runners: LabelIndex<Runner>): readonly Runner[] {
  return runners.select(namespaceOf(service), service.spec.selector ?? {});
}

/** A header that a plug-in's configuration says it sets, and the values. */
interface Tagging {
  readonly header: string;
  readonly value: string;
  readonly path: string;
}

/** What a plug-in with hash-tagging's configuration sets; nothing for other configurations. */
export function taggingsOf({ spec }: WasmPlugin): Tagging[] {
  return items(spec.pluginConfig?.["rules"]).flatMap((rule, ruleIndex) => {
    const header = field(rule, "tagHeader");
    if (typeof header !== "string") return [];
    return items(field(rule, "policies")).flatMap((policy, index) => {
      const value = field(policy, "tagValue");
      const path = `spec.pluginConfig.rules[${ruleIndex}].policies[${index}].tagValue`;
      return typeof value === "string" ? [{ header: header.toLowerCase(), value, path }] : [];
    });
  });
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Tags that a plug-in sets although no lane has them. */
export function checkTaggings(
  plugins: Plugins,
  groups: Readonly<Record<string, LaneGroup>>,
  messages: MessageList,
): void {
  const reported = new Set<string>();
  for (const [gateway, resources] of plugins.applied) {
    const here = Object.values(groups).filter(({ gateways }) => gateways.includes(gateway));
    for (const resource of resources) {
      for (const { header, value, path } of taggingsOf(resource)) {
        const group = here.find(({ context }) => context.routeHeader === header);
        const place = `${keyOf(resource)} ${path}`;
        if (group === undefined || reported.has(place)) continue;
        if (group.lanes.some(({ tag }) => tag === value)) continue;
        reported.add(place);
        messages.add(resource, {
          severity: "warning",
          code: "GL0422",
          path,
          message: `no lane of the lane group ${group.name} has the tag ${value}`,
          remedy: "Give those users the tag of a lane, or apply the lane.",
        });
      }
    }
  }
}

export interface DefaultRoutes {
  readonly hosts: readonly BoundHost[];
  readonly routesOf: ReadonlyMap<VirtualService, readonly Route[]>;
  readonly laneGroups: Readonly<Record<string, LaneGroup>>;
  readonly plugins: Plugins;
}

/**
 * Virtual hosts where every route wants a header: what requests without it get. It matters when a
 * plug-in that sets the header goes away.
 */
export function checkDefaultRoutes(
  { hosts, routesOf, laneGroups, plugins }: DefaultRoutes,
  messages: MessageList,
): void {
  const groups = Object.values(laneGroups);
  const reported = new Set<string>();
  for (const host of hosts) {
    const owner = host.owners.at(-1);
    const routes = host.owners.flatMap((resource) => routesOf.get(resource) ?? []);
    const place = `${host.gateway.name} ${host.domain}`;
    if (owner === undefined || reported.has(place) || !routes.every(wantsHeader)) continue;
    if (routes.length === 0) continue;
    reported.add(place);
    reportNoDefault({ host, routes, owner, groups, plugins }, messages);
  }
}

function wantsHeader({ matches }: Route): boolean {
  return matches.length > 0 && matches.every(({ headers = [] }) => headers.length > 0);
}

interface NoDefault {
  readonly host: BoundHost;
  readonly routes: readonly Route[];
  readonly owner: VirtualService;
  readonly groups: readonly LaneGroup[];
  readonly plugins: Plugins;
}

function reportNoDefault(
  { host, routes, owner, groups, plugins }: NoDefault,
  messages: MessageList,
): void {
  const wanted = [
    ...new Set(
      routes.flatMap(({ matches }) =>
        matches.flatMap(({ headers = [] }) => headers.map(({ name }) => name)),
      ),
    ),
  ].sort();
  const chain = plugins.chains.get(host.gateway.name) ?? [];
  const setters = (plugins.applied.get(host.gateway.name) ?? []).filter(
    (resource) =>
      chain.includes(pluginKey(resource)) &&
      taggingsOf(resource).some(({ header }) => wanted.includes(header)),
  );
  const routeHeaders = groups
    .filter(({ gateways }) => gateways.includes(host.gateway.name))
    .map(({ context }) => context.routeHeader);
  const tags = wanted.filter(
    (name) =>
      routeHeaders.includes(name) ||
      setters.some((resource) => taggingsOf(resource).some(({ header }) => header === name)),
  );
  const main = tags.length > 0 ? tags : wanted;
  const others = wanted.filter((name) => !main.includes(name));
  const without = others.length === 0 ? "" : ` (nor a matching ${others.join(" or ")})`;
  const count = `${routes.length} ${routes.length === 1 ? "rule" : "rules"}`;
  messages.add(owner, {
    severity: setters.length > 0 ? "info" : "warning",
    code: "GL0211",
    path: routesPath(owner, "http"),
    message:
      `requests without ${main.join(" or ")}${without} match no route of virtual host ` +
      `${host.domain}: ${count}, no default route; they get a 404` +
      (setters.length > 0 ? `, unless ${listNames(setters.map(pluginName))} sets it` : ""),
    remedy:
      setters.length > 0
        ? ""
        : "Add a last route without match, or a plug-in that sets the header for everybody.",
  });
}

function pluginName(resource: WasmPlugin): string {
  return `the plug-in ${keyOf(resource)}`;
}
