//! What a request must come to, by docs/lanes.md and docs/resources.md alone: written from those
//! pages, not from the code, and importing nothing of it.

import type {
  Condition,
  Rule,
  Seen,
  World,
  WorldLane,
  WorldRequest,
  WorldRoute,
  WorldTarget,
  WorldToken,
  WorldTokens,
} from "./world.ts";

export interface Pod {
  readonly name: string;
  readonly service: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Setting {
  readonly world: World;
  readonly pods: readonly Pod[];
  readonly laneHeader: string;
  readonly laneMember: string;
}

const OK = 200;
const TEAPOT = 418;
const NOT_FOUND = 404;
const UNAVAILABLE = 503;
/** "The baseline": a pod that carries none of these, beside the keys of the lanes. */
const BASELINE_KEYS = ["ASM_TRAFFIC_TAG", "alicloud.service.tag", "lane"];

/** Why this outcome is wrong; null: it is right. */
export function judge(setting: Setting, request: WorldRequest, seen: Seen): string | null {
  const { world } = setting;
  const route = world.routes.find((one) => takes(one, request));
  if (route === undefined) return expectStatus(seen, NOT_FOUND, "no route takes it");
  if (route.target === null) return expectStatus(seen, TEAPOT, "the route answers itself");
  const decided = decide(setting, route.target, request);
  const eligible = atGateway(setting, route, decided.lane);
  const first = judgeHop(eligible, seen, 0, "the gateway");
  if (first !== null || eligible.length === 0) return first;
  return (
    judgeTold(setting, seen, 0, decided.tag) ??
    judgeCalls(setting, request, seen, decided.tag) ??
    judgeBaggage(setting, request, seen)
  );
}

interface Decided {
  /** Null: the baseline. */
  readonly lane: WorldLane | null;
  /** What the next hops are told. */
  readonly tag: string | null;
}

/** "Who is decided into which lane". */
function decide(setting: Setting, target: WorldTarget, request: WorldRequest): Decided {
  const { world } = setting;
  const told = world.accepts ? toldBy(setting, request) : null;
  if (target.lane !== null) {
    const lane = world.lanes.find(({ name }) => name === target.lane);
    if (lane === undefined) return { lane: null, tag: told };
    return { lane, tag: lane.enabled ? lane.tag : told };
  }
  if (told !== null) return { lane: laneOfTag(world, told), tag: told };
  const asked = { request, tokens: world.tokens };
  const open = [...world.lanes]
    .filter(({ enabled }) => enabled)
    .sort(inOrder)
    .filter(({ forcedOut }) => forcedOut === null || !holds(forcedOut, asked));
  const forced = open.find(({ forcedIn }) => forcedIn !== null && holds(forcedIn, asked));
  const lane = forced ?? open.find(({ rule }) => rule !== null && holds(rule, asked)) ?? null;
  return { lane, tag: lane?.tag ?? null };
}

/** "Where both stand on a call, the route header counts"; "a member that stands twice: the first". */
function toldBy({ world, laneHeader, laneMember }: Setting, request: WorldRequest): string | null {
  const header = headerOf(request, laneHeader) ?? "";
  if (header !== "") return header;
  if (world.mode === "header") return null;
  return laneIn(request.baggage.flat(), laneMember);
}

function laneIn(members: readonly string[], laneMember: string): string | null {
  const name = `${laneMember}=`;
  const found = members.find((one) => one.startsWith(name)) ?? name;
  return found === name ? null : found.slice(name.length);
}

function inOrder(a: WorldLane, b: WorldLane): number {
  return a.priority - b.priority || (a.name < b.name ? -1 : 1);
}

/** "A tag that no lane has, or of a closed lane, means the baseline". */
function laneOfTag({ lanes }: World, tag: string): WorldLane | null {
  return lanes.find((lane) => lane.tag === tag && lane.enabled) ?? null;
}

/** "Which pods serve a hop", with the route's own fallback. */
function atGateway(setting: Setting, route: WorldRoute, lane: WorldLane | null): readonly Pod[] {
  const { target, fallback } = route;
  if (target === null) return [];
  const own = ownPods(setting, target.service, lane);
  if (own.length > 0) return own;
  if (fallback !== null && mayFallBack(setting.world, target.service, lane)) {
    const second = setting.world.lanes.find(({ name }) => name === fallback.lane) ?? null;
    const others = podsFor(setting, fallback.service, second);
    if (others.length > 0) return others;
  }
  return podsFor(setting, target.service, lane);
}

function podsFor(setting: Setting, service: string, lane: WorldLane | null): readonly Pod[] {
  const { world, pods } = setting;
  if (!world.members.includes(service)) return pods.filter((pod) => pod.service === service);
  const own = ownPods(setting, service, lane);
  if (own.length > 0 || lane === null) return own;
  if (!mayFallBack(world, service, lane)) return [];
  if (policyOf(world, service) === "chain" && lane.enabled) {
    for (const parent of parentsOf(world, lane)) {
      const found = ownPods(setting, service, parent);
      if (found.length > 0) return found;
    }
  }
  return ownPods(setting, service, null);
}

/** Of a lane that is open and holds the service; of the baseline. */
function ownPods(setting: Setting, service: string, lane: WorldLane | null): readonly Pod[] {
  const { world, pods } = setting;
  const all = pods.filter((pod) => pod.service === service);
  if (!world.members.includes(service)) return all;
  if (lane === null) {
    const keys = [...BASELINE_KEYS, ...world.lanes.map(({ label }) => label[0])];
    return all.filter(({ labels }) => keys.every((key) => labels[key] === undefined));
  }
  if (!lane.enabled || (lane.services.length > 0 && !lane.services.includes(service))) return [];
  return all.filter(({ labels }) => labels[lane.label[0]] === lane.label[1]);
}

/** "A closed lane's requests always fall back." */
function mayFallBack(world: World, service: string, lane: WorldLane | null): boolean {
  return lane?.enabled !== true || policyOf(world, service) !== "strict";
}

function policyOf({ policy, strictService }: World, service: string): World["policy"] {
  return service === strictService ? "strict" : policy;
}

/** "The lane's parents in turn". */
function parentsOf({ lanes }: World, { parent }: WorldLane): WorldLane[] {
  const found: WorldLane[] = [];
  let next = lanes.find(({ name }) => name === parent);
  while (next !== undefined && !found.includes(next)) {
    found.push(next);
    const above = next.parent;
    next = lanes.find(({ name }) => name === above);
  }
  return found;
}

/** "Every hop follows": by the header, or with `isolated` by the calling pod's lane. */
function judgeCalls(
  setting: Setting,
  request: WorldRequest,
  seen: Seen,
  tag: string | null,
): string | null {
  const { world, pods } = setting;
  for (const [index, service] of request.hops.entries()) {
    const caller = pods.find(({ name }) => name === seen.hops[index]?.name);
    if (caller === undefined) return `hop ${index} is nobody`;
    let lane = tag === null ? null : laneOfTag(world, tag);
    if (world.isolated) {
      lane = callersLane(world, caller);
    }
    const eligible = podsFor(setting, service, lane);
    const wrong = judgeHop(eligible, seen, index + 1, caller.name);
    if (wrong !== null || eligible.length === 0) return wrong;
    const wrongTag = world.isolated ? null : judgeTold(setting, seen, index + 1, tag);
    if (wrongTag !== null) return wrongTag;
  }
  return seen.hops.length > request.hops.length + 1 ? "there are more hops than calls" : null;
}

/** "The first open lane, by priority and name, whose selector the pod's labels meet". */
function callersLane({ lanes }: World, { labels }: Pod): WorldLane | null {
  const met = lanes.filter(({ enabled, label }) => enabled && labels[label[0]] === label[1]);
  return met.sort(inOrder)[0] ?? null;
}

function judgeHop(
  eligible: readonly Pod[],
  seen: Seen,
  index: number,
  caller: string,
): string | null {
  const found = seen.hops[index]?.name;
  const names = eligible.map(({ name }) => name);
  if (found !== undefined) {
    if (names.includes(found)) return null;
    return `${caller} called ${found}, not ${names.join(" or ") || "nobody"}`;
  }
  const status = index === 0 ? seen.status : seen.lastStatus;
  if (names.length === 0 && status === UNAVAILABLE) return null;
  return `${caller} got ${status}, not ${names.join(" or ") || UNAVAILABLE}`;
}

/** By the route header, and in baggage by the member; what both say must be one. */
function judgeTold(
  { world, laneMember }: Setting,
  seen: Seen,
  index: number,
  tag: string | null,
): string | null {
  const hop = seen.hops[index];
  const header = hop?.tag ?? null;
  const member = laneIn(membersOf(hop?.baggage ?? null), laneMember);
  if (world.mode === "header" ? header === tag : isToldTwice(world, [header, member], tag)) {
    return null;
  }
  const found = world.mode === "header" ? [header] : [header, member];
  return `hop ${index} was told the lane ${found.map(String).join(" and ")}, not ${String(tag)}`;
}

/** A tag that no open lane has is the baseline's: what came goes on, and nothing is written. */
function isToldTwice(world: World, found: readonly (string | null)[], tag: string | null): boolean {
  const isOfNobody = tag !== null && laneOfTag(world, tag) === null;
  return found.every((one) => one === tag || (isOfNobody && one === null));
}

/** "The members of others stay", at every hop, in their order. */
function judgeBaggage(
  { laneMember }: Setting,
  { baggage }: WorldRequest,
  { hops }: Seen,
): string | null {
  const othersOf = (members: readonly string[]): string =>
    members.filter((one) => !one.startsWith(`${laneMember}=`)).join();
  const wanted = othersOf(baggage.flat());
  for (const [index, hop] of hops.entries()) {
    const found = othersOf(membersOf(hop.baggage));
    if (found !== wanted) return `hop ${index} was told the baggage ${found}, not ${wanted}`;
  }
  return null;
}

function membersOf(baggage: string | null): string[] {
  return (baggage ?? "").split(",").map((one) => one.trim());
}

function expectStatus(seen: Seen, status: number, why: string): string | null {
  if (seen.status === status && seen.hops.length === 0) return null;
  return `${why}, so ${status}, not ${seen.status === OK ? "a pod's answer" : seen.status}`;
}

function takes({ prefix, exact, header }: WorldRoute, request: WorldRequest): boolean {
  const path = pathOf(request);
  if (prefix !== null && !path.startsWith(prefix)) return false;
  if (exact !== null && path !== exact) return false;
  return header === null || headerOf(request, "x-a") === header;
}

interface Asked {
  readonly request: WorldRequest;
  readonly tokens: WorldTokens | null;
}

/** "Rules". */
function holds(rule: Rule, asked: Asked): boolean {
  if ("all" in rule) return rule.all.every((one) => holds(one, asked));
  if ("any" in rule) return rule.any.some((one) => holds(one, asked));
  if ("not" in rule) return !holds(rule.not, asked);
  return compare(rule, operandOf(rule, asked));
}

function operandOf(condition: Condition, { request, tokens }: Asked): string | undefined {
  const { header, cookie, query, path, claim } = condition;
  if (claim !== undefined) return claimOf(request.token, tokens, claim);
  if (header !== undefined) return headerOf(request, header);
  if (cookie !== undefined) return cookieOf(headerOf(request, "cookie") ?? "", cookie);
  if (query !== undefined) return queryOf(request.path, query);
  return path === true ? pathOf(request) : request.method;
}

/** "A claim counts only after the signature and `exp`, `nbf`, `iss` and `aud` have been checked". */
function claimOf(
  token: WorldToken | null,
  tokens: WorldTokens | null,
  name: string,
): string | undefined {
  if (token === null || tokens === null || token.flaw !== null) return undefined;
  const { issuer, audience } = tokens;
  if (issuer !== null && token.issuer !== issuer) return undefined;
  if (audience !== null && !token.audiences.includes(audience)) return undefined;
  const value = token.claims[name];
  return value === undefined ? undefined : String(value);
}

/** Of a missing operand only these hold. */
const OF_MISSING: ReadonlySet<string> = new Set(["absent", "!=", "notIn"]);
const OPERATORS: Readonly<
  Record<string, (found: string, value: string, values: readonly string[]) => boolean>
> = {
  exists: () => true,
  absent: () => false,
  "==": (found, value) => found === value,
  "!=": (found, value) => found !== value,
  in: (found, _value, values) => values.includes(found),
  notIn: (found, _value, values) => !values.includes(found),
  prefix: (found, value) => found.startsWith(value),
  suffix: (found, value) => found.endsWith(value),
  contains: (found, value) => found.includes(value),
};

function compare({ operator, value = "", values = [] }: Condition, found?: string): boolean {
  const holdsFor = OPERATORS[operator];
  if (holdsFor === undefined) throw new Error(`the oracle does not know the operator ${operator}`);
  return found === undefined ? OF_MISSING.has(operator) : holdsFor(found, value, values);
}

function pathOf({ path }: WorldRequest): string {
  return path.split("?")[0] ?? "";
}

function headerOf({ headers }: WorldRequest, name: string): string | undefined {
  return headers.find(([one]) => one === name)?.[1];
}

function cookieOf(text: string, name: string): string | undefined {
  for (const part of text.split(";")) {
    const at = part.indexOf("=");
    if (at >= 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim();
  }
  return undefined;
}

function queryOf(path: string, name: string): string | undefined {
  const at = path.indexOf("?");
  if (at < 0) return undefined;
  for (const part of path.slice(at + 1).split("&")) {
    const [key = "", ...rest] = part.split("=");
    if (key === name) return decodeURIComponent(rest.join("=").replaceAll("+", " "));
  }
  return undefined;
}
