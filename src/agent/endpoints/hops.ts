//! Which endpoints a call of the app goes to: the list that is in force, asked with the code that
//! sidecars use.

import { systemClock } from "../../base/clock.ts";
import { systemPrng } from "../../base/prng.ts";
import { BAGGAGE_HEADER, baggageValue, removeBaggage, setBaggage } from "../../lane/baggage.ts";
import { baggageKeyOf, carriedHeaderOf, contextTag } from "../../lane/context.ts";
import { drawIndex } from "../../lane/endpoint-weights.ts";
import { chooseEndpoints, prepareHops } from "../../lane/fallback.ts";
import type { LaneHops } from "../../lane/fallback.ts";
import { decisionByCaller, indexGroup, indexLane, withGroup } from "../../lane/group.ts";
import type { IndexedGroup, LaneDecision } from "../../lane/group.ts";
import { HostIndex } from "../../lane/host-index.ts";
import { TagSigner } from "../../lane/signed-tag.ts";
import type { EndpointList } from "../../snapshot/endpoint-list.ts";
import type { Endpoint } from "../../snapshot/snapshot.ts";

export type HeaderLookup = (name: string) => string | undefined;

/** Where one call goes. */
export interface Hop {
  /** Tried in turn, as long as nothing was sent. Empty: the call fails with `failure`. */
  readonly endpoints: readonly Endpoint[];
  readonly failure: Error | null;
  /** Headers to set over what the call has, names lower-case; null: to remove. */
  readonly context: ReadonlyMap<string, string | null>;
}

/** No endpoint may serve the call: its lane has none, and the group's policy allows no other. */
export class LaneEndpointError extends Error {
  readonly code = "GRAYLANE_NO_ENDPOINT";
  /** What a sidecar would have answered. */
  readonly statusCode = 503;

  constructor(message: string) {
    super(message);
    this.name = "LaneEndpointError";
  }
}

interface HopGroup {
  readonly group: IndexedGroup;
  /** Null: tags travel as they are. */
  readonly signer: TagSigner | null;
}

export interface Caller {
  readonly namespace: string;
  /** Name of the pod, `""` when it is not known: then it is in no lane. */
  readonly pod: string;
}

const NO_LABELS: Readonly<Record<string, string>> = {};
const EMPTY_CONTEXT: ReadonlyMap<string, string | null> = new Map();

export class Hops {
  readonly #caller: Caller;
  #lanes: LaneHops = { clusters: new Map(), memo: { bySubset: new Map(), byFallback: new Map() } };
  #hosts = new HostIndex({ clusters: {}, endpoints: {} });
  #groups: readonly HopGroup[] = [];
  #names: readonly string[] = [];
  #labels: Readonly<Record<string, string>> | null = null;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** Takes the list over; throws when it is no list, and keeps the one before. */
  take(list: EndpointList): void {
    const sorted = Object.values(list.laneGroups).sort((a, b) => (a.name < b.name ? -1 : 1));
    const groups = sorted.map((group) => ({
      group: indexGroup(
        group,
        group.lanes.map((lane) => indexLane(group, lane)),
      ),
      signer: group.signature === undefined ? null : new TagSigner(group.name, group.signature),
    }));
    const lanes = prepareHops(
      list,
      groups.map(({ group }) => group),
    );
    const hosts = new HostIndex(list);
    const labels = labelsOf(list, `${this.#caller.namespace}/${this.#caller.pod}`);
    this.#lanes = lanes;
    this.#hosts = hosts;
    this.#groups = groups;
    this.#names = namesOf(groups.map(({ group }) => group));
    // A pod that is not ready is in no list, and has its labels still.
    this.#labels = labels ?? this.#labels;
  }

  /** Headers that requests bring and calls need. */
  names(): readonly string[] {
    return this.#names;
  }

  knows(authority: string): boolean {
    return this.#hosts.resolve(authority, this.#caller.namespace) !== null;
  }

