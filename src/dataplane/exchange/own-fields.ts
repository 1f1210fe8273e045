//! The fields of ours that a client sends to a gateway, and that no upstream may send back.

import type { Headers } from "../../http/headers.ts";

/** All about this hop's decision; a request asks for it by the value `1` of the same name. */
export const TRACE_HEADER = "x-graylane-trace";

/** Who sends the lane group's token is told of lanes from any address. */
const TOKEN_HEADER = "x-graylane-token";

const PREFIX = "x-graylane-";
const ASKED = "1";
/** Of the prefix: hardly any other field has it there. */
const LETTER_G = 0x67;
const LETTER_G_INDEX = 2;

/** What a client asks of the gateway itself. */
export interface OwnFields {
  readonly asksForTrace: boolean;
  /** `""`: none is shown. */
  readonly token: string;
}

/** Takes them out of a request: they go no further. Null for almost every request. */
export function takeOwnFields(headers: Headers): OwnFields | null {
  if (!hasOwnFields(headers)) return null;
  const asksForTrace = headers.get(TRACE_HEADER) === ASKED;
  const token = headers.get(TOKEN_HEADER) ?? "";
  removeOwnFields(headers);
  return { asksForTrace, token };
}

/** An upstream's answer could tell of lanes what is not so. */
export function removeOwnFields(headers: Headers): void {
  if (!hasOwnFields(headers)) return;
  for (const name of [...headers.names]) if (name.startsWith(PREFIX)) headers.remove(name);
}

function hasOwnFields({ names }: Headers): boolean {
  for (const name of names) {
    if (name.charCodeAt(LETTER_G_INDEX) === LETTER_G && name.startsWith(PREFIX)) return true;
  }
  return false;
}
