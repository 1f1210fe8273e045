//! `graylane plugin`: the tools for plug-in authors. What they do is wired in by `main`.

import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { ENVOY_LEVELS } from "../base/envoy-levels.ts";
import type { EnvoyLevel } from "../base/envoy-levels.ts";
import { messageOf, usageError } from "./cli-error.ts";
import { levelOf } from "./envoy-options.ts";
import type { Context } from "./context.ts";
import { pluginLogs } from "./plugin-logs.ts";
import type { PluginLogsOptions } from "./plugin-logs.ts";
import type { Run } from "./program.ts";

const PORT_MAX = 65_535;
/** What is read as a file of cases, and not as a module. */
export const CASES_NAME: RegExp = /\.ya?ml$/;

export interface InspectOptions {
  /** Absolute. */
  readonly file: string;
  readonly json: boolean;
}

/** A plug-in of an Envoy bootstrap, with its configuration. */
export interface FromBootstrap {
  /** Absolute. */
  readonly file: string;
  /** `""`: the only one. */
  readonly plugin: string;
}

export interface TestOptions {
  /** Files of cases, or folders with such files; absolute. */
  readonly paths: readonly string[];
  readonly update: boolean;
  /** In place of the plug-in that the files name; null: theirs. */
  readonly bootstrap: FromBootstrap | null;
}

export interface RunOptions {
  /** Absolute. */
  readonly file: string;
  /** Handed to the plug-in as it is. */
  readonly configuration: string;
  readonly rootId: string;
  readonly port: number;
  readonly logLevel: EnvoyLevel;
}

export interface ProfileOptions {
  /** A module, or a file of cases whose requests are taken; absolute. Null beside a bootstrap. */
  readonly file: string | null;
  readonly bootstrap: FromBootstrap | null;
  readonly configuration: string;
  readonly rootId: string;
  readonly requests: number;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers: readonly (readonly [name: string, value: string])[];
    /** `""`: none. */
    readonly body: string;
  };
  /** Where the stacks go, by its ending; absolute. Null: nowhere. */
  readonly output: string | null;
}

/** Runs the tools; each resolves to the exit code, and has printed what there is to say. */
export interface PluginTools {
  inspect(options: InspectOptions): Promise<number>;
  test(options: TestOptions): Promise<number>;
  profile(options: ProfileOptions): Promise<number>;
  /** Until it is told to stop. */
  run(options: RunOptions): Promise<number>;
}

export function addPluginCommands(program: Command, run: Run): void {
  const plugin = program.command("plugin").description("tools for authors of plug-ins");
  plugin
    .command("inspect")
    .description("say what a module is and asks for, and who would refuse it")
    .argument("<file>", "a .wasm file")
    .option("-o, --output <format>", "json")
    .action((file: string, options: RawInspectOptions, command: Command) =>
      run(command, (context) => inspectPlugin(context, file, options)),
    );
  plugin
    .command("run")
    .description("run a gateway with this plug-in and an upstream that echoes")
    .argument("<file>", "a .wasm file")
    .option("--config <text or @file>", "the configuration; @FILE takes a file's text", "")
    .option("--root-id <id>", "the root id", "")
    .option("--port <port>", "where the gateway listens, on 127.0.0.1", "10000")
    .option("-l, --log-level <level>", `lines from here on: ${ENVOY_LEVELS.join(", ")}`, "info")
    .action((file: string, options: RawRunOptions, command: Command) =>
      run(command, (context) => context.plugin.run(parseRunOptions(context, file, options))),
    );
  plugin
    .command("test")
    .description("run a plug-in's cases in this process")
    .argument("<paths...>", "files of cases, or folders with such files (*.cases.yaml)")
    .option("--update", "write what was seen into the cases that fail")
    .option("-f, --filename <file>", BOOTSTRAP_OPTION)
    .option("--plugin <name>", CHOICE_OPTION)
    .action((paths: string[], options: RawTestOptions, command: Command) =>
      run(command, (context) => {
        const absolute = paths.map((path) => resolve(context.cwd, path));
        const bootstrap = bootstrapOf(context, options);
        return context.plugin.test({ paths: absolute, update: options.update ?? false, bootstrap });
      }),
    );
  addProfileCommand(plugin, run);
  addLogsCommand(plugin, run);
}

function addLogsCommand(plugin: Command, run: Run): void {
  plugin
    .command("logs")
    .description("print what a plug-in logs at the gateways of the server")
    .argument("<name>", "NAME or NAMESPACE/NAME of the WasmPlugin")
    .option("-f, --follow", "go on and print what comes")
    .option("--tail <lines>", "only the last lines that are kept; -1: all")
    .option("--since <duration>", "only lines newer than that, as in 5s, 2m or 3h")
    .option("--since-time <time>", "only lines from that time on (RFC 3339)")
    .option("--timestamps", "each line with its time")
    .option("-o, --output <format>", "json: an object on each line")
    .action((name: string, options: PluginLogsOptions, command: Command) =>
      run(command, (context) => pluginLogs(context, name, options)),
    );
}

function addProfileCommand(plugin: Command, run: Run): void {
  plugin
    .command("profile")
    .description("say what each callback and host call of a plug-in costs, and draw a flame graph")
    .argument("[file]", "a .wasm file, or a file of cases (*.cases.yaml) for their requests")
    .option("-f, --filename <file>", BOOTSTRAP_OPTION)
    .option("--plugin <name>", CHOICE_OPTION)
    .option("--config <text or @file>", "the configuration; @FILE takes a file's text", "")
    .option("--root-id <id>", "the root id", "")
    .option("--requests <count>", "how many requests are measured", "10000")
    .option("--path <path>", "the request's path", "/")
    .option("-X, --method <method>", "its method; GET, or POST with a body")
    .option("-H, --header <header>", "a header of it, 'name: value' (repeatable)", collect, [])
    .option("-d, --data <body>", "its body", "")
    .option("-o, --output <file>", "the stacks, as FILE.svg, FILE.cpuprofile or FILE.folded")
    .action((file: string | undefined, options: RawProfileOptions, command: Command) =>
      run(command, (context) => context.plugin.profile(parseProfile(context, file, options))),
    );
}

