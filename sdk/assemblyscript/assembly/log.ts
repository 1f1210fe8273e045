//! The host's log.

import { proxy_log } from "./abi";
import { LogLevel } from "./enums";
import { Utf8 } from "./text";

export function log(level: i32, message: string): void {
  const text = new Utf8(message);
  proxy_log(level, text.pointer, text.length);
}

/** Stands in for AssemblyScript's `abort`: says why in the host's log, then traps. */
export function onAbort(
  message: string | null,
  file: string | null,
  line: u32,
  column: u32,
): void {
  const what = message === null ? "abort" : message;
  const where = file === null ? "" : file;
  const place = where + ":" + line.toString() + ":" + column.toString();
  log(LogLevel.critical, what + " at " + place);
  unreachable();
}
