//! The main process's log: everything to its file, and what a user must know to the terminal.

import type { Logger, LogFields } from "../telemetry/logger.ts";

export function consoleLogger(log: Logger, stderr: { write(text: string): void }): Logger {
  return {
    debug(message, fields) {
      log.debug(message, fields);
    },
    info(message, fields) {
      log.info(message, fields);
    },
    warn(message, fields) {
      log.warn(message, fields);
      stderr.write(`warning: ${message}${detail(fields)}\n`);
    },
    error(message, fields) {
      log.error(message, fields);
      stderr.write(`error: ${message}${detail(fields)}\n`);
    },
  };
}

function detail(fields: LogFields | undefined): string {
  const { error, node } = fields ?? {};
  const parts = [node, error].filter((part) => typeof part === "string" && part !== "");
  return parts.length === 0 ? "" : ` (${parts.join(": ")})`;
}
