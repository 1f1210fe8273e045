//! The hops of one request behind the gateway, as a table.

import type { RecentDecision, RecentHop } from "../api/types.ts";
import { timestamp } from "../base/clock.ts";
import { formatTable } from "./table.ts";

const HEADER = ["TIME", "FROM", "TO", "WANTED", "SERVED", "WHY", "STATUS"];
const NONE = "-";

/** First the gateway's own hop, then what sidecars tell. */
export function formatHops(newest: RecentDecision, hops: readonly RecentHop[]): string {
  const rows = [gatewayRow(newest), ...hops.map(hopRow)];
  const inferred = hops.some(({ isInferred }) => isInferred)
    ? "* carried no id: its pod had this request only.\n"
    : "";
  return `The hops of request ${newest.requestId}:\n${formatTable(HEADER, rows)}${inferred}`;
}

interface Hop {
  readonly startMs: number;
  readonly service: string;
  readonly lane: string;
  readonly laneGroup: string;
  readonly servedLane: string;
  readonly fallbackReason: string;
  readonly status: number;
}

function gatewayRow(newest: RecentDecision): string[] {
  return callRow("gateway", newest);
}

function hopRow(hop: RecentHop): string[] {
  if (hop.role === "outbound") return callRow(`${hop.pod}${hop.isInferred ? "*" : ""}`, hop);
  const lane = hop.laneGroup === "" ? NONE : laneOf(hop);
  return [timestamp(hop.startMs), NONE, hop.pod, lane, NONE, "arrived", statusText(hop)];
}

function callRow(from: string, hop: Hop): string[] {
  const { startMs, service, servedLane } = hop;
  const to = service === "" ? NONE : service;
  const served = servedLane === "" ? NONE : servedLane;
  return [timestamp(startMs), from, to, laneOf(hop), served, whyOf(hop), statusText(hop)];
}

/** As in `x-graylane-trace`: docs/lanes.md, "Which pods serve a hop". */
function whyOf({ fallbackReason, lane, laneGroup, service }: Hop): string {
  if (service === "") return NONE;
  if (fallbackReason !== "") return fallbackReason;
  if (laneGroup === "") return "cluster";
  return lane === "" ? "baseline" : "lane";
}

function laneOf({ lane, laneGroup }: Hop): string {
  if (lane !== "") return lane;
  return laneGroup === "" ? NONE : "baseline";
}

function statusText({ status }: Hop): string {
  return status === 0 ? NONE : String(status);
}
