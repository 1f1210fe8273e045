//! The policy of an Ingress' routes: rewrites, CORS, copies.

import type { Mirror, Rewrite, RoutePolicy } from "../snapshot/routing.ts";
import type { IngressOptions } from "./ingress-annotations.ts";

interface Asked {
  readonly path: string;
  readonly isExact: boolean;
  readonly mirrors: readonly Mirror[];
  readonly options: IngressOptions;
}

/** Null: nothing is asked for. */
export function policyOf(asked: Asked): RoutePolicy | null {
  const { mirrors, options } = asked;
  const { cors, rewrite } = options;
  const policy: RoutePolicy = {
    ...(rewrite === null ? {} : { rewrite: rewriteOf(asked, rewrite) }),
    ...(cors === null ? {} : { cors }),
    ...(mirrors.length === 0 ? {} : { mirrors }),
  };
  return Object.keys(policy).length === 0 ? null : policy;
}

function rewriteOf(
  { path, isExact, options }: Asked,
  { target, path: wanted, authority }: NonNullable<IngressOptions["rewrite"]>,
): Rewrite {
  const host = authority === undefined ? {} : { authority };
  if (wanted !== undefined) {
    // Higress: the path's own goes before nginx's.
    if (isExact || options.isRegex) return { ...host, path: wanted };
    return { ...host, uriRegex: inPlaceOfPrefix(path, wanted) };
  }
  if (target === undefined) return host;
  // As in nginx the whole path is replaced, and `$1` is the first group of the Ingress' path.
  const match = `^(?:${isExact ? quoted(path) : path}).*$`;
  const rewrite = escaped(target).replaceAll(/\$(\d)/g, "\\$1");
  return { ...host, uriRegex: { match, rewrite } };
}

/** Whole elements: what is left keeps its slash, and there is always one. */
function inPlaceOfPrefix(path: string, wanted: string): NonNullable<Rewrite["uriRegex"]> {
  const prefix = quoted(path.replace(/\/+$/, ""));
  const target = escaped(wanted.replace(/\/+$/, ""));
  if (target === "") return { match: `^${prefix}/?(.*)$`, rewrite: "/\\1" };
  return { match: `^${prefix}(.*)$`, rewrite: `${target}\\1` };
}

function quoted(text: string): string {
  return text.replaceAll(/[^\w/]/g, "\\$&");
}

/** Of a substitution of RE2. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\");
}
