//! `delegate` of a VirtualService's routes: another VirtualService, without hosts, has the routes.
//!
//! As in Istio there is one level, and a request takes a merged route when it meets both the root's
//! match and the delegate's.

import type {
  HttpMatch,
  HttpRoute,
  StringMatch,
  VirtualService,
} from "../resources/kinds/virtual-service.ts";
import type { MessageList } from "./messages.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";
import { isVisible } from "./visibility.ts";

/** A route, and where it is written: short hosts are looked up there, and messages say so. */
export interface PlacedRoute {
  readonly entry: HttpRoute;
  readonly owner: VirtualService;
  readonly path: string;
  /** Unique among the routes of all objects. */
  readonly id: string;
  /** Why it cannot be served; absent: it can. */
  readonly fault?: string;
}

/** Without hosts it serves only what others delegate to it. */
export function isDelegate({ spec }: VirtualService): boolean {
  return spec.hosts.length === 0;
}

/** A VirtualService's own routes, as they stand. */
export function ownRoutes(owner: VirtualService): PlacedRoute[] {
  return (owner.spec.http ?? []).map((entry, index) => {
    const path = `spec.http[${index}]`;
    return { entry, owner, path, id: `${keyOf(owner)}/http[${index}]` };
  });
}

export class Delegates {
  readonly #byKey: ReadonlyMap<string, VirtualService>;
  readonly #messages: MessageList;
  readonly #used = new Set<VirtualService>();

  constructor(resources: readonly VirtualService[], messages: MessageList) {
    const delegates = resources.filter(isDelegate);
    this.#byKey = new Map(delegates.map((resource) => [keyOf(resource), resource]));
    this.#messages = messages;
  }

  /** The routes with those of delegates in the place of the routes that name them. */
  routesOf(root: VirtualService): PlacedRoute[] {
    return ownRoutes(root).flatMap((placed) => {
      const { delegate } = placed.entry;
      return delegate === undefined ? [placed] : this.#expand(placed, delegate);
    });
  }

  /** Call it when the routes of all have been asked for. */
  reportUnused(): void {
    for (const delegate of this.#byKey.values()) {
      if (this.#used.has(delegate)) continue;
      this.#messages.add(delegate, {
        severity: "info",
        code: "GL0268",
        path: "spec",
        message: "no VirtualService delegates to it, and it has no hosts: it serves nothing",
      });
    }
  }

  #expand(placed: PlacedRoute, { name, namespace }: NonNullable<Delegation>): PlacedRoute[] {
    const { owner: root } = placed;
    const key = `${namespace ?? namespaceOf(root)}/${name}`;
    const delegate = this.#byKey.get(key);
    if (delegate === undefined || !isVisible(delegate, namespaceOf(root))) {
      const why = delegate === undefined ? "there is no" : "not exported here is the";
      return [this.#missing(placed, `${why} VirtualService ${key} to delegate to`)];
    }
    this.#used.add(delegate);
    return ownRoutes(delegate).flatMap((own) => this.#merge(placed, own));
  }

  #missing(placed: PlacedRoute, fault: string): PlacedRoute {
    this.#messages.add(placed.owner, {
      severity: "error",
      code: "GL0266",
      path: `${placed.path}.delegate`,
      message: `${fault}: requests that take the route answer 503`,
      remedy: "Apply a VirtualService without hosts by that name, exported to this namespace.",
    });
    return { ...placed, fault };
  }

  #merge(root: PlacedRoute, own: PlacedRoute): PlacedRoute[] {
    const match = mergeMatches(root.entry.match ?? [], own.entry.match ?? []);
    if (match === null) {
      const where = `${keyOf(root.owner)} ${root.path}`;
      this.#messages.add(own.owner, {
        severity: "warning",
        code: "GL0267",
        path: `${own.path}.match`,
        message: `not within the match of ${where}, so that the route is left out there`,
        remedy: "Match a part of what the root matches, without regular expressions in both.",
      });
      return [];
    }
    const entry = mergeRoute(root.entry, own.entry, match);
    const id = `${root.id}/${own.id}`;
    if (own.entry.delegate === undefined) return [{ ...own, entry, id }];
    return [{ ...this.#missing(own, "a delegate may not delegate again"), entry, id }];
  }
}

