//! What annotations of an Ingress say of its routes, by the names of ingress-nginx and Higress:
//! conditions, redirects, rewrites, CORS, header operations, a timeout.

import { regexFault } from "../resources/formats.ts";
import type { Ingress } from "../resources/kinds/ingress.ts";
import type { CorsPolicy, RedirectAction } from "../snapshot/routing.ts";
import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type {
  HeaderMatch,
  HeaderOperations,
  RouteMatch,
  StringMatch,
} from "../snapshot/snapshot.ts";
import { ANNOTATION_PREFIXES, CANARY_NAMES, isTrue } from "./ingress-canary.ts";
import type { MessageList } from "./messages.ts";

/** What one Ingress asks for of all its paths. */
export interface IngressOptions {
  readonly conditions: Omit<RouteMatch, "uri">;
  /** Paths are regular expressions, of which the beginning of a request's path is one. */
  readonly isRegex: boolean;
  readonly redirect: RedirectAction | null;
  /** Requests in clear are sent to https: of hosts with TLS, or of all. */
  readonly toSecure: "never" | "with-tls" | "always";
  /** Where requests for `/` are sent; null: nowhere else. */
  readonly appRoot: string | null;
  /** Of the path and of the host; `$1` in `target` is the first group of the path. */
  readonly rewrite: {
    readonly target?: string;
    readonly path?: string;
    readonly authority?: string;
  } | null;
  readonly cors: CorsPolicy | null;
  readonly requestHeaders: HeaderOperations;
  readonly responseHeaders: HeaderOperations;
  readonly timeoutMs: number;
}

