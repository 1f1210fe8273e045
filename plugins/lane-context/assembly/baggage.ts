//! W3C Baggage, as `src/lane/baggage.ts` has it. Text is Latin-1, as in `field-text.ts`.

/** Of the whole field. */
const BYTES_MAX: i32 = 8192;
const MEMBERS_MAX: i32 = 64;

const PERCENT: i32 = 0x25;
const HEX = "0123456789ABCDEF";

/** The value of the first member called so, as it stands there; null: there is none. */
export function memberOf(field: string, key: string): string | null {
  if (!field.includes(key)) return null;
  const members = field.split(",");
  for (let index = 0; index < members.length; index++) {
    if (keyOf(members[index]) == key) return valueOf(members[index]);
  }
  return null;
}

/** Whether a member's value stands for this text. */
export function meansText(value: string, text: string): bool {
  return value.includes("%") ? unescaped(value) == utf8Of(text) : value == text;
}

export class Edit {
  constructor(
    /** `""`: nothing is left. */
    public field: string,
    /** Members of others that were left out. */
    public droppedCount: i32,
  ) {}
}

/** The member set to `value` and standing first; what goes over the limits is left out. */
export function setMember(field: string, key: string, value: string): Edit {
  const own = key + "=" + encoded(value);
  const others = othersOf(field, [key]);
  const kept: string[] = [own];
  let bytes = own.length;
  for (let index = 0; index < others.length; index++) {
    bytes += 1 + others[index].length;
    if (kept.length >= MEMBERS_MAX || bytes > BYTES_MAX) break;
    kept.push(others[index]);
  }
  return new Edit(kept.join(","), others.length - (kept.length - 1));
}

/** Without the members called so; the very same text where there is none. */
export function withoutMembers(field: string, keys: string[]): string {
  const members = field.split(",");
  let isThere = false;
  for (let index = 0; index < members.length; index++) {
    if (keys.includes(keyOf(members[index]))) isThere = true;
  }
  return isThere ? othersOf(field, keys).join(",") : field;
}

/** Escapes undone; a lone per cent sign stays. The text is one of bytes. */
export function unescaped(text: string): string {
  if (!text.includes("%")) return text;
  const bytes: i32[] = [];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const high = code == PERCENT ? digitAt(text, index + 1) : -1;
    const low = high == -1 ? -1 : digitAt(text, index + 2);
    bytes.push(low == -1 ? code : high * 16 + low);
    if (low != -1) index += 2;
  }
  return String.fromCharCodes(bytes);
}

function othersOf(field: string, keys: string[]): string[] {
  const found: string[] = [];
  const members = field.split(",");
  for (let index = 0; index < members.length; index++) {
    const member = trimmed(members[index]);
    if (member != "" && !keys.includes(keyOf(member))) found.push(member);
  }
  return found;
}

function keyOf(member: string): string {
  const equals = member.indexOf("=");
  return equals == -1 ? "" : trimmed(member.substring(0, equals));
}

function valueOf(member: string): string {
  const start = member.indexOf("=") + 1;
  const semicolon = member.indexOf(";", start);
  return trimmed(member.substring(start, semicolon == -1 ? member.length : semicolon));
}

/** Space and tab, no more. */
function trimmed(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.substring(start, end);
}

function isSpace(code: i32): bool {
  return code == 0x20 || code == 0x09;
}

/** -1: none. */
function digitAt(text: string, index: i32): i32 {
  if (index >= text.length) return -1;
  const code = text.charCodeAt(index);
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

function encoded(text: string): string {
  const bytes = utf8Of(text);
  const written: i32[] = [];
  for (let index = 0; index < bytes.length; index++) {
    const code = bytes.charCodeAt(index);
    if (isOctet(code)) {
      written.push(code);
      continue;
    }
    written.push(PERCENT);
    written.push(HEX.charCodeAt(code >> 4));
    written.push(HEX.charCodeAt(code & 0xf));
  }
  return String.fromCharCodes(written);
}

/** baggage-octet, but for the sign that begins an escape. */
function isOctet(code: i32): bool {
  if (code <= 0x20 || code > 0x7e) return false;
  return code != 0x22 && code != PERCENT && code != 0x2c && code != 0x3b && code != 0x5c;
}

/** The bytes of Latin-1 text in UTF-8, as text of bytes. */
function utf8Of(text: string): string {
  const bytes: i32[] = [];
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x80) {
      bytes.push(code);
      continue;
    }
    bytes.push(0xc0 | (code >> 6));
    bytes.push(0x80 | (code & 0x3f));
  }
  return String.fromCharCodes(bytes);
}
