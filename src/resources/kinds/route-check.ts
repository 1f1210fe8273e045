//! What a schema cannot say of HTTPRoute and GRPCRoute, as the API's own rules have it.

import { regexFault } from "../formats.ts";
import { items, member } from "./member.ts";
import type { Path, Report } from "./kind.ts";

const PATH_TEXT = /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$/;
const FORBIDDEN_PARTS = ["//", "/./", "/../", "%2f", "%2F", "#"];

/** Each filter has the settings of its own type, and no others. */
export function checkFilters(filters: unknown, path: Path, report: Report): void {
  const seen = new Set<string>();
  items(filters).forEach((filter, index) => {
    const type = member(filter, "type");
    const wanted = typeof type === "string" ? FILTER_FIELDS[type] : undefined;
    if (typeof type !== "string" || wanted === undefined) return;
    const place = [...path, index];
    if (member(filter, wanted) === undefined) {
      report({
        code: "GL0104",
        path: [...place, wanted],
        says: `is required in a filter of the type ${type}`,
        remedy: "",
      });
    }
    for (const other of Object.values(FILTER_FIELDS)) {
      if (other === wanted || member(filter, other) === undefined) continue;
      report({
        code: "GL0119",
        path: [...place, other],
        says: `has no meaning in a filter of the type ${type}`,
        remedy: "Remove it, or make it a filter of its own.",
      });
    }
    if (seen.has(type) && !REPEATABLE.has(type)) {
      report({
        code: "GL0115",
        path: [...place, "type"],
        says: `is ${type} a second time in one list`,
        remedy: "Put both into one filter.",
      });
    }
    seen.add(type);
  });
}

const FILTER_FIELDS: Readonly<Record<string, string>> = {
  RequestHeaderModifier: "requestHeaderModifier",
  ResponseHeaderModifier: "responseHeaderModifier",
  RequestMirror: "requestMirror",
  RequestRedirect: "requestRedirect",
  URLRewrite: "urlRewrite",
  CORS: "cors",
  ExternalAuth: "externalAuth",
  ExtensionRef: "extensionRef",
};
const REPEATABLE: ReadonlySet<string> = new Set(["RequestMirror", "ExtensionRef"]);

/** A path to compare with: absolute, and as a request's path can be. */
export function checkPath(match: unknown, path: Path, report: Report): void {
  const value = member(match, "value");
  if (typeof value !== "string") return;
  if (member(match, "type") === "RegularExpression") {
    reportPattern(value, [...path, "value"], report);
    return;
  }
  const isFree = FORBIDDEN_PARTS.every((part) => !value.includes(part));
  const isEnded = !value.endsWith("/..") && !value.endsWith("/.");
  if (value.startsWith("/") && PATH_TEXT.test(value) && isFree && isEnded) return;
  report({
    code: "GL0113",
    path: [...path, "value"],
    says: "must be a path that begins with '/', without '//', '/./', '/../', '%2F' and '#'",
    remedy: "Write it as a request has it, e.g. /shop.",
  });
}

/** Patterns of header and query matches. */
export function checkPatterns(matches: unknown, path: Path, report: Report): void {
  items(matches).forEach((match, index) => {
    const value = member(match, "value");
    if (member(match, "type") !== "RegularExpression" || typeof value !== "string") return;
    reportPattern(value, [...path, index, "value"], report);
  });
}

export function reportPattern(value: string, path: Path, report: Report): void {
  const fault = regexFault(value);
  if (fault === null) return;
  report({
    code: "GL0112",
    path,
    says: `must be a regular expression in RE2's syntax: ${fault}`,
    remedy: "",
  });
}

/** A Service is reached at one of its ports. */
export function checkBackendPort(backend: unknown, path: Path, report: Report): void {
  const isService = member(backend, "group") === "" && member(backend, "kind") === "Service";
  if (!isService || member(backend, "port") !== undefined) return;
  report({
    code: "GL0104",
    path: [...path, "port"],
    says: "is required to reach a Service",
    remedy: "Write the number of one of the Service's ports.",
  });
}

/** Backends of a rule, those of its mirrors, and the filters of both. */
export function checkRuleBackends(rule: unknown, path: Path, report: Report): void {
  const checkMirrors = (filters: unknown, place: Path): void => {
    checkFilters(filters, place, report);
    items(filters).forEach((filter, index) => {
      const mirror = [...place, index, "requestMirror"];
      checkBackendPort(
        member(filter, "requestMirror", "backendRef"),
        [...mirror, "backendRef"],
        report,
      );
      checkFraction(member(filter, "requestMirror", "fraction"), [...mirror, "fraction"], report);
    });
  };
  checkMirrors(member(rule, "filters"), [...path, "filters"]);
  items(member(rule, "backendRefs")).forEach((backend, index) => {
    const place = [...path, "backendRefs", index];
    checkBackendPort(backend, place, report);
    checkMirrors(member(backend, "filters"), [...place, "filters"]);
  });
}

function checkFraction(fraction: unknown, path: Path, report: Report): void {
  const numerator = member(fraction, "numerator");
  const denominator = member(fraction, "denominator") ?? 100;
  if (typeof numerator !== "number" || typeof denominator !== "number") return;
  if (numerator <= denominator) return;
  report({
    code: "GL0111",
    path: [...path, "numerator"],
    says: "must not be more than the denominator",
    remedy: "A fraction is at most the whole.",
  });
}
