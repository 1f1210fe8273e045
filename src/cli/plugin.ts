//! `graylane plugin`: the tools for plug-in authors. What they do is wired in by `main`.

import { resolve } from "node:path";
import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import type { Context } from "./context.ts";
import type { Run } from "./program.ts";

export interface InspectOptions {
  /** Absolute. */
  readonly file: string;
  readonly json: boolean;
}

export interface TestOptions {
  /** Files of cases, or folders with such files; absolute. */
  readonly paths: readonly string[];
  readonly update: boolean;
}

/** Runs the tools; each resolves to the exit code, and has printed what there is to say. */
export interface PluginTools {
  inspect(options: InspectOptions): Promise<number>;
  test(options: TestOptions): Promise<number>;
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
    .command("test")
    .description("run a plug-in's cases in this process")
    .argument("<paths...>", "files of cases, or folders with such files (*.cases.yaml)")
    .option("--update", "write what was seen into the cases that fail")
    .action((paths: string[], { update = false }: { update?: boolean }, command: Command) =>
      run(command, (context) => {
        const absolute = paths.map((path) => resolve(context.cwd, path));
        return context.plugin.test({ paths: absolute, update });
      }),
    );
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
