//! The program's own log: JSON lines through pino, behind an interface that tests can silence.

import { destination, pino } from "pino";

export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** A logger whose level can be set while it runs. */
export interface LeveledLogger extends Logger {
  level: LogLevel;
}

export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error", "silent"];

export interface LoggerOptions {
  readonly level: LogLevel;
  /** In every line, e.g. `{ worker: 2 }`. */
  readonly base?: LogFields;
  /** A file, or `""` for standard error: standard output belongs to a command's answer. */
  readonly path?: string;
}

const STDERR = 2;

export function createLogger(options: LoggerOptions): LeveledLogger {
  const path = options.path ?? "";
  const target = destination({ dest: path === "" ? STDERR : path, mkdir: path !== "", sync: true });
  const log = pino({ level: options.level, base: { ...options.base } }, target);
  return {
    get level() {
      return log.level as LogLevel;
    },
    set level(level) {
      log.level = level;
    },
    debug(message, fields = {}) {
      log.debug(fields, message);
    },
    info(message, fields = {}) {
      log.info(fields, message);
    },
    warn(message, fields = {}) {
      log.warn(fields, message);
    },
    error(message, fields = {}) {
      log.error(fields, message);
    },
  };
}

const nothing = (): void => undefined;

/** For tests, and where nobody reads. */
export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};
