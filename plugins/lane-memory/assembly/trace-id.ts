//! The id within a header that says more than the id: see `src/lane/context.ts`.

/** A longer id is not recorded: the table's memory stays bounded. */
const CHARS_MAX: i32 = 256;
const W3C_ID_AT: i32 = 3;
const W3C_ID_CHARS: i32 = 32;

/** `""`: there is none. */
export function traceIdOf(header: string, value: string | null): string {
  if (value === null) return "";
  const id = partOf(header, firstOf(value));
  return id.length > CHARS_MAX ? "" : id;
}

/** Several fields of a name and one with a list are the same (RFC 9110, 5.2): the first counts. */
export function firstOf(value: string): string {
  const comma = value.indexOf(",");
  return comma == -1 ? value : value.substring(0, comma).trim();
}

function partOf(header: string, value: string): string {
  if (header == "traceparent") return w3cId(value);
  if (header == "b3") return b3Id(value);
  if (header == "uber-trace-id") return jaegerId(value);
  if (header == "sw8") return skyWalkingId(value);
  return value;
}

function w3cId(value: string): string {
  const idEnd = W3C_ID_AT + W3C_ID_CHARS;
  if (value.length <= idEnd || value.charCodeAt(2) != 0x2d || value.charCodeAt(idEnd) != 0x2d) {
    return "";
  }
  const id = value.substring(W3C_ID_AT, idEnd);
  return isHex(value.substring(0, 2), false) && isHex(id, false) ? id : "";
}

function b3Id(value: string): string {
  const id = value.substring(0, max(value.indexOf("-"), 0));
  return id.length >= 16 && id.length <= 32 && isHex(id, true) ? id : "";
}

function jaegerId(value: string): string {
  const colon = value.indexOf(":");
  const encoded = value.indexOf("%3A");
  const idEnd = colon == -1 || (encoded != -1 && encoded < colon) ? encoded : colon;
  const id = value.substring(0, max(idEnd, 0));
  return isHex(id, true) ? id : "";
}

function skyWalkingId(value: string): string {
  const isVersion = value.length > 2 && value.charCodeAt(0) >= 0x30 && value.charCodeAt(0) <= 0x39;
  const idEnd = value.indexOf("-", 2);
  if (!isVersion || value.charCodeAt(1) != 0x2d || idEnd == -1) return "";
  return value.substring(2, idEnd);
}

function isHex(text: string, mayBeUpper: bool): bool {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const isDigit = code >= 0x30 && code <= 0x39;
    const isLower = code >= 0x61 && code <= 0x66;
    const isUpper = mayBeUpper && code >= 0x41 && code <= 0x46;
    if (!isDigit && !isLower && !isUpper) return false;
  }
  return text.length > 0;
}