type Delegation = HttpRoute["delegate"];

/** What the delegate does not say is the root's. */
function mergeRoute(root: HttpRoute, own: HttpRoute, match: readonly HttpMatch[]): HttpRoute {
  const joined = joinNames(root.name, own.name);
  const named = joined === undefined ? {} : { name: joined };
  const merged: { -readonly [Key in keyof HttpRoute]: HttpRoute[Key] } = { ...root, ...own };
  if (own.delegate === undefined) delete merged.delegate;
  return { ...merged, ...named, match };
}

function joinNames(root: string | undefined, own: string | undefined): string | undefined {
  const names = [root, own].filter((name) => name !== undefined && name !== "");
  return names.length === 0 ? undefined : names.join("-");
}

/** Null: one of the delegate's matches is within none of the root's. */
function mergeMatches(
  root: readonly HttpMatch[],
  own: readonly HttpMatch[],
): readonly HttpMatch[] | null {
  if (root.length === 0) return own;
  if (own.length === 0) return root;
  const merged: HttpMatch[] = [];
  for (const inner of own) {
    const found = root.filter((outer) => isWithin(inner, outer));
    if (found.length === 0) return null;
    merged.push(...found.map((outer) => mergeMatch(outer, inner)));
  }
  return merged;
}

function mergeMatch(outer: HttpMatch, inner: HttpMatch): HttpMatch {
  const merged: HttpMatch = { ...outer, ...inner };
  const joined = joinNames(outer.name, inner.name);
  return {
    ...merged,
    ...(joined === undefined ? {} : { name: joined }),
    ...both("headers", outer, inner),
    ...both("withoutHeaders", outer, inner),
    ...both("queryParams", outer, inner),
  };
}

type MapField = "headers" | "withoutHeaders" | "queryParams";

function both(field: MapField, outer: HttpMatch, inner: HttpMatch): Partial<HttpMatch> {
  if (outer[field] === undefined && inner[field] === undefined) return {};
  return { [field]: { ...outer[field], ...inner[field] } };
}

const TEXT_FIELDS = ["uri", "scheme", "method", "authority"] as const;

/** Whether the inner match can be asked for beside the outer one. */
function isWithin(inner: HttpMatch, outer: HttpMatch): boolean {
  const areTextsWithin = TEXT_FIELDS.every((field) => isTextWithin(inner[field], outer[field]));
  const isSamePort =
    outer.port === undefined || inner.port === undefined || outer.port === inner.port;
  const isSameCase = (outer.ignoreUriCase ?? false) === (inner.ignoreUriCase ?? false);
  return (
    areTextsWithin &&
    isSamePort &&
    isSameCase &&
    areFieldsWithin(inner.headers, outer.headers) &&
    areFieldsWithin(inner.queryParams, outer.queryParams) &&
    areSame(inner.withoutHeaders, outer.withoutHeaders)
  );
}

type Fields = HttpMatch["headers"];

function areFieldsWithin(inner: Fields, outer: Fields): boolean {
  return Object.entries(inner ?? {}).every(([name, match]) => isTextWithin(match, outer?.[name]));
}

/** Of one name both must exclude the same: a map has no place for two. */
function areSame(inner: Fields, outer: Fields): boolean {
  return Object.entries(inner ?? {}).every(([name, { exact, prefix, regex }]) => {
    const other = outer?.[name];
    if (other === undefined) return true;
    return other.exact === exact && other.prefix === prefix && other.regex === regex;
  });
}

/** As Istio compares: of regular expressions nobody can say what is within what. */
function isTextWithin(inner: StringMatch | undefined, outer: StringMatch | undefined): boolean {
  if (inner === undefined || outer === undefined) return true;
  if (inner.regex !== undefined || outer.regex !== undefined) return false;
  if (outer.exact !== undefined) return inner.exact === outer.exact;
  const text = inner.prefix ?? inner.exact;
  return outer.prefix !== undefined && text?.startsWith(outer.prefix) === true;
}