const BOOTSTRAP_OPTION = "take the plug-in and its configuration from this Envoy bootstrap";
const CHOICE_OPTION = "which plug-in of the bootstrap, by its name";

interface RawBootstrapOptions {
  readonly filename?: string;
  readonly plugin?: string;
}

interface RawTestOptions extends RawBootstrapOptions {
  readonly update?: boolean;
}

function bootstrapOf(
  context: Context,
  { filename, plugin }: RawBootstrapOptions,
): FromBootstrap | null {
  if (filename !== undefined) {
    return { file: resolve(context.cwd, filename), plugin: plugin ?? "" };
  }
  if (plugin === undefined) return null;
  throw usageError(
    `--plugin ${plugin}: of which bootstrap?`,
    "Name Envoy's bootstrap with -f FILE.",
  );
}

interface RawProfileOptions extends RawBootstrapOptions {
  readonly config: string;
  readonly rootId: string;
  readonly requests: string;
  readonly path: string;
  readonly method?: string;
  readonly header: readonly string[];
  readonly data: string;
  readonly output?: string;
}

function parseProfile(
  context: Context,
  file: string | undefined,
  raw: RawProfileOptions,
): ProfileOptions {
  const bootstrap = bootstrapOf(context, raw);
  checkSource(file, raw);
  const requests = /^\d{1,7}$/.test(raw.requests) ? Number(raw.requests) : 0;
  if (requests < 1) {
    throw usageError(`--requests ${raw.requests}: not a number from 1 to 9999999`);
  }
  const { output } = raw;
  if (output !== undefined && !/\.(svg|cpuprofile|folded)$/.test(output)) {
    throw usageError(
      `-o ${output}: not a kind of file that can be written`,
      "Name a FILE.svg (flame graph), FILE.cpuprofile (Chrome, speedscope) or FILE.folded.",
    );
  }
  return {
    file: file === undefined ? null : resolve(context.cwd, file),
    bootstrap,
    configuration: configurationOf(context, raw.config),
    rootId: raw.rootId,
    requests,
    request: {
      method: raw.method ?? (raw.data === "" ? "GET" : "POST"),
      path: raw.path,
      headers: raw.header.map(parseHeader),
      body: raw.data,
    },
    output: output === undefined ? null : outputPath(context, output),
  };
}

/** Looked at before anything is measured: that takes a while. */
function outputPath({ cwd }: Context, output: string): string {
  const path = resolve(cwd, output);
  const folder = dirname(path);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) {
    const remedy = `Make it first (mkdir -p ${folder}), or name a file in a folder that is there.`;
    throw usageError(`-o ${output}: there is no folder ${folder}`, remedy);
  }
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw usageError(`-o ${output}: it is a folder`, "Name a file.");
  }
  return path;
}

/** Where the plug-in, its root id and its configuration come from: one place, not two. */
function checkSource(file: string | undefined, raw: RawProfileOptions): void {
  const { filename, config, rootId } = raw;
  if (filename === undefined) {
    if (file !== undefined) return;
    throw usageError(
      "plugin profile: no plug-in",
      "Name a FILE.wasm, a file of cases, or Envoy's bootstrap with -f FILE.",
    );
  }
  const remedy = `Leave it out: ${filename} has the plug-in.`;
  if (file !== undefined && !CASES_NAME.test(file)) {
    throw usageError(`${file}: a module beside -f ${filename}`, remedy);
  }
  if (config !== "") throw usageError(`--config beside -f ${filename}`, remedy);
  if (rootId !== "") throw usageError(`--root-id beside -f ${filename}`, remedy);
}

function parseHeader(text: string): [name: string, value: string] {
  const colon = text.indexOf(":");
  if (colon < 1) throw usageError(`-H ${text}: not a header`, "Write 'name: value'.");
  return [text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim()];
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

interface RawInspectOptions {
  readonly output?: string;
}

function inspectPlugin(
  context: Context,
  file: string,
  { output }: RawInspectOptions,
): Promise<number> {
  if (output !== undefined && output !== "json") {
    throw usageError(`-o ${output}: not a format of plugin inspect`, "Use -o json.");
  }
  const path = resolve(context.cwd, file);
  return context.plugin.inspect({ file: path, json: output === "json" });
}

interface RawRunOptions {
  readonly config: string;
  readonly rootId: string;
  readonly port: string;
  readonly logLevel: string;
}

function parseRunOptions(context: Context, file: string, raw: RawRunOptions): RunOptions {
  const port = /^\d{1,5}$/.test(raw.port) ? Number(raw.port) : 0;
  if (port < 1 || port > PORT_MAX) {
    throw usageError(`--port ${raw.port}: not a number from 1 to ${PORT_MAX}`);
  }
  return {
    file: resolve(context.cwd, file),
    configuration: configurationOf(context, raw.config),
    rootId: raw.rootId,
    port,
    logLevel: levelOf("--log-level", raw.logLevel),
  };
}

function configurationOf(context: Context, text: string): string {
  if (!text.startsWith("@")) return text;
  const path = resolve(context.cwd, text.slice(1));
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw usageError(`--config ${text}: ${messageOf(error)}`, "Name a file after the @.");
  }
}
