//! What a request asks to do, in Kubernetes' words: a verb on a resource, or on a path.

import type { RouteMatch } from "../routes.ts";

export interface ResourceAsk {
  readonly kind: "resource";
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  /** Empty: the object itself. */
  readonly subresource: string;
  /** Empty: in no namespace, or in all of them. */
  readonly namespace: string;
  /** Empty: not one object. */
  readonly name: string;
}

export interface PathAsk {
  readonly kind: "path";
  readonly verb: string;
  readonly path: string;
}

export type Ask = ResourceAsk | PathAsk;

const VERBS: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

export interface Asked {
  readonly method: string;
  readonly pathname: string;
  readonly query: URLSearchParams;
  /** Null: nothing is served there. */
  readonly match: RouteMatch | null;
}

/**
 * As Kubernetes' RequestInfo reads a request: a Namespace is in itself, and a list of one name is
 * of that object.
 */
export function askOf({ method, pathname, query, match }: Asked): Ask {
  const parameter = (name: string): string => match?.parameters.get(name) ?? "";
  const [group, version, resource] = [
    parameter("group"),
    parameter("version"),
    parameter("plural"),
  ];
  if (resource === "" || version === "") {
    return { kind: "path", verb: method.toLowerCase(), path: pathname };
  }
  const name = parameter("name");
  const isNamespace = group === "" && resource === "namespaces";
  const verb = verbOf(method, { isOne: name !== "", isWatch: isWatch(query) });
  return {
    kind: "resource",
    ...{ verb, group, version, resource },
    subresource: parameter("subresource"),
    namespace: parameter("namespace") || (isNamespace ? name : ""),
    name: name === "" && verb !== "create" ? selectedName(query) : name,
  };
}

export function isWatch(query: URLSearchParams): boolean {
  return ["1", "true"].includes(query.get("watch") ?? "");
}

function verbOf(
  method: string,
  { isOne, isWatch }: { readonly isOne: boolean; readonly isWatch: boolean },
): string {
  const verb = VERBS[method] ?? method.toLowerCase();
  if (isOne) return verb;
  if (verb === "delete") return "deletecollection";
  if (verb !== "get") return verb;
  return isWatch ? "watch" : "list";
}

/** The one name that a field selector leaves. */
function selectedName(query: URLSearchParams): string {
  for (const part of (query.get("fieldSelector") ?? "").split(",")) {
    const name = /^metadata\.name==?([^=].*)$/.exec(part)?.[1];
    if (name !== undefined) return name;
  }
  return "";
}

/** `deployments.apps`, as Kubernetes writes a resource of a group. */
export function resourceText({ group, resource }: Pick<ResourceAsk, "group" | "resource">): string {
  return group === "" ? resource : `${resource}.${group}`;
}
