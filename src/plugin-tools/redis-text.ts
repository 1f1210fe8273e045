//! Replies of Redis out of plain values, and the words of a command.

/** A text is a bulk string, a number an integer, null no value, a list an array. */
export type RedisValue =
  | string
  | number
  | null
  | readonly RedisValue[]
  | { readonly kind: "status" | "error"; readonly text: string };

/** Of lists within lists. */
export const REPLY_DEPTH_MAX = 32;

const LF = 0x0a;

/** As Redis speaks it (RESP2). */
export function encodeReply(value: RedisValue): Buffer {
  return Buffer.from(replyText(value));
}

function replyText(value: RedisValue): string {
  if (value === null) return "$-1\r\n";
  if (typeof value === "string") return `$${Buffer.byteLength(value)}\r\n${value}\r\n`;
  if (typeof value === "number") return `:${value}\r\n`;
  if (isLine(value)) return `${value.kind === "error" ? "-" : "+"}${value.text}\r\n`;
  return `*${value.length}\r\n${value.map(replyText).join("")}`;
}

function isLine(
  value: Exclude<RedisValue, string | number | null>,
): value is Extract<RedisValue, { readonly kind: string }> {
  return "kind" in value;
}

/** The words of `bytes`, which are one command: an array of bulk strings. */
export function commandWords(bytes: Uint8Array): string[] {
  const words: string[] = [];
  let at = bytes.indexOf(LF) + 1;
  while (at > 0 && at < bytes.length) {
    const start = bytes.indexOf(LF, at) + 1;
    const length = Number(Buffer.from(bytes.subarray(at + 1, start)).toString("latin1"));
    words.push(Buffer.from(bytes.subarray(start, start + length)).toString());
    at = start + length + 2;
  }
  return words;
}
