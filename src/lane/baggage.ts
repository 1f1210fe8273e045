//! W3C Baggage: reads one member of the header, and edits it within the limits of the standard.
//!
//! Tolerant of what it reads (a member that is no member is passed over, and kept), strict in what
//! it writes. Members of other people are kept as they were written, byte for byte. Source: W3C
//! Baggage, sections 3.2 (syntax) and 3.3.2 (limits). Header text is Latin-1, as on the wire.

export const BAGGAGE_HEADER = "baggage";
/** Of the whole field, after several fields were joined. */
export const BAGGAGE_BYTES_MAX = 8_192;
export const BAGGAGE_MEMBERS_MAX = 64;

/** What baggage-octet does not hold, and the percent sign, which starts an escape. */
const NOT_OCTETS = /[^\x21\x23\x24\x26-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]/gu;
const ESCAPE = /%([0-9A-Fa-f]{2})/g;
const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The value of the first member named `key`, decoded; undefined when there is none. `field` is the
 * header's value, several fields joined by commas. Properties of the member are passed over.
 */
export function baggageValue(field: string, key: string): string | undefined {
  // Most baggage is somebody else's: look before splitting.
  if (!field.includes(key)) return undefined;
  for (const member of field.split(",")) {
    if (keyOf(member) === key) return decodeValue(valueOf(member));
  }
  return undefined;
}

export interface BaggageEdit {
  /** `""`: nothing is left, so the header goes. */
  readonly field: string;
  /** Members of others that were left out, so that the limits hold. */
  readonly droppedCount: number;
}

/**
 * `field` with the member `key` set to `value` and standing first, where nobody who shortens the
 * header cuts it; whatever goes over the limits is dropped, whole members from the end.
 */
export function setBaggage(field: string, key: string, value: string): BaggageEdit {
  const own = `${key}=${encodeValue(value)}`;
  const kept = [own];
  let bytes = own.length;
  let droppedCount = 0;
  for (const member of othersOf(field, (name) => name === key)) {
    // Once one is dropped all that follow are: "the first n" is what can be explained.
    const isOver =
      kept.length >= BAGGAGE_MEMBERS_MAX || bytes + 1 + member.length > BAGGAGE_BYTES_MAX;
    if (isOver || droppedCount > 0) {
      droppedCount += 1;
      continue;
    }
    kept.push(member);
    bytes += 1 + member.length;
  }
  return { field: kept.join(","), droppedCount };
}

/** `field` without the members named in `keys`; the very same text when it holds none. */
export function removeBaggage(field: string, keys: readonly string[]): string {
  if (!keys.some((key) => field.includes(key))) return field;
  const names = field.split(",").map(keyOf);
  if (!names.some((name) => keys.includes(name))) return field;
  return othersOf(field, (name) => keys.includes(name)).join(",");
}

/** The members whose name is not told out, without the white space around them. */
function othersOf(field: string, isOut: (name: string) => boolean): string[] {
  return field
    .split(",")
    .map(trim)
    .filter((member) => member !== "" && !isOut(keyOf(member)));
}

/** `""` when there is no `=`: not a member, and nobody's. */
function keyOf(member: string): string {
  const equals = member.indexOf("=");
  return equals === -1 ? "" : trim(member.slice(0, equals));
}

function valueOf(member: string): string {
  const start = member.indexOf("=") + 1;
  const semicolon = member.indexOf(";", start);
  return trim(member.slice(start, semicolon === -1 ? undefined : semicolon));
}

/** Optional white space of HTTP is space and tab, no more. */
function trim(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, "");
}

/** Escapes that are no UTF-8 become U+FFFD (W3C Baggage, 3.2.1.3); a lone `%` stays. */
function decodeValue(text: string): string {
  if (!text.includes("%")) return text;
  const bytes = text.replace(ESCAPE, (_escape, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return DECODER.decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
}

function encodeValue(text: string): string {
  return text.replace(NOT_OCTETS, (character) =>
    [...ENCODER.encode(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`)
      .join(""),
  );
}
