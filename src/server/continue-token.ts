//! Where a list goes on: `metadata.continue` of a page. Opaque to clients, who send it back as is.
//!
//! It grants nothing: who sends one is asked for the rights of the whole list each time.

import { createHash } from "node:crypto";
import type { Resource } from "../resources/object.ts";
import { isObject } from "./patch/json.ts";
import type { Selection } from "./selection.ts";
import { badRequest } from "./status.ts";

export interface Place {
  /** Whose state the pages show; null: the newest, in a list that has become inconsistent. */
  readonly revision: number | null;
  /** `placeOf` the last object that was sent. */
  readonly after: string;
}

const VERSION = "graylane.io/v1";
/** Bits enough that no client mixes up two lists of its own. */
const HASH_CHARS = 12;
/** A name and a namespace at their longest, as JSON and in base64, are far below. */
const TOKEN_CHARS_MAX = 4_096;

export function continueToken(place: Place, selection: Selection): string {
  const { revision, after } = place;
  const said = { v: VERSION, rv: revision, after, of: hashOf(selection) };
  return Buffer.from(JSON.stringify(said)).toString("base64url");
}

/** Throws 400 for what is none, or one of another list. */
export function readContinue(token: string, selection: Selection): Place {
  const said = parse(token);
  if (!isObject(said) || said["v"] !== VERSION)
    throw notValid("it is of another server or version");
  const { rv, after, of } = said;
  const isRevision = rv === null || (Number.isSafeInteger(rv) && Number(rv) >= 0);
  if (!isRevision || typeof after !== "string") throw notValid("it names no place in a list");
  if (of !== hashOf(selection)) {
    throw notValid("it is of a list of another kind or namespace, or with other selectors");
  }
  return { revision: rv === null ? null : Number(rv), after };
}

function parse(token: string): unknown {
  if (token.length > TOKEN_CHARS_MAX) throw notValid(`it is longer than ${TOKEN_CHARS_MAX} bytes`);
  if (!/^[\w-]+$/.test(token)) throw notValid("it is not base64url");
  try {
    return JSON.parse(Buffer.from(token, "base64url").toString("utf8"));
  } catch {
    throw notValid("it is not JSON");
  }
}

function notValid(why: string): Error {
  return badRequest(`invalid continue token: continue key is not valid: ${why}`);
}

function hashOf({ filter, selectors }: Selection): string {
  const { group, plural, namespace = null } = filter;
  const all = JSON.stringify([group, plural, namespace, selectors.labels, selectors.fields]);
  return createHash("sha256").update(all).digest("base64url").slice(0, HASH_CHARS);
}

/** Lists are in its order. */
export function placeOf({ metadata }: Resource): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}
