//! Log lines in Envoy's form, so that who reads Envoy's log reads ours.

import { logTime } from "../base/clock.ts";
import type { Clock } from "../base/clock.ts";
import { ENVOY_LEVELS } from "../base/envoy-levels.ts";
import type { EnvoyLevel, EnvoyLevels } from "../base/envoy-levels.ts";
import type { LeveledLogger, LogLevel } from "./logger.ts";

export interface WasmLine {
  /** 0 trace to 5 critical. */
  readonly level: number;
  readonly message: string;
  readonly name: string;
  readonly rootId: string;
  readonly vmId: string;
}

/** Ours, and the words of Envoy's for them. */
const OWN_LEVELS: Readonly<Record<LogLevel, EnvoyLevel>> = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
  silent: "off",
};

export class EnvoyLog implements LeveledLogger {
  readonly #clock: Clock;
  #levels: EnvoyLevels;
  readonly #write: (line: string) => void;

  constructor(clock: Clock, levels: EnvoyLevels, write: (line: string) => void) {
    this.#clock = clock;
    this.#levels = levels;
    this.#write = write;
  }

  get level(): LogLevel {
    const own = Object.entries(OWN_LEVELS).find(([, level]) => level === this.#levels.main);
    return (own?.[0] ?? "debug") as LogLevel;
  }

  set level(level: LogLevel) {
    this.#levels = { ...this.#levels, main: OWN_LEVELS[level] };
  }

  /** The least level that a plug-in's line is written with. */
  get wasmLevel(): number {
    return ENVOY_LEVELS.indexOf(this.#levels.wasm);
  }

  debug(message: string): void {
    this.#main("debug", message);
  }

  info(message: string): void {
    this.#main("info", message);
  }

  warn(message: string): void {
    this.#main("warning", message);
  }

  error(message: string): void {
    this.#main("error", message);
  }

  critical(message: string): void {
    this.#main("critical", message);
  }

  /** `wasm log[ name][ root_id][ vm_id]: message` */
  wasm({ level, message, name, rootId, vmId }: WasmLine): void {
    if (level < this.wasmLevel) return;
    const names = [name, rootId, vmId].map((each) => (each === "" ? "" : ` ${each}`));
    this.#line(ENVOY_LEVELS[level] ?? "info", "wasm", `wasm log${names.join("")}: ${message}`);
  }

  #main(level: EnvoyLevel, message: string): void {
    if (ENVOY_LEVELS.indexOf(level) < ENVOY_LEVELS.indexOf(this.#levels.main)) return;
    this.#line(level, "main", message);
  }

  #line(level: EnvoyLevel, component: string, message: string): void {
    const time = logTime(this.#clock.nowMs());
    this.#write(`[${time}][${process.pid}][${level}][${component}] ${message}\n`);
  }
}
