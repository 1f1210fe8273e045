//! Text of clients and plug-ins on its way to a terminal: nothing of it may steer that.

/** Control characters but tabs as `\x1b`; line separators too. */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (char) => {
    if (char === "\t") return char;
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}
