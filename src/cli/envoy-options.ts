//! `graylane envoy`: Envoy's own flags, parsed and checked.

import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { Option } from "commander";
import type { Command } from "commander";
import { ENVOY_LEVELS } from "../base/envoy-levels.ts";
import type { EnvoyLevel, EnvoyLevels } from "../base/envoy-levels.ts";
import type { NodeFlags } from "../snapshot/proxy-node.ts";
import { usageError } from "./cli-error.ts";
import type { Context } from "./context.ts";
import type { Run } from "./program.ts";
import { parentShutdownOf } from "./up-options.ts";

export interface EnvoyOptions {
  /** Absolute, or a name for `configYaml` in messages. */
  readonly file: string;
  /** In place of the file. */
  readonly configYaml: string | null;
  readonly concurrency: number;
  readonly levels: EnvoyLevels;
  /** Who it is, whatever the bootstrap says. */
  readonly node: NodeFlags;
  readonly validateOnly: boolean;
  /** SIGUSR2 starts the program anew. */
  readonly mayRestart: boolean;
  /** After a restart the old process ends so late. */
  readonly parentShutdownMs: number;
}

export interface RawEnvoyOptions {
  readonly configPath?: string;
  readonly configYaml?: string;
  readonly concurrency?: string;
  readonly logLevel: string;
  readonly componentLogLevel?: string;
  readonly mode: string;
  readonly serviceNode?: string;
  readonly serviceCluster?: string;
  readonly serviceZone?: string;
  readonly disableHotRestart?: boolean;
  readonly parentShutdownTimeS: string;
}

const WORKERS_MAX = 64;
/** Envoy's default. */
const PARENT_SHUTDOWN_SECONDS = 900;

/** Flags of Envoy's that have nothing to do here: taken, so that command lines need no change. */
const TAKEN: readonly (readonly [flags: string, description: string])[] = [
  ["--base-id <id>", "taken, without effect"],
  ["--use-dynamic-base-id", "taken, without effect"],
  ["--drain-time-s <seconds>", "taken, without effect"],
  ["--file-flush-interval-msec <ms>", "taken, without effect"],
  ["--file-flush-min-size-kb <kb>", "taken, without effect"],
  ["--drain-strategy <strategy>", "taken, without effect"],
  ["--restart-epoch <number>", "taken, without effect"],
  ["--skip-hot-restart-on-no-parent", "taken, without effect"],
  ["--socket-path <path>", "taken, without effect"],
  ["--socket-mode <mode>", "taken, without effect"],
  ["--cpuset-threads", "taken, without effect"],
  ["--ignore-unknown-dynamic-fields", "taken, without effect"],
  ["--reject-unknown-dynamic-fields", "taken, without effect"],
];

export function addEnvoyCommand(program: Command, run: Run): void {
  const envoy = program
    .command("envoy")
    .description("run the static part of an Envoy bootstrap, plug-ins included")
    .option("-c, --config-path <file>", "Envoy's bootstrap, YAML or JSON")
    .option("--config-yaml <text>", "the bootstrap itself, in place of a file")
    .option("--concurrency <count>", "workers (default: as many as there are processors)")
    .option("-l, --log-level <level>", `from here on: ${ENVOY_LEVELS.join(", ")}`, "info")
    .option("--component-log-level <levels>", "as wasm:debug; other components are passed over")
    .addOption(new Option("--mode <mode>", "serve, or validate").default("serve"))
    .option("--service-node <id>", "who it is, to plug-ins, in place of node.id")
    .option("--service-cluster <name>", "the same for node.cluster")
    .option("--service-zone <name>", "the same for node.locality.zone")
    .option("--disable-hot-restart", "do nothing on SIGUSR2")
    .option(
      "--parent-shutdown-time-s <seconds>",
      "so late after a restart the old process ends",
      String(PARENT_SHUTDOWN_SECONDS),
    );
  for (const [flags, description] of TAKEN) envoy.option(flags, description);
  envoy.action((options: RawEnvoyOptions, command: Command) =>
    run(command, (context) => context.envoy(parseEnvoyOptions(options, context))),
  );
}

function parseEnvoyOptions(raw: RawEnvoyOptions, { cwd }: Context): EnvoyOptions {
  const { configPath, configYaml } = raw;
  if ((configPath === undefined) === (configYaml === undefined)) {
    throw usageError("give either -c FILE or --config-yaml TEXT", "Merging both is not supported.");
  }
  if (raw.mode !== "serve" && raw.mode !== "validate") {
    throw usageError(`--mode ${raw.mode}: not a mode`, "The modes are serve and validate.");
  }
  const main = levelOf("--log-level", raw.logLevel);
  return {
    file: configPath === undefined ? "--config-yaml" : resolve(cwd, configPath),
    configYaml: configYaml ?? null,
    concurrency: concurrencyOf(raw.concurrency),
    levels: { main, wasm: componentLevel(raw.componentLogLevel ?? "") ?? main },
    node: nodeFlags(raw),
    validateOnly: raw.mode === "validate",
    mayRestart: raw.disableHotRestart !== true,
    parentShutdownMs: parentShutdownOf(raw.parentShutdownTimeS),
  };
}

function nodeFlags({ serviceNode, serviceCluster, serviceZone }: RawEnvoyOptions): NodeFlags {
  return {
    ...(serviceNode === undefined ? {} : { id: serviceNode }),
    ...(serviceCluster === undefined ? {} : { cluster: serviceCluster }),
    ...(serviceZone === undefined ? {} : { zone: serviceZone }),
  };
}

function concurrencyOf(text: string | undefined): number {
  if (text === undefined) return Math.min(availableParallelism(), WORKERS_MAX);
  const count = /^\d{1,3}$/.test(text) ? Number(text) : -1;
  if (count < 0 || count > WORKERS_MAX) {
    throw usageError(`--concurrency ${text}: not a number from 0 to ${WORKERS_MAX}`);
  }
  return Math.max(count, 1);
}

/** Throws a `CliError` (usage) that names the option. */
export function levelOf(option: string, text: string): EnvoyLevel {
  const word = text === "warn" ? "warning" : text;
  const level = ENVOY_LEVELS.find((each) => each === word);
  if (level === undefined) {
    throw usageError(`${option} ${text}: not a level`, `The levels: ${ENVOY_LEVELS.join(", ")}.`);
  }
  return level;
}

/** The level of `wasm` in `upstream:debug,wasm:trace`; null without one. */
function componentLevel(text: string): EnvoyLevel | null {
  let found: EnvoyLevel | null = null;
  for (const part of text.split(",")) {
    if (part === "") continue;
    const [component = "", level = ""] = part.split(":");
    const parsed = levelOf("--component-log-level", level);
    if (component === "wasm") found = parsed;
  }
  return found;
}
