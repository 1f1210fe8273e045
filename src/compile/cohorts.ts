//! Ratios of lanes to the shares of the snapshot, and the allocation that is kept for next time.
//!
//! A pure function of the ratios that are wanted and of the allocation that was: what a write,
//! a restart or a restored status makes of it is the same everywhere.

import { allocate, shareOf } from "../lane/allocation.ts";
import type { AllocationTable, WantedShare } from "../lane/allocation.ts";
import { DEFAULT_TABLE } from "../lane/cohort.ts";
import { isEntryRoute } from "../lane/decide.ts";
import { MODULO_DEFAULT, PPM_TOTAL } from "../lane/key-hash.ts";
import type { GroupRatio, LaneRatio, RatioKey } from "../resources/kinds/ratio.ts";
import { ownerOf } from "../resources/kinds/route-owner.ts";
import type { Resource } from "../resources/object.ts";
import { sharePpm } from "../resources/share.ts";
import type { CohortDeal, CohortInterval, CohortKey, Cohorts } from "../snapshot/cohort.ts";
import type { LaneGroup, Route, RouteTable, Snapshot } from "../snapshot/snapshot.ts";
import {
  isSameAllocation,
  readAllocation,
  storeAllocation,
  TABLES_MAX,
} from "./allocation-state.ts";
import type { Allocation, StoredAllocation } from "./allocation-state.ts";
import type { GroupModel } from "./lane-model.ts";
import { compareTexts } from "./messages.ts";
import type { MessageList } from "./messages.ts";
import { listNames } from "./resource-index.ts";

export interface CohortScope {
  readonly models: readonly GroupModel[];
  readonly laneGroups: Readonly<Record<string, LaneGroup>>;
  readonly routing: Pick<Snapshot, "gateways" | "routeTables">;
  readonly messages: MessageList;
}

export interface CompiledCohorts {
  readonly laneGroups: Readonly<Record<string, LaneGroup>>;
  /** By `namespace/name` of the LaneGroup: what its status must hold before this is published. */
  readonly allocations: ReadonlyMap<string, StoredAllocation>;
}

/** A group that has shares, or had some. */
interface ShareGroup {
  readonly model: GroupModel;
  readonly group: LaneGroup;
  readonly resource: Resource;
  readonly old: Allocation;
  readonly lanes: readonly ShareLane[];
  readonly routes: readonly BaseRoute[];
}

interface ShareLane {
  readonly name: string;
  readonly resource: Resource;
  readonly ratio: LaneRatio | undefined;
  readonly ratioPath: string;
  readonly enabled: boolean;
}

/** A route at which lanes of the group are entered. */
interface BaseRoute {
  readonly id: string;
  /** The names under which it may have shares of its own, the narrowest first. */
  readonly tables: readonly string[];
}

export function compileCohorts(scope: CohortScope): CompiledCohorts {
  const groups = scope.models.flatMap((model) => shareGroup(model, scope));
  if (groups.length === 0) return { laneGroups: scope.laneGroups, allocations: new Map() };
  const overfull = findOverfull(groups, scope.messages);
  const laneGroups = { ...scope.laneGroups };
  const allocations = new Map<string, StoredAllocation>();
  for (const one of groups) {
    const next = nextAllocation(one, overfull.get(one) ?? new Set(), scope.messages);
    const stored = storeAllocation(next);
    const isNew = isKept(one.resource) && !isSameAllocation(stored, storedBy(one.resource));
    if (isNew) allocations.set(one.model.name, stored);
    const cohorts = cohortsOf(one, next);
    if (cohorts !== null) laneGroups[one.model.name] = { ...one.group, cohorts };
  }
  return { laneGroups, allocations };
}

/** Nothing for a group without ratio, now and before; so such groups cost nothing. */
function shareGroup(model: GroupModel, scope: CohortScope): ShareGroup[] {
  const group = scope.laneGroups[model.name];
  if (group === undefined) return [];
  const { resource } = model;
  const lanes = model.lanes.map(({ lane, resource: owner, ratio, ratioPath }) => ({
    name: lane.name,
    resource: owner,
    ratio,
    ratioPath,
    enabled: lane.enabled,
  }));
  const hasRatio = lanes.some(({ ratio }) => ratio !== undefined);
  if (!hasRatio && storedBy(resource) === undefined) return [];
  const old = isKept(resource) ? readAllocation(resource.status) : NO_ALLOCATION;
  if (typeof old === "string") {
    scope.messages.add(resource, {
      severity: "error",
      code: "GL0343",
      path: "spec.ratio",
      message: `status.allocation cannot be read, so no share of the group has effect: ${old}`,
      remedy: "Restore it from a copy, or remove it: then all users are dealt anew.",
    });
    return [];
  }
  const routes = baseRoutes(group, scope.routing);
  // Where ASM's own route does not serve, the gateway or the host has been named already.
  if (isKept(resource)) reportRoutes(lanes, routes, scope.messages);
  return [{ model, group, resource, old, lanes, routes }];
}

