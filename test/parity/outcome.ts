//! What a request came to, in a form in which both engines must agree, and what they need not agree
//! in. docs/envoy.md ("Where Envoys differ") names each of those, with its reason.

import type { IncomingHttpHeaders } from "node:http";
import type { Answer } from "./question.ts";

/** One pod's part in a request. */
export interface Hop {
  /** The Deployment. */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Outcome {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly hops: readonly Hop[];
  /** Of an answer that no pod gave; and what a hop behind the last pod answered. */
  readonly text: string;
  /** Not 200: what the last pod got for its call. */
  readonly lastStatus: number;
}

interface Reported extends Omit<Hop, "name"> {
  readonly hop: string;
  readonly next: { readonly status: number; readonly body: string } | null;
}

const OK = 200;
/** Of the moment, or of one engine: Envoy's time, and what the embedded engine tells its callers. */
const ANSWER_FIELDS_IGNORED: ReadonlySet<string> = new Set([
  ...["date", "x-envoy-upstream-service-time", "x-graylane-lane", "x-graylane-trace", "server"],
  // On the connection to the client, not from behind it.
  ...["connection", "keep-alive", "transfer-encoding"],
]);
/**
 * `x-request-id` is drawn. From loopback Envoy tells its machine's address for the client's. Calls
 * of apps have `x-forwarded-proto` of Envoys only, and the request's id of embedded sidecars only.
 */
const REQUEST_FIELDS_IGNORED: ReadonlySet<string> = new Set([
  ...["x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address"],
  ...["connection", "transfer-encoding"],
]);
/** Envoy says so of a request without body of other methods than GET, HEAD and DELETE. */
const NO_BODY = "0";
/** The first word of an embedded engine's own answer is a code; these begin an Envoy's. */
const OWN_WORDS =
  /^(?:[a-z0-9_]+: |no healthy upstream|fault filter abort|upstream connect error|upstream request timeout|DNS resolution failure|$)/;

export function outcomeOf({ status, headers, body }: Answer): Outcome {
  const hops: Hop[] = [];
  let [text, lastStatus] = [body, status];
  for (;;) {
    const reported = reportOf(text);
    if (reported === null) break;
    const { hop: name, next, ...rest } = reported;
    const fields = without(reported.headers, REQUEST_FIELDS_IGNORED);
    if (fields["content-length"] === NO_BODY) delete fields["content-length"];
    hops.push({ ...rest, name, headers: fields });
    [text, lastStatus] = next === null ? ["", OK] : [next.body, next.status];
  }
  const kept = without(headers, ANSWER_FIELDS_IGNORED);
  // The length of a report differs with the fields in it.
  const lengthless = hops.length === 0 ? kept : without(kept, new Set(["content-length"]));
  return { status, headers: lengthless, hops, text, lastStatus };
}

/** What engines must agree in: an engine's own words for a failure are its own. */
export function comparable(outcome: Outcome): Outcome {
  const { status, headers, hops, text, lastStatus } = outcome;
  const isOwn = (hops.length === 0 ? status : lastStatus) >= 400 && OWN_WORDS.test(text);
  if (!isOwn) return outcome;
  const about = new Set(hops.length === 0 ? ["content-length", "content-type"] : []);
  return { ...outcome, headers: without(headers, about), text: "(own words)" };
}

/** `a-gray b-base`, and the status of a call that no pod answered behind them. */
export function hopsText({ hops, lastStatus }: Outcome): string {
  const names = hops.map(({ name }) => name);
  if (hops.length > 0 && lastStatus !== OK) names.push(String(lastStatus));
  return names.join(" ");
}

function reportOf(text: string): Reported | null {
  if (!text.startsWith('{"hop":')) return null;
  return JSON.parse(text) as Reported;
}

function without(headers: IncomingHttpHeaders, names: ReadonlySet<string>): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !names.has(name)));
}
