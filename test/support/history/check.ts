//! Decides about a whole history: each object's is linearizable; the revisions of all are one
//! order that keeps real time; each list is the state at its revision; each watcher was told each
//! event once, in order, without a gap, and had to begin anew only where that was due.

import type { History, Listing, Operation, Version } from "./history.ts";
import { describeOperation } from "./history.ts";
import { whyNotLinearizable } from "./linearizable.ts";
import { EventLog } from "./event-log.ts";
import { watcherFaults } from "./watcher.ts";

/** Faults in words; empty: none was found. */
export function faultsOf(history: History): string[] {
  const log = new EventLog(history);
  return [
    ...log.faults,
    ...orderFaults(history),
    ...history.listings.flatMap((listing) => listFaults(listing, log, history.operations)),
    ...history.watchers.flatMap((steps, at) =>
      watcherFaults(steps, log, history.eventsKept).map((fault) => `watcher ${at}: ${fault}`),
    ),
    ...keyFaults(history, log),
  ];
}

/** An object is read by each list, and written by the time that anybody saw what was written. */
function keyFaults(history: History, log: EventLog): string[] {
  const byKey = new Map<string, Operation[]>();
  const add = (operation: Operation): void => {
    const all = byKey.get(operation.key);
    if (all === undefined) byKey.set(operation.key, [operation]);
    else all.push(operation);
  };
  for (const operation of history.operations) add(asSeen(operation, log));
  for (const { client, calledAt, returnedAt, versions } of history.listings) {
    const call = { client, calledAt, returnedAt };
    for (const key of log.keys) add({ ...call, key, ...readOf(versions.get(key)) });
  }
  const faults: string[] = [];
  for (const [key, operations] of byKey) {
    const why = whyNotLinearizable(operations, log.revisions);
    if (why !== null) faults.push(`the history of ${key} is not linearizable: ${why}`);
  }
  return faults;
}

function readOf(version: Version | undefined): Pick<Operation, "action" | "outcome"> {
  return { action: { kind: "read" }, outcome: { kind: "found", version: version ?? null } };
}

function asSeen(operation: Operation, log: EventLog): Operation {
  const { action, returnedAt } = operation;
  if (action.kind !== "create" && action.kind !== "update") return operation;
  const sight = log.firstSight(action.value);
  if (sight === undefined || sight.at >= returnedAt) return operation;
  const outcome = { kind: "done", revision: sight.revision } as const;
  return { ...operation, returnedAt: sight.at, outcome };
}

/** What is known of the store's revision at a moment: it had come so far. */
interface Mark {
  readonly at: number;
  readonly revision: number;
}

/** At `at`, when it was called, the store's revision was below `above`. */
interface Claim {
  readonly at: number;
  readonly above: number;
  readonly what: string;
}

/** A write gets a revision above all that anybody knew when it began; a list none below. */
function orderFaults(history: History): string[] {
  const marks = marksOf(history);
  const faults: string[] = [];
  let known = 0;
  let next = 0;
  for (const { at, above, what } of claimsOf(history)) {
    for (; (marks[next]?.at ?? Infinity) < at; next += 1) {
      known = Math.max(known, marks[next]?.revision ?? 0);
    }
    if (known >= above) faults.push(`revision ${known} was known before; ${what}`);
  }
  return faults;
}

function marksOf({ operations, listings, watchers }: History): Mark[] {
  const marks: Mark[] = listings.map(({ returnedAt, revision }) => ({ at: returnedAt, revision }));
  for (const operation of operations) {
    const revision = revisionOf(operation);
    if (revision !== null) marks.push({ at: operation.returnedAt, revision });
  }
  for (const step of watchers.flat()) {
    if (step.kind === "event") marks.push({ at: step.at, revision: step.version.revision });
  }
  return marks.sort((a, b) => a.at - b.at);
}

function claimsOf({ operations, listings }: History): Claim[] {
  const claims = listings.map(({ client, calledAt, returnedAt, revision }): Claim => {
    const what = `client ${client}, ${calledAt} to ${returnedAt}: a list at ${revision}`;
    return { at: calledAt, above: revision + 1, what };
  });
  for (const operation of operations) {
    const revision = operation.outcome.kind === "done" ? operation.outcome.revision : null;
    if (revision === null) continue;
    const what = describeOperation(operation);
    claims.push({ at: operation.calledAt, above: revision, what });
  }
  return claims.sort((a, b) => a.at - b.at);
}

function revisionOf({ outcome }: Operation): number | null {
  if (outcome.kind === "done") return outcome.revision;
  if (outcome.kind === "found") return outcome.version?.revision ?? null;
  return null;
}

function listFaults(listing: Listing, log: EventLog, all: readonly Operation[]): string[] {
  const faults: string[] = [];
  const { revision, client, calledAt } = listing;
  const where = `client ${client}'s list at ${revision} (called at ${calledAt})`;
  for (const key of log.keys) {
    const is = listing.versions.get(key);
    const last = log.lastOf(key, revision);
    if (is !== undefined && is.revision > revision) {
      faults.push(`${where} has ${key} of ${is.revision}, which is later`);
    } else if (is !== undefined && last !== undefined && last.revision > is.revision) {
      faults.push(`${where} has ${key} of ${is.revision}; it changed at ${last.revision}`);
    } else if (is === undefined && last !== undefined && last.type !== "DELETED") {
      if (!mayBeGone(key, listing, all)) {
        faults.push(`${where} has no ${key}, which was written at ${last.revision}`);
      }
    }
  }
  return faults;
}

/** A deletion that nobody saw: nobody watched, or it has no answer. */
function mayBeGone(key: string, listing: Listing, all: readonly Operation[]): boolean {
  return all.some(
    ({ key: of, action, outcome, calledAt }) =>
      of === key &&
      action.kind === "delete" &&
      (outcome.kind === "done" || outcome.kind === "unknown") &&
      calledAt < listing.returnedAt,
  );
}
