//! What a response says of its request's lane, to callers who may know.

import { createHash, timingSafeEqual } from "node:crypto";
import type { Headers } from "../../http/headers.ts";
import type { LaneDecision, PreparedLaneGroup } from "../../lane/decide.ts";
import { BASELINE_NAME } from "../../lane/fallback.ts";
import type { PreparedLanes } from "../../lane/fallback.ts";
import type { Subset } from "../../snapshot/snapshot.ts";
import { isLoopback } from "../loopback.ts";
import type { LaneOutcome } from "../filter/lane-filter.ts";
import type { Exchange } from "./exchange.ts";
import { TRACE_HEADER } from "./own-fields.ts";
import type { OwnFields } from "./own-fields.ts";

/** Which lane the request is in and which served it. */
export const LANE_RESPONSE_HEADER = "x-graylane-lane";

export interface Told {
  readonly headers: Headers;
  readonly outcome: LaneOutcome | null;
  /** The client's, as far as it can be trusted. */
  readonly clientAddress: string;
  /** What the request has asked of the gateway. */
  readonly asked: OwnFields | null;
}

/** Adds the fields that the caller may see; nothing for a request that no lane group decided. */
export function tellLane(exchange: Exchange, lanes: PreparedLanes, told: Told): void {
  const { decision, servedLane, fallback } = exchange;
  if (decision === null) return;
  const group = lanes.groups.get(decision.group);
  if (!isAllowed(exchange, group, told) && !hasToken(group, told.asked)) return;
  const lane = decision.lane ?? BASELINE_NAME;
  const why = fallback === "" ? "" : `; ${fallback}`;
  told.headers.set(
    LANE_RESPONSE_HEADER,
    `${lane}; reason=${decision.reason}; served=${servedLane}${why}`,
  );
  if (told.asked?.asksForTrace === true) {
    told.headers.set(TRACE_HEADER, traceOf(exchange, lanes, decision, told.outcome));
  }
}

function isAllowed(
  exchange: Exchange,
  group: PreparedLaneGroup | undefined,
  { clientAddress }: Told,
): boolean {
  const isTold = group?.isTold ?? null;
  if (isTold !== null) return isTold(clientAddress);
  return isLoopback(exchange.connection.remoteAddress) && isLoopback(clientAddress);
}

/** Digests are compared, in a time that tells nothing of how much of them is right. */
function hasToken(group: PreparedLaneGroup | undefined, asked: OwnFields | null): boolean {
  const wanted = group?.group.traceTokenDigest;
  if (wanted === undefined || asked === null || asked.token === "") return false;
  const given = createHash("sha256").update(asked.token, "latin1").digest();
  return timingSafeEqual(given, Buffer.from(wanted, "base64"));
}

/** `group=default/shop; lane=gray; reason=rule; hop=default/a; wanted=gray; served=baseline; …`. */
function traceOf(
  exchange: Exchange,
  lanes: PreparedLanes,
  { group, reason, lane }: LaneDecision,
  outcome: LaneOutcome | null,
): string {
  const name = lane ?? BASELINE_NAME;
  const request = `request=${exchange.requestId}`;
  const decided = `group=${group}; lane=${name}; reason=${reason}`;
  const target = outcome?.destination?.target;
  const choice = outcome?.choice ?? null;
  if (target?.kind !== "cluster" || choice === null) return `${decided}; ${request}`;
  const service = lanes.clusters.get(target.cluster)?.cluster.service ?? target.cluster;
  const served = choice.missing === null ? exchange.servedLane : "none";
  const wanted = wantedOf(target.subset, name);
  const hop = `hop=${service}; wanted=${wanted}; served=${served}; why=${choice.reason}`;
  return `${decided}; ${hop}; ${request}`;
}

/** The subset that the route names, else the lane. One of a DestinationRule may have any name. */
function wantedOf(subset: Subset | null, lane: string): string {
  if (subset === null) return lane;
  return subset.kind === "lane" ? subset.lane : subset.name.replace(/[^\x21-\x7e]/g, "?");
}
