//! What ASM's two lane kinds have in common: which requests, at which hosts, and where to.
//!
//! ASM writes absent parts as empty objects (`uri: {}`), so these mean the same as none.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import { mapOf, port, text } from "./fields.ts";
import { described } from "./kind.ts";
import type { StringMatch } from "./virtual-service.ts";

/** AND of all that is given. */
export interface AsmRequestMatch {
  readonly uri?: StringMatch;
  /** An empty match means: is present. */
  readonly headers?: Readonly<Record<string, StringMatch>>;
}

export interface AsmDestination {
  readonly host?: string;
  readonly portNum?: number;
}

const stringMatch = Type.Object(
  {
    exact: Type.Optional(Type.String()),
    prefix: Type.Optional(Type.String()),
    regex: Type.Optional(Type.Unsafe<string>({ type: "string", format: "re2" })),
  },
  { atMostOneOf: ["exact", "prefix", "regex"] },
);

const requestMatch = Type.Object({
  uri: Type.Optional(described<StringMatch, typeof stringMatch>(stringMatch)),
  headers: Type.Optional(
    mapOf(described<StringMatch, typeof stringMatch>(stringMatch), "header-match-name"),
  ),
});

const destination = Type.Object({
  host: Type.Optional(text("host")),
  portNum: Type.Optional(port()),
});

export function asmHostsSchema(): TUnsafe<readonly string[]> {
  return Type.Unsafe<readonly string[]>(Type.Array(text("virtual-service-host")));
}

export function asmRequestMatchSchema(): TUnsafe<AsmRequestMatch> {
  return described<AsmRequestMatch, typeof requestMatch>(requestMatch);
}

export function asmDestinationSchema(): TUnsafe<AsmDestination> {
  return described<AsmDestination, typeof destination>(destination);
}

/** The match without what is empty; null: it takes every request. */
export function definedMatch(match: AsmRequestMatch | undefined): AsmRequestMatch | null {
  const { uri = {}, headers = {} } = match ?? {};
  const hasUri = Object.keys(uri).length > 0;
  const hasHeaders = Object.keys(headers).length > 0;
  if (!hasUri && !hasHeaders) return null;
  return { ...(hasUri ? { uri } : {}), ...(hasHeaders ? { headers } : {}) };
}
