//! What a request asks to do, in Kubernetes' words: a verb on a resource, or on a path.

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
/** The first words of old forms of paths; nothing is served there. */
const SPECIAL_VERBS: ReadonlySet<string> = new Set(["proxy", "watch"]);
/** What else stands after a Namespace is a kind within it. */
const NAMESPACE_SUBRESOURCES: ReadonlySet<string> = new Set(["status", "finalize"]);

export interface Asked {
  readonly method: string;
  readonly pathname: string;
  readonly query: URLSearchParams;
}

/**
 * As Kubernetes' RequestInfo reads a request, whether anything is served there or not: a Namespace
 * is in itself, and a list of one name is of that object.
 *
 * <https://pkg.go.dev/k8s.io/apiserver/pkg/endpoints/request#RequestInfoFactory>
 */
export function askOf({ method, pathname, query }: Asked): Ask {
  const path = decoded(pathname);
  const said = saidIn(path);
  if (said === null) return { kind: "path", verb: method.toLowerCase(), path };
  const { group, version, special, place } = said;
  const { namespace, resource, name, subresource } = place;
  const verb = special ?? verbOf(method, { isOne: name !== "", isWatch: isWatch(query) });
  const isList = name === "" && (verb === "list" || verb === "watch");
  return {
    kind: "resource",
    ...{ verb, group, version, resource, namespace },
    subresource: verb === "proxy" ? "" : subresource,
    name: isList ? selectedName(query) : name,
  };
}

type Place = Pick<ResourceAsk, "namespace" | "resource" | "name" | "subresource">;

interface Said {
  readonly group: string;
  readonly version: string;
  readonly special: string | undefined;
  readonly place: Place;
}

/** Null: no resource. */
function saidIn(path: string): Said | null {
  const [prefix, ...rest] = path.replace(/^\/+|\/+$/g, "").split("/");
  if (prefix !== "api" && prefix !== "apis") return null;
  const group = prefix === "apis" ? rest.shift() : "";
  const [version, ...parts] = rest;
  if (group === undefined || version === undefined || parts.length === 0) return null;
  const special = parts.length > 1 && SPECIAL_VERBS.has(parts[0] ?? "") ? parts.shift() : undefined;
  return { group, version, special, place: placeOf(parts) };
}

function placeOf(parts: readonly string[]): Place {
  const [first = "", namespace = "", within] = parts;
  if (first !== "namespaces") {
    const [, name = "", subresource = ""] = parts;
    return { namespace: "", resource: first, name, subresource };
  }
  if (within === undefined || NAMESPACE_SUBRESOURCES.has(within)) {
    return { namespace, resource: first, name: namespace, subresource: within ?? "" };
  }
  const [, , , name = "", subresource = ""] = parts;
  return { namespace, resource: within, name, subresource };
}

/** What cannot be decoded stays as it is. */
function decoded(pathname: string): string {
  try {
    return decodeURIComponent(pathname);
  } catch {
    return pathname;
  }
}

/** As Kubernetes reads a truth from a query: what is given, and is not `false` or `0`. */
export function isWatch(query: URLSearchParams): boolean {
  const given = query.get("watch");
  return given !== null && !["false", "0"].includes(given.toLowerCase());
}

function verbOf(
  method: string,
  { isOne, isWatch }: { readonly isOne: boolean; readonly isWatch: boolean },
): string {
  const verb = VERBS[method] ?? "";
  if (isOne) return verb;
  if (verb === "delete") return "deletecollection";
  if (verb !== "get") return verb;
  return isWatch ? "watch" : "list";
}

const NUMBERS = ["limit", "timeoutSeconds"];

/** The one name that a field selector leaves; empty: it leaves more, or cannot be read. */
function selectedName(query: URLSearchParams): string {
  if (NUMBERS.some((name) => !/^-?\d*$/.test(query.get(name) ?? ""))) return "";
  const parts = (query.get("fieldSelector") ?? "").split(",").sort();
  if (parts.some((part) => part !== "" && !part.includes("="))) return "";
  for (const part of parts) {
    const name = /^metadata\.name==?([^=].*)$/.exec(part)?.[1];
    if (name !== undefined) return name === "." || name === ".." || /[/%]/.test(name) ? "" : name;
  }
  return "";
}

/** `deployments.apps`, as Kubernetes writes a resource of a group. */
export function resourceText({ group, resource }: Pick<ResourceAsk, "group" | "resource">): string {
  return group === "" ? resource : `${resource}.${group}`;
}
