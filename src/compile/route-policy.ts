//! The policy of a VirtualService's route: redirect, rewrite, CORS, faults, retries, mirrors.

import type {
  HttpCorsPolicy,
  HttpFault,
  HttpMirrorPolicy,
  HttpRedirect,
  HttpRetry,
  Percentage,
} from "../resources/kinds/virtual-service-policy.ts";
import type { HttpRoute } from "../resources/kinds/virtual-service.ts";
import { NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { HeaderOperations, LaneGroup, StringMatch, Target } from "../snapshot/snapshot.ts";
import type {
  CorsPolicy,
  FaultInjection,
  Mirror,
  RedirectAction,
  RetryCondition,
  RetryPolicy,
  RoutePolicy,
} from "../snapshot/routing.ts";
import { durationMs } from "../resources/duration.ts";
import { resolveMirror } from "./target.ts";
import { isHedged } from "./hedge-policy.ts";
import type { TargetScope } from "./target.ts";

const PPM_PER_PERCENT = 10_000;
const MS_PER_SECOND = 1_000;
const REDIRECT_STATUS = 301;
const MATCHED_PREFIX = "%PREFIX()%";

/** Tries of Istio's own default; ours apply when a route says nothing (`UpstreamAttempt`). */
const DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled";
const BACK_OFF_BASE_MS = 25;
/** The pause grows to at most this many times its base, as in Envoy. */
const BACK_OFF_GROWTH_MAX = 10;

/** Istio's words for what we know under another or the same name. */
const CONDITIONS: Readonly<Record<string, RetryCondition | null>> = {
  "5xx": "5xx",
  "gateway-error": "gateway-error",
  "connect-failure": "connect-failure",
  reset: "reset",
  "reset-before-request": "connect-failure",
  "refused-stream": "refused-stream",
  "retriable-4xx": "retriable-4xx",
  "retriable-status-codes": null,
  cancelled: "cancelled",
  "deadline-exceeded": "deadline-exceeded",
  internal: "internal",
  "resource-exhausted": "resource-exhausted",
  unavailable: "unavailable",
};

/** Undefined when the route asks for nothing of it. */
export function compilePolicy(
  entry: HttpRoute,
  path: string,
  scope: TargetScope,
): RoutePolicy | undefined {
  const { rewrite, corsPolicy, fault, retries } = entry;
  const mirrors = compileMirrors(entry, path, scope);
  const policy: RoutePolicy = {
    ...(rewrite === undefined
      ? {}
      : {
          rewrite: {
            ...(rewrite.uri === undefined ? {} : { uri: rewrite.uri }),
            ...(rewrite.uriRegexRewrite === undefined ? {} : { uriRegex: rewrite.uriRegexRewrite }),
            ...(rewrite.authority === undefined ? {} : { authority: rewrite.authority }),
          },
        }),
    ...(corsPolicy === undefined ? {} : { cors: compileCors(corsPolicy) }),
    ...(fault === undefined ? {} : { fault: compileFault(fault) }),
    ...(retries === undefined ? {} : { retry: hedged(compileRetry(retries, path, scope), scope) }),
    ...(mirrors.length === 0 ? {} : { mirrors }),
  };
  return Object.keys(policy).length === 0 ? undefined : policy;
}

export function compileRedirect(redirect: HttpRedirect): RedirectAction {
  const { uri, authority, scheme, port, derivePort, redirectCode } = redirect;
  const isPrefix = uri?.startsWith(MATCHED_PREFIX) === true;
  const derived = derivePort === "FROM_REQUEST_PORT" ? "request" : "scheme";
  return {
    kind: "redirect",
    status: redirectCode ?? REDIRECT_STATUS,
    ...(scheme === undefined ? {} : { scheme }),
    ...(authority === undefined ? {} : { authority }),
    ...(port === undefined ? {} : { port }),
    ...(derivePort === undefined ? {} : { port: derived }),
    ...(uri === undefined || isPrefix ? {} : { path: uri }),
    ...(isPrefix ? { prefix: uri.slice(MATCHED_PREFIX.length) } : {}),
  };
}

function compileCors(cors: HttpCorsPolicy): CorsPolicy {
  return {
    allowOrigins: (cors.allowOrigins ?? []).map(originMatch),
    allowMethods: (cors.allowMethods ?? []).join(","),
    allowHeaders: (cors.allowHeaders ?? []).join(","),
    exposeHeaders: (cors.exposeHeaders ?? []).join(","),
    maxAge:
      cors.maxAge === undefined ? "" : String(Math.floor(durationMs(cors.maxAge) / MS_PER_SECOND)),
    allowCredentials: cors.allowCredentials === true,
    unmatchedPreflights: cors.unmatchedPreflights === "IGNORE" ? "ignore" : "forward",
  };
}

function originMatch(origin: {
  readonly exact?: string;
  readonly prefix?: string;
  readonly regex?: string;
}): StringMatch {
  if (origin.exact !== undefined) {
    // As Istio's: an exact `*` means any origin.
    return origin.exact === "*"
      ? { kind: "prefix", value: "" }
      : { kind: "exact", value: origin.exact };
  }
  if (origin.prefix !== undefined) return { kind: "prefix", value: origin.prefix };
  return { kind: "regex", value: origin.regex ?? "" };
}

function compileFault({ delay, abort }: HttpFault): FaultInjection {
  return {
    ...(delay?.fixedDelay === undefined
      ? {}
      : {
          delay: { delayMs: durationMs(delay.fixedDelay), sharePpm: ppmOf(delay.percentage, 0) },
        }),
    ...(abort?.httpStatus === undefined
      ? {}
      : { abort: { status: abort.httpStatus, sharePpm: ppmOf(abort.percentage, 0) } }),
  };
}

/** A share in parts per million; `absent` (percent) when nothing is said. */
function ppmOf(percentage: Percentage | undefined, absent: number): number {
  const percent = percentage === undefined ? absent : (percentage.value ?? 0);
  return Math.round(percent * PPM_PER_PERCENT);
}

/** Where a try has a time: what is late is then waited for beside the next one. */
function hedged(retry: RetryPolicy, { resource }: TargetScope): RetryPolicy {
  if (retry.perTryTimeoutMs === 0 || !isHedged(resource)) return retry;
  return { ...retry, isHedged: true };
}

function compileRetry(retries: HttpRetry, path: string, scope: TargetScope): RetryPolicy {
  const on = new Set<RetryCondition>();
  const statuses = new Set<number>();
  for (const word of (retries.retryOn ?? DEFAULT_RETRY_ON).split(",").map((text) => text.trim())) {
    if (word === "") continue;
    if (/^[1-5]\d\d$/.test(word)) statuses.add(Number(word));
    else if (Object.hasOwn(CONDITIONS, word)) addCondition(on, CONDITIONS[word] ?? null);
    else reportCondition(word, `${path}.retries.retryOn`, scope);
  }
  // Istio adds 503 to its own default.
  if (retries.retryOn === undefined) statuses.add(503);
  const backOffBaseMs =
    retries.backoff === undefined ? BACK_OFF_BASE_MS : Math.max(1, durationMs(retries.backoff));
  return {
    retries: retries.attempts,
    perTryTimeoutMs: retries.perTryTimeout === undefined ? 0 : durationMs(retries.perTryTimeout),
    on: [...on],
    statuses: [...statuses],
    backOffBaseMs,
    backOffMaxMs: backOffBaseMs * BACK_OFF_GROWTH_MAX,
  };
}

function addCondition(on: Set<RetryCondition>, condition: RetryCondition | null): void {
  if (condition !== null) on.add(condition);
}

function reportCondition(word: string, path: string, { resource, messages }: TargetScope): void {
  messages.add(resource, {
    severity: "warning",
    code: "GL0218",
    path,
    message: `the retry condition ${word} is not known here, so it has no effect`,
    remedy: `Known are ${Object.keys(CONDITIONS).join(", ")} and status codes.`,
  });
}

function compileMirrors(entry: HttpRoute, path: string, scope: TargetScope): Mirror[] {
  const { mirror, mirrorPercentage, mirrorPercent, mirrors = [] } = entry;
  const wanted: { policy: HttpMirrorPolicy; path: string }[] = mirrors.map((policy, index) => ({
    policy,
    path: `${path}.mirrors[${index}].destination`,
  }));
  if (mirror !== undefined) {
    const value = mirrorPercentage?.value ?? mirrorPercent;
    const percentage = value === undefined ? {} : { percentage: { value } };
    wanted.push({ policy: { destination: mirror, ...percentage }, path: `${path}.mirror` });
  }
  return wanted.map(({ policy, path: place }) => {
    const target = resolveMirror(policy.destination, place, scope);
    return {
      target,
      sharePpm: ppmOf(policy.percentage, 100),
      requestHeaders: laneHeader(target, scope.laneGroups),
    };
  });
}

/** A copy for a lane carries that lane on, so that it does not leave it at the next hop. */
function laneHeader(target: Target, groups: readonly LaneGroup[]): HeaderOperations {
  const subset = target.kind === "cluster" ? target.subset : null;
  if (subset?.kind !== "lane") return NO_HEADER_OPERATIONS;
  const group = groups.find(({ name }) => name === subset.group);
  const lane = group?.lanes.find(({ name }) => name === subset.lane);
  if (group === undefined || lane === undefined) return NO_HEADER_OPERATIONS;
  return { ...NO_HEADER_OPERATIONS, set: [[group.context.routeHeader, lane.tag]] };
}