/** Whether the outcome depends on history: of a draw for each request, as ASM's, it does not. */
function isKept({ kind }: Resource): boolean {
  return kind === "LaneGroup";
}

const NO_ALLOCATION: Allocation = { deal: null, tables: new Map() };

function storedBy(resource: Resource): unknown {
  const { status } = resource;
  if (!isKept(resource) || typeof status !== "object" || status === null) return undefined;
  return (status as { readonly allocation?: unknown }).allocation ?? undefined;
}

function baseRoutes(
  group: LaneGroup,
  { gateways, routeTables }: CohortScope["routing"],
): BaseRoute[] {
  const found = new Map<string, BaseRoute>();
  for (const name of group.gateways) {
    for (const { routeTable } of gateways[name]?.listeners ?? []) {
      for (const route of routesOf(routeTables[routeTable])) {
        if (!isEntryRoute({ group }, route)) continue;
        found.set(route.id, { id: route.id, tables: tableNames(route) });
      }
    }
  }
  return [...found.values()];
}

function routesOf(table: RouteTable | undefined): RouteTable["virtualHosts"][number]["routes"] {
  return (table?.virtualHosts ?? []).flatMap(({ routes }) => routes);
}

/** Kinds that a share names by a word of their own. */
const NAMED_KINDS: ReadonlySet<string> = new Set(["HTTPRoute", "GRPCRoute", "Ingress"]);

/** What a share at the route may be called, the narrowest first. */
function tableNames({ source, label }: Route): string[] {
  const owner = `${source.namespace}/${source.name}`;
  const owners = NAMED_KINDS.has(source.kind) ? [`${source.kind}:${owner}`, owner] : [owner];
  return owners.flatMap((name) => (label === "" ? [name] : [`${name}/${label}`, name]));
}

function tableNameOf(route: NonNullable<LaneRatio["routes"]>[number]): string {
  const { name, kind } = ownerOf(route);
  const prefix = kind === undefined ? "" : `${kind}:`;
  const owner = `${prefix}${route.namespace ?? "default"}/${name}`;
  return route.route === undefined ? owner : `${owner}/${route.route}`;
}

function reportRoutes(
  lanes: readonly ShareLane[],
  routes: readonly BaseRoute[],
  messages: MessageList,
): void {
  const known = new Set(routes.flatMap(({ tables }) => tables));
  for (const { resource, ratio, ratioPath } of lanes) {
    (ratio?.routes ?? []).forEach((route, index) => {
      const name = tableNameOf(route);
      if (known.has(name)) return;
      messages.add(resource, {
        severity: "warning",
        code: "GL0342",
        path: `${ratioPath}.routes[${index}]`,
        message: `the group's gateways have no route ${name}, so this share has no effect`,
        remedy: "Correct the names, or apply the object with the route.",
      });
    });
  }
}

/** What a lane wants at a table: its own share there, else of the VirtualService, else of all. */
function wantedAt(ratio: LaneRatio | undefined, table: string): number {
  if (ratio === undefined) return 0;
  const names = [table, table.split("/").slice(0, 2).join("/")];
  for (const name of names) {
    const own = (ratio.routes ?? []).find((route) => tableNameOf(route) === name);
    if (own !== undefined) return sharePpm(own);
  }
  return sharePpm(ratio);
}

/** The table of a base route: the narrowest that some lane names, or that still differs. */
function tableFor({ tables }: BaseRoute, named: ReadonlySet<string>): string {
  return tables.find((name) => named.has(name)) ?? DEFAULT_TABLE;
}

function namedTables({ lanes, old }: ShareGroup): Set<string> {
  const named = lanes.flatMap(({ ratio }) => (ratio?.routes ?? []).map(tableNameOf));
  const all = [...named, ...old.tables.keys()].filter((name) => name !== DEFAULT_TABLE);
  // A VirtualService goes before its routes, which inherit from it.
  return new Set(all.sort(compareTexts));
}

/**
 * Tables where the shares of all groups come to more than 100 %. A closed lane counts: its users
 * are kept for it.
 */