const MATCH =
  /^(exact|prefix|regex)-match-(header|query|pseudo-header)-([!#$%&'*+.^_`|~0-9A-Za-z-]+)$/;
const NAMES: ReadonlySet<string> = new Set([
  ...["match-method", "use-regex", "rewrite-target", "rewrite-path", "upstream-vhost"],
  ...["permanent-redirect", "permanent-redirect-code", "temporal-redirect", "timeout"],
  ...["enable-cors", "cors-allow-origin", "cors-allow-methods", "cors-allow-headers"],
  ...["cors-expose-headers", "cors-allow-credentials", "cors-max-age"],
  ...["request-header-control-add", "request-header-control-update"],
  ...["request-header-control-remove", "response-header-control-add"],
  ...["response-header-control-update", "response-header-control-remove"],
  ...["mirror-target-service", "mirror-percentage", "destination"],
  ...["ssl-redirect", "force-ssl-redirect", "app-root"],
]);

export function isKnownAnnotation(name: string): boolean {
  return NAMES.has(name) || MATCH.test(name);
}

/** Defaults of ingress-nginx, which Higress has too. */
const CORS_METHODS = "GET, PUT, POST, DELETE, PATCH, OPTIONS";
const CORS_HEADERS =
  "DNT,X-CustomHeader,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control," +
  "Content-Type,Authorization";
const CORS_AGE_SECONDS = "1728000";
const MS_PER_SECOND = 1_000;
const PERMANENT = 301;
const TEMPORAL = 302;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/** The annotations of one Ingress, each with its whole key for messages. */
export class Annotations {
  readonly #ingress: Ingress;
  readonly #messages: MessageList;
  /** By the name without its prefix. */
  readonly #found = new Map<string, { readonly key: string; readonly value: string }>();

  constructor(ingress: Ingress, messages: MessageList) {
    this.#ingress = ingress;
    this.#messages = messages;
    const { annotations = {} } = ingress.metadata;
    for (const prefix of ANNOTATION_PREFIXES) {
      for (const key of Object.keys(annotations).sort()) {
        const name = key.startsWith(prefix) ? key.slice(prefix.length) : "";
        if (name === "" || this.#found.has(name)) continue;
        this.#found.set(name, { key, value: (annotations[key] ?? "").trim() });
      }
    }
  }

  get names(): Iterable<string> {
    return this.#found.keys();
  }

  /** Undefined: absent, or empty. */
  get(name: string): string | undefined {
    const value = this.#found.get(name)?.value;
    return value === "" ? undefined : value;
  }

  /** It is disregarded, and says so. */
  refuse(name: string, says: string, remedy: string): void {
    const { key = name } = this.#found.get(name) ?? {};
    this.#messages.add(this.#ingress, {
      severity: "error",
      code: "GL0222",
      path: `metadata.annotations[${key}]`,
      message: `the annotation ${key} ${says}`,
      remedy,
    });
  }
}

/** `paths`: those that may be regular expressions. */
export function readOptions(annotations: Annotations, paths: readonly string[]): IngressOptions {
  const rewrite = rewriteOf(annotations);
  const name = rewrite?.target === undefined ? "use-regex" : "rewrite-target";
  const isWanted = name === "rewrite-target" || isTrue(annotations.get(name) ?? "");
  const isRegex = isWanted && paths.every((path) => isPattern(name, path, annotations));
  return {
    conditions: conditionsOf(annotations),
    isRegex,
    redirect: redirectOf(annotations),
    toSecure: toSecureOf(annotations),
    appRoot: appRootOf(annotations),
    rewrite: isWanted && !isRegex ? null : rewrite,
    cors: corsOf(annotations),
    requestHeaders: operationsOf("request", annotations),
    responseHeaders: operationsOf("response", annotations),
    timeoutMs: timeoutOf(annotations),
  };
}

function isPattern(name: string, path: string, annotations: Annotations): boolean {
  const fault = regexFault(path);
  if (fault === null) return true;
  const says = `has no effect: the path ${path} is no regular expression (${fault})`;
  annotations.refuse(name, says, "Write the path in RE2's syntax.");
  return false;
}

function conditionsOf(annotations: Annotations): Omit<RouteMatch, "uri"> {
  const headers = matchesOf("header", annotations);
  const pseudo = matchesOf("pseudo-header", annotations);
  const queryParams = matchesOf("query", annotations);
  const all = [
    ...headers.map((one) => ({ ...one, name: one.name.toLowerCase() })),
    ...pseudo.map((one) => ({ ...one, name: `:${one.name.toLowerCase()}` })),
  ];
  const method = methodOf(annotations);
  return {
    ...(method === null ? {} : { method }),
    ...(all.length === 0 ? {} : { headers: all }),
    ...(queryParams.length === 0 ? {} : { queryParams }),
  };
}

function matchesOf(wanted: string, annotations: Annotations): HeaderMatch[] {
  return [...annotations.names].sort().flatMap((name) => {
    const [, kind = "", where = "", key = ""] = MATCH.exec(name) ?? [];
    const value = annotations.get(name);
    if (where !== wanted || value === undefined) return [];
    const fault = kind === "regex" ? regexFault(value) : null;
    if (fault === null) return [{ name: key, match: { kind: kind as StringMatch["kind"], value } }];
    annotations.refuse(name, `is no regular expression (${fault})`, "Write it in RE2's syntax.");
    return [];
  });
}

/** Several, with spaces between them. */
function methodOf(annotations: Annotations): StringMatch | null {
  const text = annotations.get("match-method");
  if (text === undefined) return null;
  const methods = text.split(/[\s,]+/);
  if (methods.every((method) => /^[A-Z]{1,32}$/.test(method))) {
    return { kind: "regex", value: methods.join("|") };
  }
  annotations.refuse("match-method", "names no methods", "Write e.g. GET POST.");
  return null;
}

function redirectOf(annotations: Annotations): RedirectAction | null {
  const permanent = annotations.get("permanent-redirect");
  if (permanent === undefined) {
    const temporal = annotations.get("temporal-redirect");
    if (temporal === undefined) return null;
    return redirectTo("temporal-redirect", temporal, TEMPORAL, annotations);
  }
  const code = Number(annotations.get("permanent-redirect-code") ?? PERMANENT);
  if (!REDIRECTS.includes(code)) {
    const remedy = `Write one of ${REDIRECTS.join(", ")}.`;
    annotations.refuse(
      "permanent-redirect-code",
      "is no status of a redirect, so it is 301",
      remedy,
    );
  }
  const status = REDIRECTS.includes(code) ? code : PERMANENT;
  return redirectTo("permanent-redirect", permanent, status, annotations);
}

function redirectTo(
  name: string,
  text: string,
  status: number,
  annotations: Annotations,
): RedirectAction | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    annotations.refuse(name, "is no URL of http or https", "Write e.g. https://www.example.com/.");
    return null;
  }
  const scheme = url.protocol.slice(0, -1);
  const path = `${url.pathname}${url.search}`;
  return { kind: "redirect", status, scheme, authority: url.host, path };
}

function toSecureOf(annotations: Annotations): IngressOptions["toSecure"] {
  if (isTrue(annotations.get("force-ssl-redirect") ?? "")) return "always";
  return isTrue(annotations.get("ssl-redirect") ?? "") ? "with-tls" : "never";
}

