//! What of a plug-in's bytes may go to Redis: exactly one command, to which one reply comes.
//! Anything else would shift the replies of all calls that follow on the same connection.

const CR = 0x0d;
const LF = 0x0a;
const STAR = 0x2a;
const DOLLAR = 0x24;
const ZERO = 0x30;
const NINE = 0x39;
/** Redis' own limit of a command's words. */
const WORDS_MAX = 1024 * 1024;
const DIGITS_MAX = 10;
const NAME_BYTES_MAX = 16;

/** Commands that are not answered by one reply each, or that change how replies look. */
const REFUSED: ReadonlySet<string> = new Set([
  "hello",
  "monitor",
  "psubscribe",
  "psync",
  "punsubscribe",
  "ssubscribe",
  "subscribe",
  "sunsubscribe",
  "sync",
  "unsubscribe",
]);

/** Whether `bytes` are one array of bulk strings, and a command that may be sent. */
export function isOneCommand(bytes: Uint8Array): boolean {
  const head = readCount(bytes, 0, STAR);
  if (head === null || head.value === 0 || head.value > WORDS_MAX) return false;
  let at = head.end;
  const words: string[] = [];
  for (let left = head.value; left > 0; left--) {
    const length = readCount(bytes, at, DOLLAR);
    if (length === null) return false;
    const end = length.end + length.value;
    if (bytes[end] !== CR || bytes[end + 1] !== LF) return false;
    if (words.length < 2) words.push(nameAt(bytes, length.end, end));
    at = end + 2;
  }
  return at === bytes.length && isAllowed(words);
}

function isAllowed([name = "", second = ""]: readonly string[]): boolean {
  return !REFUSED.has(name) && !(name === "client" && second === "reply");
}

function nameAt(bytes: Uint8Array, start: number, end: number): string {
  const shown = bytes.subarray(start, Math.min(end, start + NAME_BYTES_MAX));
  return Buffer.from(shown).toString("latin1").toLowerCase();
}

/** The whole number of a line that begins with `mark`, and where the next line begins. */
function readCount(
  bytes: Uint8Array,
  start: number,
  mark: number,
): { readonly value: number; readonly end: number } | null {
  if (bytes[start] !== mark) return null;
  let value = 0;
  let at = start + 1;
  for (; at - start <= DIGITS_MAX; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < ZERO || byte > NINE) break;
    value = value * 10 + (byte - ZERO);
  }
  const hasDigits = at > start + 1;
  return hasDigits && bytes[at] === CR && bytes[at + 1] === LF ? { value, end: at + 2 } : null;
}
