//! The canary annotations of an Ingress, as ingress-nginx defines them: header, then cookie, then
//! weight, all on one Ingress; `never` keeps a request out; a weight is exact for any total.

import { regexFault } from "../resources/formats.ts";
import type { Ingress } from "../resources/kinds/ingress.ts";
import type { RouteMatch } from "../snapshot/snapshot.ts";
import type { MessageList } from "./messages.ts";

export const ANNOTATION_PREFIXES: readonly string[] = [
  "nginx.ingress.kubernetes.io/",
  "higress.io/",
];

const PPM_TOTAL = 1_000_000;
const WEIGHT_TOTAL = 100;
export const CANARY_NAMES: ReadonlySet<string> = new Set([
  "canary",
  "canary-by-header",
  "canary-by-header-value",
  "canary-by-header-pattern",
  "canary-by-cookie",
  "canary-weight",
  "canary-weight-total",
]);

export interface Canary {
  /** Conditions that lead into the canary, and those that keep out of it. Each list is an OR. */
  readonly header: { readonly in: readonly RouteMatch[]; readonly out: readonly RouteMatch[] };
  readonly cookie: { readonly in: readonly RouteMatch[]; readonly out: readonly RouteMatch[] };
  readonly weightPpm: number;
}

const NEITHER = { in: [], out: [] };

/** An annotation under any of the prefixes, without regard to which. */
export function annotation(ingress: Ingress, name: string): string | undefined {
  const { annotations = {} } = ingress.metadata;
  for (const prefix of ANNOTATION_PREFIXES) {
    const value = annotations[prefix + name];
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Null when the Ingress is no canary. */
export function canaryOf(ingress: Ingress, messages: MessageList): Canary | null {
  if (!isCanary(ingress, messages)) return null;
  const header = headerRule(ingress, messages);
  const cookieName = annotation(ingress, "canary-by-cookie");
  const cookie = cookieName === undefined ? NEITHER : cookieRule(cookieName);
  const weightPpm = weightOf(ingress, messages);
  if (header.in.length + cookie.in.length === 0 && weightPpm === 0) {
    messages.add(ingress, {
      severity: "info",
      code: "GL0221",
      path: "metadata.annotations",
      message: "the canary names no header, no cookie and no weight above 0, so it takes nobody",
    });
  }
  return { header, cookie, weightPpm };
}

/** As ingress-nginx reads it, by Go's strconv.ParseBool. */
const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const FALSE: ReadonlySet<string> = new Set(["", "0", "f", "F", "FALSE", "false", "False"]);

export function isTrue(text: string): boolean {
  return TRUE.has(text);
}

function isCanary(ingress: Ingress, messages: MessageList): boolean {
  const text = annotation(ingress, "canary") ?? "";
  if (!TRUE.has(text) && !FALSE.has(text)) {
    messages.add(ingress, {
      severity: "error",
      code: "GL0222",
      path: "metadata.annotations",
      message: `the annotation canary is "${text}", so the Ingress is none`,
      remedy: 'Write "true" or "false".',
    });
  }
  return TRUE.has(text);
}

function headerRule(ingress: Ingress, messages: MessageList): Canary["header"] {
  const name = annotation(ingress, "canary-by-header")?.toLowerCase();
  if (name === undefined || name === "") return NEITHER;
  const value = annotation(ingress, "canary-by-header-value");
  const pattern = annotation(ingress, "canary-by-header-pattern");
  if (value !== undefined && value !== "") return { in: [headerIs(name, value)], out: [] };
  if (pattern !== undefined && pattern !== "") {
    // Found anywhere in the value, as in ingress-nginx.
    const regex = `(?s:.*)(?:${pattern})(?s:.*)`;
    const fault = regexFault(regex);
    if (fault !== null) {
      reportPattern(ingress, fault, messages);
      return NEITHER;
    }
    return { in: [{ headers: [{ name, match: { kind: "regex", value: regex } }] }], out: [] };
  }
  return { in: [headerIs(name, "always")], out: [headerIs(name, "never")] };
}

function reportPattern(ingress: Ingress, fault: string, messages: MessageList): void {
  messages.add(ingress, {
    severity: "error",
    code: "GL0222",
    path: "metadata.annotations",
    message: `canary-by-header-pattern is no regular expression (${fault}), so no header leads in`,
    remedy: "Write it in RE2's syntax.",
  });
}

function headerIs(name: string, value: string): RouteMatch {
  return { headers: [{ name, match: { kind: "exact", value } }] };
}

function cookieRule(name: string): Canary["cookie"] {
  return { in: [cookieIs(name, "always")], out: [cookieIs(name, "never")] };
}

function cookieIs(name: string, value: string): RouteMatch {
  const quoted = name.replaceAll(/[^A-Za-z0-9_]/g, (char) => `\\${char}`);
  const regex = `(?:.*;\\s*)?${quoted}=${value}(?:\\s*;.*)?`;
  return { headers: [{ name: "cookie", match: { kind: "regex", value: regex } }] };
}

function weightOf(ingress: Ingress, messages: MessageList): number {
  const weight = wholeNumber(ingress, "canary-weight", 0, messages);
  const total = wholeNumber(ingress, "canary-weight-total", WEIGHT_TOTAL, messages);
  if (total === 0) return 0;
  return Math.min(PPM_TOTAL, Math.round((weight * PPM_TOTAL) / total));
}

function wholeNumber(
  ingress: Ingress,
  name: string,
  absent: number,
  messages: MessageList,
): number {
  const text = annotation(ingress, name);
  if (text === undefined) return absent;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text);
  messages.add(ingress, {
    severity: "error",
    code: "GL0222",
    path: "metadata.annotations",
    message: `the annotation ${name} is "${text}", so ${absent} is used`,
    remedy: "Write a whole number of 0 or more.",
  });
  return absent;
}
