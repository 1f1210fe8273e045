//! `graylane plugin …`, put together: files in, the tools of plugin-tools, text out.

import { readFile } from "node:fs/promises";
import type { InspectOptions } from "../cli/plugin.ts";
import { inspectModule } from "../plugin-tools/inspect.ts";
import { describeModule } from "../plugin-tools/report-text.ts";
import type { Terminal } from "./up.ts";

/** Exit code 1 when the file cannot be read, or when this host refuses the module. */
export async function inspectFile(options: InspectOptions, terminal: Terminal): Promise<number> {
  const bytes = await readModule(options.file, terminal);
  if (bytes === null) return 1;
  const report = await inspectModule(bytes, options.file);
  const text = options.json ? `${JSON.stringify(report, null, 2)}\n` : describeModule(report);
  terminal.stdout.write(text);
  return report.graylane.accepted ? 0 : 1;
}

async function readModule(path: string, terminal: Terminal): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : message;
    terminal.stderr.write(`error: ${path}: ${why}\nName a file that holds a Wasm module.\n`);
    return null;
  }
}
