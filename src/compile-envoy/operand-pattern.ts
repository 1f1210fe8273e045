//! Regular expressions (RE2) that find in a field what a rule's operand is.

const ESCAPED = /[\\^$.|?*+()[\]{}]/g;
const SPACE = "[ \\t]*";
const OUT_OF_ASCII = /[^\x20-\x7e]/;

export function quoted(text: string): string {
  return text.replaceAll(ESCAPED, "\\$&");
}

/**
 * The whole of a Cookie field in which the first cookie of the name has such a value. The pairs
 * before it are spelled out as "no cookie of that name": RE2 has no look-ahead.
 */
export function cookiePattern(name: string, value: string): string {
  return `(?:${otherPair(name)};)*${SPACE}${quoted(name)}${SPACE}=${SPACE}${value}${SPACE}(?:;.*)?`;
}

/** A pair that differs from the name somewhere, ends within it, or has no `=` after it. */
function otherPair(name: string): string {
  let rest = `${SPACE}(?:[^;= \\t][^;]*)?`;
  for (let index = name.length - 1; index >= 0; index--) {
    const letter = name.charAt(index);
    const blank = index === 0 ? " \\t" : "";
    rest = `(?:[^;${inClass(letter)}${blank}][^;]*|${quoted(letter)}${rest})?`;
  }
  return SPACE + rest;
}

function inClass(letter: string): string {
  return /[\\\]^-]/.test(letter) ? `\\${letter}` : letter;
}

/**
 * Every spelling of a text in a query: each character as it is or percent-encoded. Null for texts
 * with a percent sign, which may stand for itself or not, and for what is not ASCII.
 */
export function otherwiseSpelled(text: string): string | null {
  if (text.includes("%") || OUT_OF_ASCII.test(text)) return null;
  return text.replaceAll(/./g, spellings);
}

function spellings(letter: string): string {
  const hex = letter.charCodeAt(0).toString(16);
  const encoded = `%${hex.replaceAll(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)}`;
  if (letter === "+") return encoded;
  return letter === " " ? `(?:\\+| |${encoded})` : `(?:${quoted(letter)}|${encoded})`;
}