  /** Null: `authority`, `host:port`, is no service that is known. */
  route(authority: string, header: HeaderLookup): Hop | null {
    const host = this.#hosts.resolve(authority, this.#caller.namespace);
    if (host === null) return null;
    const members = this.#lanes.clusters.get(host.cluster.name)?.groups ?? [];
    const context = new Map<string, string | null>();
    const lookup: HeaderLookup = (name) => {
      const written = context.get(name);
      return written === undefined ? header(name) : (written ?? undefined);
    };
    let decision: LaneDecision | null = null;
    for (const each of this.#groups) {
      const tag = this.#carry(each, lookup, context);
      if (members.includes(each.group)) decision = withGroup(decision, each.group, tag);
    }
    const { endpoints, missing } = chooseEndpoints(this.#lanes, {
      target: host.target,
      fallback: null,
      group: decision?.group ?? null,
      lane: decision?.lane ?? null,
    });
    return {
      endpoints: fromRandom(endpoints),
      failure: missing === null ? null : new LaneEndpointError(missing),
      context: context.size === 0 ? EMPTY_CONTEXT : context,
    };
  }

  /** The tag that the call carries in this group; as a sidecar it is written in all its places. */
  #carry(
    { group, signer }: HopGroup,
    lookup: HeaderLookup,
    context: Map<string, string | null>,
  ): string | undefined {
    if (group.group.isolated === true) return this.#carryOwn({ group, signer }, lookup, context);
    const text = contextTag(group, lookup);
    if (text === undefined) return undefined;
    const checked = signer?.check(text, systemClock.nowMs()) ?? { tag: text };
    const isBelieved = "tag" in checked;
    write(group, isBelieved ? text : null, lookup, context);
    return isBelieved ? checked.tag : undefined;
  }

  /** In an isolated group the calling pod decides, and nothing that its request carries. */
  #carryOwn(
    { group, signer }: HopGroup,
    lookup: HeaderLookup,
    context: Map<string, string | null>,
  ): string | undefined {
    const { tag } = decisionByCaller(group, this.#labels ?? NO_LABELS);
    const isSigned = tag !== null && signer !== null;
    const text = isSigned ? signer.sign(tag, systemClock.nowMs()) : tag;
    write(group, text, lookup, context);
    return tag ?? undefined;
  }
}

/** Sets the context where the call lacks it, or (null) takes it away. */
function write(
  group: IndexedGroup,
  text: string | null,
  lookup: HeaderLookup,
  context: Map<string, string | null>,
): void {
  if ((lookup(group.routeHeader) ?? null) !== text) context.set(group.routeHeader, text);
  const key = baggageKeyOf(group);
  if (key === null) return;
  const before = lookup(BAGGAGE_HEADER) ?? "";
  if ((baggageValue(before, key) ?? null) === text) return;
  const after = text === null ? removeBaggage(before, [key]) : setBaggage(before, key, text).field;
  context.set(BAGGAGE_HEADER, after === "" ? null : after);
}

/** Also the route header in the other modes: what the agent knows it carries by itself. */
function namesOf(groups: readonly IndexedGroup[]): readonly string[] {
  return [...new Set(groups.flatMap((group) => [group.routeHeader, carriedHeaderOf(group)]))];
}

function labelsOf(list: EndpointList, pod: string): Readonly<Record<string, string>> | null {
  for (const { endpoints } of Object.values(list.endpoints)) {
    const own = endpoints.find((endpoint) => endpoint.pod === pod);
    if (own !== undefined) return own.labels;
  }
  return null;
}

/** The same in a ring from a random one: the first serves, the others stand by. */
function fromRandom(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  if (endpoints.length < 2) return endpoints;
  const start = drawIndex(endpoints, systemPrng);
  return start === 0 ? endpoints : [...endpoints.slice(start), ...endpoints.slice(0, start)];
}
