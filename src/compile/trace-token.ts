//! The token by which callers are told of lanes, whatever their address: as a digest, from the
//! Secret that the group names.

import { createHash } from "node:crypto";
import type { LaneGroup } from "../resources/kinds/lane-group.ts";
import type { Secret } from "../resources/kinds/secret.ts";
import type { LaneScope } from "./lane-model.ts";
import { namespaceOf } from "./resource-index.ts";

/** A shorter one could be found by trying. */
export const TRACE_TOKEN_CHARS_MIN = 16;
export const TRACE_TOKEN_CHARS_MAX = 1_024;
/** What a header's value can be, without its blanks. */
const TOKEN = /^[\x21-\x7e]+$/;

/** SHA-256 in base64. Null: there is no token, or a message says why it is not used. */
export function modelTraceToken(
  group: LaneGroup,
  { secrets, messages }: Pick<LaneScope, "secrets" | "messages">,
): string | null {
  const named = group.spec.trace?.tokenFrom;
  if (named === undefined) return null;
  const secret = secrets.find(
    (each) => each.metadata.name === named.secretName && namespaceOf(each) === namespaceOf(group),
  );
  const token = secret === undefined ? null : entryOf(secret, named.key);
  const fault =
    secret === undefined
      ? `there is no Secret ${named.secretName} in the group's namespace`
      : faultOf(token, `the Secret ${named.secretName}`, named.key);
  if (fault === null && token !== null) {
    return createHash("sha256").update(token, "latin1").digest("base64");
  }
  messages.add(group, {
    severity: "error",
    code: "GL0352",
    path: "spec.trace.tokenFrom",
    message: `${String(fault)}: nobody is told of lanes by a token`,
    remedy: `Apply the Secret with a text of at least ${TRACE_TOKEN_CHARS_MIN} characters.`,
  });
  return null;
}

/** Without the line break that a file ends with. */
function entryOf({ data = {}, stringData = {} }: Secret, key: string): string | null {
  const encoded = data[key];
  const text =
    stringData[key] ?? (encoded === undefined ? null : Buffer.from(encoded, "base64").toString());
  return text === null ? null : text.replace(/\r?\n$/, "");
}

/** In words that show nothing of the token. */
function faultOf(token: string | null, where: string, key: string): string | null {
  if (token === null) return `${where} has no entry ${key}`;
  if (token.length < TRACE_TOKEN_CHARS_MIN || token.length > TRACE_TOKEN_CHARS_MAX) {
    const range = `${TRACE_TOKEN_CHARS_MIN} to ${TRACE_TOKEN_CHARS_MAX}`;
    return `the entry ${key} of ${where} has not ${range} characters`;
  }
  if (TOKEN.test(token)) return null;
  return `the entry ${key} of ${where} has a character that no header can carry`;
}
