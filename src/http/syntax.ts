//! The lexical rules of HTTP/1.1 as byte tables, and checks of whole strings made from them.

import { isIPv6 } from "node:net";

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COLON = 0x3a;

function table(fill: (byte: number) => number): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_unused, byte) => fill(byte));
}

function charset(text: string): ReadonlySet<number> {
  return new Set(Buffer.from(text, "latin1"));
}

const ALPHA_DIGIT = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const TOKEN_CHARS = charset("!#$%&'*+-.^_`|~" + ALPHA_DIGIT);
/** RFC 3986: unreserved and sub-delims; what a registered name holds beside `%XX`. */
const HOST_CHARS = charset("-._~!$&'()*+,;=" + ALPHA_DIGIT);

/** Of a token byte (RFC 9110 5.6.2) its lower-case form; 0 for any other byte. */
export const TOKEN_LOWER: Uint8Array = table((byte) => {
  if (!TOKEN_CHARS.has(byte)) return 0;
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
});

/** 1 for what a field value may hold (RFC 9110 5.5): tab, space, visible, and bytes over 0x7f. */
export const VALUE_BYTE: Uint8Array = table((byte) =>
  byte === TAB || (byte >= SPACE && byte !== 0x7f) ? 1 : 0,
);

/**
 * 1 for what we take in a request target: visible ASCII without `#`. That is more than RFC 3986
 * allows (`|`, `{`, `"` ...), because browsers send those; none of them can end the target.
 */
export const TARGET_BYTE: Uint8Array = table((byte) =>
  byte > SPACE && byte < 0x7f && byte !== 0x23 ? 1 : 0,
);

const HOST_BYTE: Uint8Array = table((byte) => (HOST_CHARS.has(byte) ? 1 : 0));

const PORT_MAX = 65_535;

function every(text: string, allowed: Uint8Array): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0xff || allowed[code] === 0) return false;
  }
  return true;
}

/** Is `name` a field name (a token, RFC 9110 5.1)? In either case; `Headers` wants lower-case. */
export function isFieldName(name: string): boolean {
  return name.length > 0 && every(name, TOKEN_LOWER);
}

/**
 * May `value` go on the wire as a field value? No CR, LF, NUL or other control byte except tab, no
 * character over U+00FF, no white space at either end (a receiver would strip it: RFC 9110 5.5).
 */
export function isFieldValue(value: string): boolean {
  return every(value, VALUE_BYTE) && !isBlank(value, 0) && !isBlank(value, value.length - 1);
}

function isBlank(text: string, index: number): boolean {
  const code = text.charCodeAt(index);
  return code === SPACE || code === TAB;
}

/** Is `method` a method (a token, RFC 9110 9.1)? Methods are case-sensitive. */
export function isMethod(method: string): boolean {
  return isFieldName(method);
}

/** May `target` stand in a request line: not empty, only bytes of `TARGET_BYTE`? */
export function isTarget(target: string): boolean {
  return target.length > 0 && every(target, TARGET_BYTE);
}

/**
 * `text` without optional white space at its ends (RFC 9110 5.6.3): only space and tab. `trim` also
 * takes U+00A0, which on the wire is a byte of the value.
 */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text, start)) start++;
  while (end > start && isBlank(text, end - 1)) end--;
  return text.slice(start, end);
}

/** Is `text` a token (RFC 9110 5.6.2)? */
export function isToken(text: string): boolean {
  return isFieldName(text);
}

/**
 * Is `text` `uri-host [ ":" port ]` (RFC 9112 3.2, RFC 3986 3.2.2)? An empty host is grammatical;
 * a user part is not. A port is empty (also grammatical) or 0 to 65535.
 */
export function isAuthority(text: string): boolean {
  if (text === lastAuthority) return true;
  if (!isAuthorityUnseen(text)) return false;
  lastAuthority = text;
  return true;
}

/** The last right one: most requests name the same host as the one before. */
let lastAuthority = "";

function isAuthorityUnseen(text: string): boolean {
  let index = 0;
  for (; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x80 && HOST_BYTE[code] === 1) continue;
    if (code === COLON) return isPort(text, index + 1);
    return code === 0x5b && index === 0 ? isLiteral(text) : isEncoded(text, index);
  }
  return true;
}

/** Port digits from `start` to the end, at most 65535; none at all is legal. */
function isPort(text: string, start: number): boolean {
  let port = 0;
  for (let index = start; index < text.length; index++) {
    const digit = text.charCodeAt(index) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
    if (port > PORT_MAX) return false;
  }
  return true;
}

const IP_FUTURE = /^v[0-9a-f]+\.[-._~!$&'()*+,;=:a-z0-9]+$/i;

/** `"[" ( IPv6address / IPvFuture ) "]" [ ":" port ]`; a zone (`%eth0`) is not in the grammar. */
function isLiteral(text: string): boolean {
  const close = text.indexOf("]");
  if (close === -1) return false;
  const address = text.slice(1, close);
  const isAddress = (isIPv6(address) && !address.includes("%")) || IP_FUTURE.test(address);
  if (!isAddress) return false;
  return close === text.length - 1 || (text[close + 1] === ":" && isPort(text, close + 2));
}

const ENCODED_HOST = /^(?:[-._~!$&'()*+,;=A-Za-z0-9]|%[0-9A-Fa-f]{2})*(?::([0-9]*))?$/;

/** The rare registered name with a percent-encoded byte. */
function isEncoded(text: string, index: number): boolean {
  if (text[index] !== "%") return false;
  const match = ENCODED_HOST.exec(text);
  return match !== null && isPort(match[1] ?? "", 0);
}
