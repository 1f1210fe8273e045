//! The main process's log: everything to its file, and what a user must know to the terminal.

import type { Logger, LogFields } from "../telemetry/logger.ts";

export function consoleLogger(log: Logger, stderr: { write(text: string): void }): Logger {
  let last = "";
  /** Several workers may refuse one thing in the same words: the terminal hears it once. */
  const tell = (line: string): void => {
    if (line !== last) stderr.write(line);
    last = line;
  };
  return {
    debug(message, fields) {
      log.debug(message, fields);
    },
    info(message, fields) {
      log.info(message, fields);
    },
    warn(message, fields) {
      log.warn(message, fields);
      tell(`warning: ${message}${detail(fields)}\n`);
    },
    error(message, fields) {
      log.error(message, fields);
      tell(`error: ${message}${detail(fields)}\n`);
    },
  };
}

function detail(fields: LogFields | undefined): string {
  const { error } = fields ?? {};
  return typeof error === "string" && error !== "" ? ` (${error})` : "";
}
