//! What all gateway workers decided last, as one list.

import type { RecentQuery, RecentResult } from "../api/types.ts";
import type { RecentDecision } from "../dataplane/recent-decisions.ts";
import type { WorkerLink } from "./worker-link.ts";

/** Of the workers that answer; the newest first. */
export async function recentDecisions(
  { where, limit }: RecentQuery,
  gateways: readonly WorkerLink[],
): Promise<RecentResult> {
  const wire = where.map((clause) => ({ ...clause, value: onTheWire(clause.value) }));
  const settled = await Promise.allSettled(
    gateways.map((link) => link.recent({ where: wire, limit })),
  );
  const answers = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const decisions = answers.flatMap((answer) => answer.decisions);
  decisions.sort((a, b) => b.startMs - a.startMs);
  return {
    decisions: decisions.slice(0, limit).map(readable),
    keptCount: answers.reduce((sum, { keptCount }) => sum + keptCount, 0),
    seenCount: answers.reduce((sum, { seenCount }) => sum + seenCount, 0),
    workerCount: answers.length,
  };
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