function appRootOf(annotations: Annotations): string | null {
  const path = annotations.get("app-root");
  if (path === undefined) return null;
  if (/^\/[!-~]*$/.test(path) && path !== "/") return path;
  annotations.refuse("app-root", "is no path other than /", "Write e.g. /app.");
  return null;
}

function rewriteOf(annotations: Annotations): IngressOptions["rewrite"] {
  const target = annotations.get("rewrite-target");
  const path = annotations.get("rewrite-path");
  const authority = annotations.get("upstream-vhost");
  if (target === undefined && path === undefined && authority === undefined) return null;
  return {
    ...(target === undefined ? {} : { target }),
    ...(path === undefined ? {} : { path }),
    ...(authority === undefined ? {} : { authority }),
  };
}

function corsOf(annotations: Annotations): CorsPolicy | null {
  if (!isTrue(annotations.get("enable-cors") ?? "")) return null;
  const origins = (annotations.get("cors-allow-origin") ?? "*").split(",");
  const credentials = annotations.get("cors-allow-credentials");
  const age = annotations.get("cors-max-age") ?? CORS_AGE_SECONDS;
  const isAge = /^\d{1,9}$/.test(age);
  if (!isAge) annotations.refuse("cors-max-age", "is no number of seconds", "Write e.g. 600.");
  return {
    allowOrigins: origins.map((origin) => originMatch(origin.trim())),
    allowMethods: annotations.get("cors-allow-methods") ?? CORS_METHODS,
    allowHeaders: annotations.get("cors-allow-headers") ?? CORS_HEADERS,
    exposeHeaders: annotations.get("cors-expose-headers") ?? "",
    maxAge: isAge ? age : CORS_AGE_SECONDS,
    allowCredentials: credentials === undefined || isTrue(credentials),
    unmatchedPreflights: "forward",
  };
}

/** `https://*.example.com` is any name before it. */
function originMatch(origin: string): StringMatch {
  if (origin === "*") return { kind: "prefix", value: "" };
  if (!origin.includes("*")) return { kind: "exact", value: origin };
  const parts = origin.split("*").map((part) => part.replaceAll(/[^\w/:-]/g, "\\$&"));
  return { kind: "regex", value: parts.join("[^/]*") };
}

function operationsOf(side: "request" | "response", annotations: Annotations): HeaderOperations {
  const name = (what: string): string => `${side}-header-control-${what}`;
  const remove = (annotations.get(name("remove")) ?? "")
    .split(/[,\n]/)
    .map((text) => text.trim().toLowerCase())
    .filter((text) => text !== "");
  const set = pairsOf(name("update"), annotations);
  const add = pairsOf(name("add"), annotations);
  return remove.length + set.length + add.length === 0
    ? NO_HEADER_OPERATIONS
    : { remove, set, add };
}

/** A name and a value on each line. */
function pairsOf(name: string, annotations: Annotations): (readonly [string, string])[] {
  const lines = (annotations.get(name) ?? "").split("\n").map((line) => line.trim());
  return lines
    .filter((line) => line !== "")
    .flatMap((line) => {
      const [, key = "", value = ""] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s+(.+)$/.exec(line) ?? [];
      if (key !== "") return [[key.toLowerCase(), value] as const];
      annotations.refuse(name, `has a line without name and value: ${line}`, "Write NAME VALUE.");
      return [];
    });
}

/** In seconds, as Higress has it. */
function timeoutOf(annotations: Annotations): number {
  const text = annotations.get("timeout");
  if (text === undefined) return 0;
  if (/^\d{1,6}(\.\d{1,3})?$/.test(text)) return Math.round(Number(text) * MS_PER_SECOND);
  annotations.refuse("timeout", "is no number of seconds, so there is no limit", "Write e.g. 5.");
  return 0;
}

/** Names the annotations of the known prefixes that have no effect here. */
export function reportAnnotations(ingress: Ingress, messages: MessageList): void {
  for (const key of Object.keys(ingress.metadata.annotations ?? {}).sort()) {
    const prefix = ANNOTATION_PREFIXES.find((candidate) => key.startsWith(candidate));
    const name = key.slice(prefix?.length ?? 0);
    if (prefix === undefined || CANARY_NAMES.has(name)) continue;
    if (isKnownAnnotation(name)) continue;
    messages.add(ingress, {
      severity: "warning",
      code: "GL0223",
      path: `metadata.annotations[${key}]`,
      message: `the annotation ${key} has no effect here`,
      remedy: "",
    });
  }
}
