//! What all gateway workers decided last, as one list.

import type { RecentQuery, RecentResult } from "../api/types.ts";
import type { RecentDecision } from "../dataplane/recent-decisions.ts";
import type { RecentHop } from "../dataplane/recent-hops.ts";
import type { WorkerLink } from "./worker-link.ts";

export interface Workers {
  readonly gateways: readonly WorkerLink[];
  readonly sidecars: readonly WorkerLink[];
}

/** Of the workers that answer; the newest first. */
export async function recentDecisions(
  { where, limit, hops }: RecentQuery,
  { gateways, sidecars }: Workers,
): Promise<RecentResult> {
  const wire = where.map((clause) => ({ ...clause, value: onTheWire(clause.value) }));
  const settled = await Promise.allSettled(
    gateways.map((link) => link.recent({ where: wire, limit })),
  );
  const answers = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const decisions = answers.flatMap((answer) => answer.decisions);
  decisions.sort((a, b) => b.startMs - a.startMs);
  const [newest] = decisions;
  return {
    decisions: decisions.slice(0, limit).map(readable),
    ...(hops === true && newest !== undefined ? { hops: await hopsOf(newest, sidecars) } : {}),
    keptCount: answers.reduce((sum, { keptCount }) => sum + keptCount, 0),
    seenCount: answers.reduce((sum, { seenCount }) => sum + seenCount, 0),
    workerCount: answers.length,
  };
}

/** In the order in which they began; of several workers, as far as their wall clocks tell. */
async function hopsOf(
  { requestId, traceId }: RecentDecision,
  sidecars: readonly WorkerLink[],
): Promise<RecentHop[]> {
  const settled = await Promise.allSettled(
    sidecars.map((link) => link.hops({ requestId, traceId })),
  );
  const answers = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const told = answers.filter(({ length }) => length > 0);
  if (told.length <= 1) return [...(told[0] ?? [])];
  return told.flat().sort((a, b) => a.startMs - b.startMs);
}

function readable(decision: RecentDecision): RecentDecision {
  const headers = decision.headers.map(([name, value]) => [name, fromWire(value)] as const);
  return { ...decision, path: fromWire(decision.path), headers };
}

function onTheWire(value: string): string {
  return Buffer.from(value).toString("latin1");
}

function fromWire(text: string): string {
  return Buffer.from(text, "latin1").toString("utf8");
}