function findOverfull(
  groups: readonly ShareGroup[],
  messages: MessageList,
): Map<ShareGroup, Set<string>> {
  const overfull = new Map<ShareGroup, Set<string>>(groups.map((one) => [one, new Set()]));
  const reported = new Set<string>();
  const check = (where: string, members: readonly Member[]): void => {
    const totalPpm = members.reduce((sum, { ppm }) => sum + ppm, 0);
    if (totalPpm <= PPM_TOTAL) return;
    for (const { one, table } of members) overfull.get(one)?.add(table);
    const text = describeMembers(members);
    for (const { one } of members) {
      if (reported.has(`${one.model.name} ${text}`)) continue;
      reported.add(`${one.model.name} ${text}`);
      messages.add(one.resource, {
        severity: "error",
        code: "GL0340",
        path: one.model.ratioPath,
        message: `at ${where} the shares come to ${percent(totalPpm)}: ${text}`,
        remedy: isKept(one.resource)
          ? "Lower them to 100 % together; until then none grows."
          : "Lower them to 100 % together; until then the baseline has all.",
      });
    }
  };
  for (const one of groups) check("every base route", [memberAt(one, DEFAULT_TABLE)]);
  for (const [id, owners] of byRoute(groups)) {
    const members = owners.map(({ one, route }) =>
      memberAt(one, tableFor(route, namedTables(one))),
    );
    check(`the base route ${id}`, members);
  }
  return overfull;
}

interface Member {
  readonly one: ShareGroup;
  readonly table: string;
  readonly ppm: number;
}

function memberAt(one: ShareGroup, table: string): Member {
  const ppm = one.lanes.reduce((sum, { ratio }) => sum + wantedAt(ratio, table), 0);
  return { one, table, ppm };
}

function byRoute(
  groups: readonly ShareGroup[],
): Map<string, { readonly one: ShareGroup; readonly route: BaseRoute }[]> {
  const owners = new Map<string, { one: ShareGroup; route: BaseRoute }[]>();
  for (const one of groups) {
    for (const route of one.routes) {
      const list = owners.get(route.id);
      if (list === undefined) owners.set(route.id, [{ one, route }]);
      else list.push({ one, route });
    }
  }
  return owners;
}

function describeMembers(members: readonly Member[]): string {
  return members
    .filter(({ ppm }) => ppm > 0)
    .map(({ one, table }) => {
      const lanes = one.lanes
        .map(({ name, ratio }) => ({ name, ppm: wantedAt(ratio, table) }))
        .filter(({ ppm }) => ppm > 0)
        .map(({ name, ppm }) => `${name} ${percent(ppm)}`);
      return `lane group ${one.model.name} (${listNames(lanes, 10)})`;
    })
    .join(", ");
}

/** Parts per million as people write them. */
export function percent(ppm: number): string {
  return `${ppm / 10_000} %`;
}

function nextAllocation(
  one: ShareGroup,
  overfull: ReadonlySet<string>,
  messages: MessageList,
): Allocation {
  const { old, lanes, routes } = one;
  const deal = nextDeal(one, messages);
  const tables = new Map<string, AllocationTable>();
  // Dealt for the first time, a base route agrees with the others as far as its shares go.
  const startOf = (name: string, mayNotGrow: boolean): AllocationTable => {
    const had = inherited(old.tables, name);
    return had.length > 0 || mayNotGrow ? had : inherited(tables, name);
  };
  const deals = (name: string): void => {
    const before = old.tables.get(name) ?? startOf(name, overfull.has(name));
    const wanted = lanes.map(({ name: lane, ratio }) => ({
      lane,
      sharePpm: wantedAt(ratio, name),
    }));
    const fitting = overfull.has(name) ? withoutGrowth(wanted, before) : wanted;
    const { table, refused } = allocate(before, fitting);
    reportRefused(one, refused, messages);
    tables.set(name, table);
  };
  deals(DEFAULT_TABLE);
  const present = new Set(routes.flatMap((route) => route.tables));
  for (const name of namedTables(one)) {
    // A VirtualService that is away may come back: its users wait for it.
    if (present.has(name)) deals(name);
    else if (old.tables.has(name)) tables.set(name, onlyLanes(old.tables.get(name) ?? [], lanes));
  }
  return { deal, tables: bounded(one, tables) };
}

/** A base route's first own table begins as what it had until then. */
function inherited(tables: ReadonlyMap<string, AllocationTable>, name: string): AllocationTable {
  const owner = name.split("/").slice(0, 2).join("/");
  return tables.get(owner) ?? tables.get(DEFAULT_TABLE) ?? [];
}

function withoutGrowth(wanted: readonly WantedShare[], before: AllocationTable): WantedShare[] {
  return wanted.map(({ lane, sharePpm: ppm }) => ({
    lane,
    sharePpm: Math.min(ppm, shareOf(before, lane)),
  }));
}

