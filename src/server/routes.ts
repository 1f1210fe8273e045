//! The one table of paths and verbs. What is not in it is not served.

import { reviewAccess, reviewRules, reviewSelf, reviewSubject, REVIEWS } from "./access/reviews.ts";
import { reviewToken } from "./access/token-review.ts";
import { requestToken } from "./access/token-request.ts";
import type { ReviewKind } from "./access/review-body.ts";
import { kindText } from "../controlplane/store/store.ts";
import type { Call } from "./call.ts";
import { coreVersions, group, groups, resources, version } from "./discovery.ts";
import {
  createObject,
  getObject,
  listObjects,
  updateObject,
  updateObjectStatus,
} from "./objects.ts";
import { deleteCollection, deleteObject } from "./deletion.ts";
import { kindPathOf } from "./kind-path.ts";
import { finalizeNamespace } from "./namespaces.ts";
import { analyze, configDump, explain, recent, runtimeStatus, shutdown } from "./own.ts";
import { openApiIndex, openApiOfGroup, openApiV2 } from "./openapi.ts";
import { patchObject, patchObjectStatus } from "./patch/patch-object.ts";
import { getScale, patchScale, updateScale } from "./scale.ts";
import { streamPluginLog, streamPodLog } from "./pod-log.ts";
import { notFound } from "./status.ts";

export type Verb = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export type Handler = (call: Call) => void | Promise<void>;

export interface Route {
  /** Segments; `:name` stands for any one. */
  readonly path: string;
  readonly verbs: Readonly<Partial<Record<Verb, Handler>>>;
  /** Parameters that its path does not tell. */
  readonly fixed: Readonly<Record<string, string>>;
  /** Answers without a token: only what tells nothing. */
  readonly isOpen: boolean;
}

function healthy(call: Call): void {
  call.response.writeHead(200, { "content-type": "text/plain" });
  call.response.end("ok");
}

function guarded(path: string, verbs: Route["verbs"], fixed: Route["fixed"] = {}): Route {
  return { path, verbs, fixed, isOpen: false };
}

/** Not of a kind that has none: whoever may read a status reads the whole object. */
function ofStatus(handler: Handler): Handler {
  return (call) => {
    const { plural, group, hasStatus } = kindPathOf(call).info;
    if (!hasStatus)
      throw notFound(`the resource ${kindText({ group, plural: `${plural}/status` })}`);
    return handler(call);
  };
}

/** As Kubernetes leaves open to everybody. */
function open(path: string, handler: Handler): Route {
  return { path, verbs: { GET: handler }, fixed: {}, isOpen: true };
}

const COLLECTION = { GET: listObjects, POST: createObject, DELETE: deleteCollection };
const OBJECT = { GET: getObject, PUT: updateObject, PATCH: patchObject, DELETE: deleteObject };
const SCALED = { GET: getScale, PUT: updateScale, PATCH: patchScale };
const STATUS = {
  GET: ofStatus(getObject),
  PUT: ofStatus(updateObjectStatus),
  PATCH: ofStatus(patchObjectStatus),
};

function routesOfGroup(base: string): readonly Route[] {
  return [
    guarded(base, { GET: resources }),
    guarded(`${base}/:plural`, COLLECTION),
    guarded(`${base}/:plural/:name`, OBJECT),
    // Before the namespaced collection: it is the status of the Namespace, not a kind `status`.
    guarded(`${base}/:plural/:name/status`, STATUS, { subresource: "status" }),
    guarded(`${base}/namespaces/:namespace/:plural`, COLLECTION),
    guarded(`${base}/namespaces/:namespace/:plural/:name`, OBJECT),
    guarded(`${base}/namespaces/:namespace/:plural/:name/status`, STATUS, {
      subresource: "status",
    }),
    guarded(`${base}/namespaces/:namespace/:plural/:name/scale`, SCALED, { subresource: "scale" }),
  ];
}

const NAMESPACE = { version: "v1", plural: "namespaces" };

const REVIEWERS: Readonly<Record<ReviewKind, Handler>> = {
  SelfSubjectAccessReview: reviewAccess,
  SelfSubjectRulesReview: reviewRules,
  SelfSubjectReview: reviewSelf,
  SubjectAccessReview: reviewSubject,
  TokenReview: reviewToken,
};

/** The first that fits is taken. */
export const ROUTES: readonly Route[] = [
  open("/healthz", healthy),
  open("/livez", healthy),
  open("/readyz", healthy),
  open("/version", version),
  guarded("/api", { GET: coreVersions }),
  guarded("/apis", { GET: groups }),
  guarded("/apis/:group", { GET: group }),
  guarded("/openapi/v2", { GET: openApiV2 }),
  guarded("/openapi/v3", { GET: openApiIndex }),
  guarded("/openapi/v3/api/:version", { GET: openApiOfGroup }),
  guarded("/openapi/v3/apis/:group/:version", { GET: openApiOfGroup }),
  guarded(
    "/api/:version/namespaces/:namespace/pods/:name/log",
    { GET: streamPodLog },
    { plural: "pods", subresource: "log" },
  ),
  guarded(
    "/api/:version/namespaces/:namespace/serviceaccounts/:name/token",
    { POST: requestToken },
    { plural: "serviceaccounts", subresource: "token" },
  ),
  ...REVIEWS.map(({ group, plural, kind }) =>
    guarded(
      `/apis/${group}/v1/${plural}`,
      { POST: REVIEWERS[kind] },
      { group, version: "v1", plural },
    ),
  ),
  guarded("/api/v1/namespaces/:name/finalize", { PUT: finalizeNamespace }, NAMESPACE),
  ...routesOfGroup("/api/:version"),
  ...routesOfGroup("/apis/:group/:version"),
  guarded("/graylane/v1/explain", { POST: explain }),
  guarded("/graylane/v1/recent", { POST: recent }),
  guarded("/graylane/v1/analyze", { POST: analyze }),
  guarded("/graylane/v1/pluginlog", { GET: streamPluginLog }),
  guarded("/graylane/v1/status", { GET: runtimeStatus }),
  guarded("/graylane/v1/configdump", { GET: configDump }),
  guarded("/graylane/v1/shutdown", { POST: shutdown }),
];

export interface RouteMatch {
  readonly route: Route;
  readonly parameters: ReadonlyMap<string, string>;
}

const SEGMENTS = ROUTES.map((route) => ({ route, segments: route.path.split("/") }));

/** `null`: no such path. */
export function matchRoute(pathname: string): RouteMatch | null {
  const given = pathname.replace(/(.)\/$/, "$1").split("/");
  for (const { route, segments } of SEGMENTS) {
    const parameters = matchSegments(segments, given);
    if (parameters === null) continue;
    return { route, parameters: new Map([...parameters, ...Object.entries(route.fixed)]) };
  }
  return null;
}

function matchSegments(
  segments: readonly string[],
  given: readonly string[],
): ReadonlyMap<string, string> | null {
  if (segments.length !== given.length) return null;
  const parameters = new Map<string, string>();
  for (const [at, segment] of segments.entries()) {
    const text = given[at] ?? "";
    if (!segment.startsWith(":")) {
      if (segment !== text) return null;
      continue;
    }
    const value = decode(text);
    if (value === null || value === "" || value.includes("/")) return null;
    parameters.set(segment.slice(1), value);
  }
  return parameters;
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
