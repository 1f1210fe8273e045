//! The levels of Envoy's log, which the command line, the workers and plug-ins share.

/** Envoy's words, the least first. The first six are those of plug-ins, in their order. */
export const ENVOY_LEVELS = [
  "trace",
  "debug",
  "info",
  "warning",
  "error",
  "critical",
  "off",
] as const;
export type EnvoyLevel = (typeof ENVOY_LEVELS)[number];

/** From which level on lines are written: those of plug-ins (`wasm`), and all others. */
export interface EnvoyLevels {
  readonly main: EnvoyLevel;
  readonly wasm: EnvoyLevel;
}
