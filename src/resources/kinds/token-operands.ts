//! LaneGroup: how tokens are verified whose claims rules read.

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import { text } from "./fields.ts";
import { described } from "./kind.ts";
import type { JsonObject, Report } from "./kind.ts";
import { member } from "./member.ts";

export interface TokenOperands {
  readonly issuer?: string;
  readonly audiences?: readonly string[];
  /** A key set as JSON text. */
  readonly jwks?: string;
  readonly jwksUri?: string;
  readonly header?: string;
  readonly cookie?: string;
  readonly query?: string;
}

const AUDIENCES_MAX = 32;
const KEYS_MAX = 32;
const JWKS_CHARS_MAX = 65_536;
const URI_CHARS_MAX = 2_048;
/** Of public keys. A key of the type `oct` is a secret that signs as well as it verifies. */
const KEY_TYPES: ReadonlySet<unknown> = new Set(["RSA", "EC", "OKP"]);
const PATH = ["spec", "operands", "jwt"];

const schema = Type.Object(
  {
    issuer: Type.Optional(text()),
    audiences: Type.Optional(Type.Array(text(), { minItems: 1, maxItems: AUDIENCES_MAX })),
    jwks: Type.Optional(text()),
    jwksUri: Type.Optional(text()),
    header: Type.Optional(text("header-name")),
    cookie: Type.Optional(text("header-name")),
    query: Type.Optional(text()),
  },
  { exactlyOneOf: ["jwks", "jwksUri"], atMostOneOf: ["header", "cookie", "query"] },
);

export function tokenOperands(): TUnsafe<TokenOperands> {
  return described<TokenOperands, typeof schema>(schema);
}

export function checkTokenOperands(object: JsonObject, report: Report): void {
  const jwks = member(object, ...PATH, "jwks");
  const uri = member(object, ...PATH, "jwksUri");
  const say = (name: string, says: string, remedy: string): void => {
    report({ code: "GL0113", path: [...PATH, name], says, remedy });
  };
  if (typeof uri === "string" && !isHttpAddress(uri)) {
    say("jwksUri", "must be an http or https address", "Write e.g. https://id.example/keys.");
  }
  if (typeof jwks !== "string") return;
  const fault = keySetFault(jwks);
  if (fault !== null) say("jwks", fault, "Write the set that the issuer publishes, as JSON text.");
}

function isHttpAddress(uri: string): boolean {
  if (uri.length > URI_CHARS_MAX || !URL.canParse(uri)) return false;
  const { protocol, username, password } = new URL(uri);
  return /^https?:$/.test(protocol) && username === "" && password === "";
}

/** Completes "jwks …"; never says anything of a key's text. */
function keySetFault(jwks: string): string | null {
  if (jwks.length > JWKS_CHARS_MAX) return `must have at most ${JWKS_CHARS_MAX} characters`;
  const keys = keysOf(jwks);
  if (keys === null || keys.length === 0) return 'must be a key set: {"keys": [...]}';
  if (keys.length > KEYS_MAX) return `must have at most ${KEYS_MAX} keys`;
  for (const [index, key] of keys.entries()) {
    const type = member(key, "kty");
    if (type === "oct") return `has a shared secret as its key ${index}: public keys are accepted`;
    if (!KEY_TYPES.has(type)) return `has no kty of RSA, EC or OKP in its key ${index}`;
    if (member(key, "d") !== undefined) return `has a private key as its key ${index}`;
  }
  return null;
}

function keysOf(jwks: string): readonly unknown[] | null {
  try {
    const keys = member(JSON.parse(jwks), "keys");
    return Array.isArray(keys) ? keys : null;
  } catch {
    return null;
  }
}
