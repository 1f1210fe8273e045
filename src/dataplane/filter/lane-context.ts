//! The lane's context in the headers of a request: written, and taken away.

import { randomBytes } from "node:crypto";
import type { Headers } from "../../http/headers.ts";
import { BAGGAGE_HEADER, baggageValue, removeBaggage, setBaggage } from "../../lane/baggage.ts";
import { baggageKeyOf, carriedHeaderOf, isSentOutside } from "../../lane/context.ts";
import type { PreparedLaneGroup } from "../../lane/decide.ts";
import type { HeaderLookup } from "../../lane/program.ts";

export const TRACEPARENT_HEADER = "traceparent";
/** Version 00, no id all zeros (W3C Trace Context, 3.2). */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}/;
const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;

/**
 * Names the request headers that an app's agent is to carry on to the calls that it makes for the
 * request. A sidecar writes it on what it hands to its app, and nobody else's is believed.
 */
export const CARRY_HEADER = "x-graylane-carry";

/** Reads a field as lane code wants it: the fields of `baggage` are one list. */
export function contextLookup(headers: Headers): HeaderLookup {
  return (name) => (name === BAGGAGE_HEADER ? joinedBaggage(headers) : headers.get(name));
}

/**
 * Sets the group's route header, and in mode `baggage` its member. Returns how many members of
 * others were dropped to keep the limits of baggage.
 */
export function writeContext(headers: Headers, group: PreparedLaneGroup, tag: string): number {
  headers.set(group.routeHeader, tag);
  const key = baggageKeyOf(group);
  if (key === null) return 0;
  const before = joinedBaggage(headers) ?? "";
  if (baggageValue(before, key) === tag) return 0;
  const { field, droppedCount } = setBaggage(before, key, tag);
  headers.set(BAGGAGE_HEADER, field);
  return droppedCount;
}

/**
 * A request without a valid trace id gets one, not sampled: who records traces decides that. A
 * service that meets a broken one begins a new trace, and the lane would be lost there.
 */
export function ensureTraceparent(headers: Headers): void {
  const present = headers.get(TRACEPARENT_HEADER);
  if (present !== undefined && TRACEPARENT.test(present)) return;
  const id = randomBytes(TRACE_ID_BYTES).toString("hex");
  const span = randomBytes(SPAN_ID_BYTES).toString("hex");
  headers.set(TRACEPARENT_HEADER, `00-${id}-${span}-00`);
}

/** Takes the members named in `keys` out of the baggage; without any left the header goes. */
export function removeBaggageMembers(headers: Headers, keys: readonly string[]): void {
  if (keys.length === 0) return;
  const before = joinedBaggage(headers);
  if (before === undefined) return;
  const after = removeBaggage(before, keys);
  if (after === before) return;
  if (after === "") headers.remove(BAGGAGE_HEADER);
  else headers.set(BAGGAGE_HEADER, after);
}

/** For a hop that leaves the mesh: what says the lane goes, trace ids and other baggage stay. */
export function removeContext(headers: Headers, groups: Iterable<PreparedLaneGroup>): void {
  const keys: string[] = [];
  for (const group of groups) {
    headers.remove(group.routeHeader);
    const key = baggageKeyOf(group);
    if (key !== null) keys.push(key);
  }
  removeBaggageMembers(headers, keys);
  headers.remove(CARRY_HEADER);
}

/** For a hop to a host outside the mesh: only groups that name it have their context sent there. */
export function leaveMesh(
  headers: Headers,
  groups: Iterable<PreparedLaneGroup>,
  host: string,
): void {
  removeContext(
    headers,
    [...groups].filter((group) => !isSentOutside(group, host)),
  );
}

/** The value of `CARRY_HEADER` for these groups; `""` when there is nothing to carry. */
export function carriedHeaders(groups: Iterable<PreparedLaneGroup>): string {
  return [...new Set([...groups].map(carriedHeaderOf))].sort().join(",");
}

function joinedBaggage(headers: Headers): string | undefined {
  const index = headers.names.indexOf(BAGGAGE_HEADER);
  if (index === -1) return undefined;
  if (headers.names.indexOf(BAGGAGE_HEADER, index + 1) === -1) return headers.values[index];
  return headers.getAll(BAGGAGE_HEADER).join(",");
}
