//! Two readers of one byte stream, compared. What ours refuses and another takes is its right, and
//! counted by reason; what ours takes and the other refuses or reads otherwise is a finding, unless
//! it is one of the known differences, each with the clause that allows it.

import fc from "fast-check";
import type { Headers } from "../../src/http/headers.ts";
import type { RequestHead } from "../../src/http/request-parser.ts";
import { readRequests } from "./http-reading.ts";
import { streams } from "./http-streams.ts";

export interface Seen {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  /** `name: value` for each line, names in lower case; those that are compared. */
  readonly fields: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

/** Stands for a message that another reader took and did not show. */
export const ANSWERED_ITSELF: Seen = {
  ...{ method: "", target: "", authority: "", fields: [], body: "", trailers: [] },
};

export interface Reading {
  /** Whole ones, in order. */
  readonly messages: readonly Seen[];
  /** One whose head was taken and whose body has not ended. */
  readonly open: Seen | null;
  /** Why the reader stopped, or "". */
  readonly fault: string;
  /** It reads no more, as the last message says that it is the last. */
  readonly isClosed: boolean;
}

export type Verdict =
  | { readonly kind: "same" | "stricter"; readonly reason: string }
  | { readonly kind: "finding"; readonly reason: string; readonly message: Seen | null };

function linesOf(headers: Headers | null): string[] {
  return headers?.names.map((name, at) => `${name}: ${headers.values[at] ?? ""}`) ?? [];
}

/** What our codec reads, up to the message after which the gateway closes. */
export function readOurs(raw: string): Reading {
  const { messages, fault } = readRequests([Buffer.from(raw, "latin1")]);
  const last = messages.findIndex(({ head }) => isLast(head as RequestHead));
  const isClosed = last !== -1 && messages[last]?.hasEnded === true;
  const kept = isClosed ? messages.slice(0, last + 1) : messages;
  const seen = kept.map(({ head, body, trailers }) => {
    const { method, target, authority, headers } = head as RequestHead;
    return {
      method,
      target,
      authority,
      fields: linesOf(headers),
      body,
      trailers: linesOf(trailers),
    };
  });
  const isOpen = kept.at(-1)?.hasEnded === false;
  return {
    messages: isOpen ? seen.slice(0, -1) : seen,
    open: isOpen ? (seen.at(-1) ?? null) : null,
    fault: isClosed ? "" : (fault ?? ""),
    isClosed,
  };
}

function isLast({ keepAlive, method }: RequestHead): boolean {
  return !keepAlive || method === "CONNECT";
}

/** Which part of a message is another, or "". An unfinished one has no body to compare. */
function differenceOf(ours: Seen, theirs: Seen, isWhole: boolean): string {
  if (theirs === ANSWERED_ITSELF) return "";
  for (const part of ["method", "target", "authority", "fields", "body", "trailers"] as const) {
    if (!isWhole && (part === "body" || part === "trailers")) continue;
    if (JSON.stringify(ours[part]) !== JSON.stringify(theirs[part])) return part;
  }
  return "";
}

export function compare(ours: Reading, theirs: Reading): Verdict {
  const count = Math.min(ours.messages.length, theirs.messages.length);
  for (let index = 0; index < count; index++) {
    const [message, other] = [ours.messages[index] as Seen, theirs.messages[index] as Seen];
    const part = differenceOf(message, other, true);
    if (part !== "") return { kind: "finding", reason: `another ${part}`, message };
  }
  if (ours.messages.length > count) {
    if (theirs.isClosed) return { kind: "same", reason: "the other reads no further" };
    const message = ours.messages[count] as Seen;
    return { kind: "finding", reason: `laxer: ${theirs.fault || "it waits"}`, message };
  }
  if (theirs.messages.length > count) return afterMore(ours);
  return compareEnds(ours, theirs);
}

/** The other has read more messages. */
function afterMore(ours: Reading): Verdict {
  if (ours.isClosed) return { kind: "stricter", reason: "closed" };
  if (ours.fault !== "") return { kind: "stricter", reason: ours.fault };
  return { kind: "finding", reason: "we wait, and it has read more", message: ours.open };
}

function compareEnds(ours: Reading, theirs: Reading): Verdict {
  if (ours.isClosed) return { kind: "same", reason: "all read" };
  if (theirs.isClosed) return { kind: "same", reason: "the other reads no further" };
  if (ours.fault !== "") {
    if (theirs.fault !== "") return { kind: "same", reason: "both refuse" };
    return { kind: "stricter", reason: ours.fault };
  }
  if (ours.open === null) return { kind: "same", reason: "incomplete" };
  if (theirs.fault !== "" && theirs.open === null) {
    return { kind: "finding", reason: `laxer: ${theirs.fault}`, message: ours.open };
  }
  const part = theirs.open === null ? "" : differenceOf(ours.open, theirs.open, false);
  if (part !== "") return { kind: "finding", reason: `another ${part}`, message: ours.open };
  return { kind: "same", reason: "incomplete" };
}

/** A way in which another reader is allowed to differ from ours. */
export interface KnownDifference {
  /** Of the finding's reason. */
  readonly reason: RegExp;
  readonly holds: (message: Seen, raw: string) => boolean;
  readonly why: string;
}

export function known(
  verdict: Verdict,
  raw: string,
  differences: readonly KnownDifference[],
): string | null {
  if (verdict.kind !== "finding") return null;
  const { message, reason } = verdict;
  if (message === null) return null;
  return differences.find((one) => one.reason.test(reason) && one.holds(message, raw))?.why ?? null;
}

/** The shortest stream found, by leaving out ever smaller parts, that is still a finding. */
export async function shrink(
  raw: string,
  isFinding: (raw: string) => boolean | Promise<boolean>,
): Promise<string> {
  let [shortest, size] = [raw, Math.ceil(raw.length / 2)];
  for (;;) {
    let hasShrunk = false;
    for (let start = 0; start < shortest.length;) {
      const shorter = shortest.slice(0, start) + shortest.slice(start + size);
      if (shorter !== shortest && (await isFinding(shorter))) {
        shortest = shorter;
        hasShrunk = true;
      } else start += size;
    }
    if (size === 1 && !hasShrunk) return shortest;
    if (!hasShrunk) size = Math.ceil(size / 2);
  }
}

/** Another reader, and what it is compared with. */
export interface Peer {
  readonly name: string;
  readonly differences: readonly KnownDifference[];
  readonly read: (raw: string) => Reading | Promise<Reading>;
  /** Reads a finding once more, without haste. */
  readonly readAgain?: (raw: string) => Promise<Reading>;
  /** Absent: our codec. */
  readonly ours?: (raw: string) => Reading;
}

export interface FuzzPlan {
  readonly seed: number;
  /** At least so many streams, and for at least so long. */
  readonly streams: number;
  readonly seconds: number;
  readonly atOnce: number;
}

export interface FuzzResult {
  readonly streams: number;
  readonly seconds: number;
  /** How often each kind and reason was met, most frequent first. */
  readonly tally: string;
  /** Shrunk, as bytes, one for each reason. */
  readonly findings: readonly string[];
}

async function judgeOnce(peer: Peer, raw: string, read: Peer["read"]): Promise<Verdict> {
  const verdict = compare((peer.ours ?? readOurs)(raw), await read(raw));
  const why = known(verdict, raw, peer.differences);
  return why === null ? verdict : { kind: "same", reason: `known: ${why}` };
}

async function judge(peer: Peer, raw: string): Promise<Verdict> {
  const verdict = await judgeOnce(peer, raw, peer.read);
  if (verdict.kind !== "finding" || peer.readAgain === undefined) return verdict;
  return judgeOnce(peer, raw, peer.readAgain);
}

/** Streams of that seed and those that follow it, until there is a finding of `FINDINGS_MAX` kinds. */
export async function fuzz(peer: Peer, plan: FuzzPlan): Promise<FuzzResult> {
  const counts = new Map<string, number>();
  const found = new Map<string, string>();
  const startMs = performance.now();
  const seconds = (): number => (performance.now() - startMs) / 1_000;
  let count = 0;
  for (let seed = plan.seed; count < plan.streams || seconds() < plan.seconds; seed++) {
    const raws = fc.sample(streams, { seed, numRuns: plan.atOnce });
    const verdicts = await Promise.all(raws.map((raw) => judge(peer, raw)));
    for (const [index, { kind, reason }] of verdicts.entries()) {
      const key = `${kind}: ${reason}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      if (kind === "finding" && !found.has(reason)) found.set(reason, raws[index] ?? "");
    }
    count += raws.length;
    if (found.size >= FINDINGS_MAX) break;
    // What was destroyed is given back.
    await new Promise(setImmediate);
  }
  const rows = [...counts].sort(([, left], [, right]) => right - left);
  return {
    streams: count,
    seconds: seconds(),
    tally: rows.map(([key, times]) => `${times} ${key}`).join("; "),
    findings: await shrunk(peer, found),
  };
}

const FINDINGS_MAX = 5;
const SHRINK_TRIES_MAX = 120;

async function shrunk(peer: Peer, found: ReadonlyMap<string, string>): Promise<string[]> {
  const findings: string[] = [];
  for (const [reason, raw] of found) {
    let triesLeft = SHRINK_TRIES_MAX;
    const isFinding = async (one: string): Promise<boolean> => {
      if (triesLeft-- <= 0) return false;
      const verdict = await judgeOnce(peer, one, peer.read);
      return verdict.kind === "finding" && verdict.reason === reason;
    };
    findings.push(`${peer.name}, ${reason}: ${JSON.stringify(await shrink(raw, isFinding))}`);
  }
  return findings;
}