function onlyLanes(table: AllocationTable, lanes: readonly ShareLane[]): AllocationTable {
  return table.filter(({ lane }) => lanes.some(({ name }) => name === lane));
}

/** Drops a table that no lane names and that says what the one above it says. */
function bounded(
  { lanes }: ShareGroup,
  tables: ReadonlyMap<string, AllocationTable>,
): Map<string, AllocationTable> {
  const named = new Set(lanes.flatMap(({ ratio }) => (ratio?.routes ?? []).map(tableNameOf)));
  const kept = new Map<string, AllocationTable>();
  for (const [name, table] of tables) {
    const above = inherited(kept, name);
    const isNeeded = name === DEFAULT_TABLE || named.has(name) || !isSameAllocation(table, above);
    if (isNeeded && kept.size < TABLES_MAX) kept.set(name, table);
  }
  return kept;
}

/** Salt, hash and key change only while no lane has a share: else everybody would be moved. */
function nextDeal({ old, resource, model }: ShareGroup, messages: MessageList): CohortDeal | null {
  const wanted = dealOf(model.ratio, model.name);
  const hasShares = [...old.tables.values()].some((table) => table.length > 0);
  if (wanted === null || old.deal === null || !hasShares) return wanted;
  const changed = (["key", "hash", "salt", "modulo"] as const).filter(
    (part) => !isSameAllocation(wanted[part], old.deal?.[part]),
  );
  if (changed.length === 0) return wanted;
  messages.add(resource, {
    severity: "error",
    code: "GL0341",
    path: `spec.ratio.${changed[0] ?? "salt"}`,
    message:
      `${changed.join(" and ")} cannot change while a lane has a share: every user would be ` +
      "dealt anew; the old one stays in force",
    remedy: "Set the ratio of every lane to 0%, change it, and raise the ratios again.",
  });
  return old.deal;
}

export function dealOf(ratio: GroupRatio | undefined, group: string): CohortDeal | null {
  if (ratio?.sticky !== true || ratio.key === undefined) return null;
  const { hash } = ratio;
  const saltDefault = hash === "murmur3" ? group : "";
  return {
    key: keyFrom(ratio.key),
    hash,
    salt: ratio.salt ?? saltDefault,
    modulo: ratio.modulo ?? MODULO_DEFAULT,
  };
}

function keyFrom(key: RatioKey): CohortKey {
  if (key.header !== undefined) return { kind: "header", name: key.header.toLowerCase() };
  if (key.cookie !== undefined) return { kind: "cookie", name: key.cookie };
  if (key.claim !== undefined) return { kind: "claim", name: key.claim };
  if (key.issuedCookie === undefined) return { kind: "clientIp" };
  const { name, maxAgeSeconds } = key.issuedCookie;
  return { kind: "issuedCookie", name, maxAgeSeconds };
}

function reportRefused(one: ShareGroup, refused: readonly string[], messages: MessageList): void {
  for (const { name, resource, ratioPath } of one.lanes) {
    if (!refused.includes(name)) continue;
    messages.add(resource, {
      severity: "error",
      code: "GL0344",
      path: ratioPath,
      message: "the share cannot grow: its users are in too many pieces",
      remedy: "Set a lane that is not needed any more to 0%, or finish this release first.",
    });
  }
}

/** Null when nobody is in any share. A closed lane keeps its buckets, and nobody is in it. */
function cohortsOf({ lanes, routes }: ShareGroup, allocation: Allocation): Cohorts | null {
  const open = new Set(lanes.filter(({ enabled }) => enabled).map(({ name }) => name));
  const tables: Record<string, readonly CohortInterval[]> = {};
  for (const [name, table] of allocation.tables) tables[name] = inOrder(table, open);
  if (Object.values(tables).every((intervals) => intervals.length === 0)) return null;
  const named = new Set(allocation.tables.keys());
  const owned = routes
    .map((route) => [route.id, tableFor(route, named)] as const)
    .filter(([, table]) => table !== DEFAULT_TABLE);
  return { deal: allocation.deal, tables, routes: Object.fromEntries(owned.sort()) };
}

function inOrder(table: AllocationTable, open: ReadonlySet<string>): CohortInterval[] {
  const all = table
    .filter(({ lane }) => open.has(lane))
    .flatMap(({ lane, intervals }) =>
      intervals.map(([fromPpm, toPpm]) => ({ fromPpm, toPpm, lane })),
    );
  return all.sort((a, b) => a.fromPpm - b.fromPpm);
}
