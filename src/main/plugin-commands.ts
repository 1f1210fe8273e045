//! `graylane plugin …`, put together: files in, the tools of plugin-tools, text out.

import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { systemClock } from "../base/clock.ts";
import type { InspectOptions, TestOptions } from "../cli/plugin.ts";
import { parseCaseFile } from "../plugin-tools/case-file.ts";
import type { CaseFile } from "../plugin-tools/case-file.ts";
import { resultText, runSuite, updatedText } from "../plugin-tools/case-suite.ts";
import type { CaseResult } from "../plugin-tools/case-suite.ts";
import { inspectModule } from "../plugin-tools/inspect.ts";
import { describeModule } from "../plugin-tools/report-text.ts";
import { formatFault } from "../resources/format-fault.ts";
import { LoadFault } from "../wasm/fault.ts";
import { loadModule } from "../wasm/module.ts";
import { casesWith, readBootstrapPlugin } from "./bootstrap-plugin.ts";
import type { BootstrapPlugin } from "./bootstrap-plugin.ts";
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

/** Null, and said, when it cannot be read. */
export async function readModule(path: string, terminal: Terminal): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : message;
    terminal.stderr.write(`error: ${path}: ${why}\nName a file that holds a Wasm module.\n`);
    return null;
  }
}

const CASE_FILE = /\.cases\.ya?ml$/;
const MODULE_FILE = /\.wasm$/;

/** Exit code 1 when a case fails that is not updated, or when a file cannot be run. */
export async function testPlugins(options: TestOptions, terminal: Terminal): Promise<number> {
  const files = await caseFiles(options.paths, terminal);
  if (files === null) return 1;
  if (options.bootstrap === null) return testFiles(files, { options, bootstrap: null }, terminal);
  const bootstrap = await readBootstrapPlugin(options.bootstrap, terminal);
  return bootstrap === null ? 1 : testFiles(files, { options, bootstrap }, terminal);
}

interface Setting {
  readonly options: TestOptions;
  /** Null: the plug-in that each file names. */
  readonly bootstrap: BootstrapPlugin | null;
}

async function testFiles(
  files: readonly string[],
  setting: Setting,
  terminal: Terminal,
): Promise<number> {
  const { options } = setting;
  const totals = { passed: 0, failed: 0, updated: 0, unrun: 0 };
  for (const file of files) {
    const outcome = await testFile(file, setting, terminal);
    if (outcome === null) {
      totals.unrun += 1;
      continue;
    }
    const failed = outcome.filter(({ differences }) => differences.length > 0).length;
    totals.passed += outcome.length - failed;
    if (options.update) totals.updated += failed;
    else totals.failed += failed;
  }
  const { passed, failed, updated, unrun } = totals;
  const more = updated > 0 ? `, ${updated} updated` : "";
  const rest = unrun > 0 ? `, ${unrun} ${unrun === 1 ? "file" : "files"} not run` : "";
  terminal.stdout.write(`${passed} passed, ${failed} failed${more}${rest}\n`);
  return failed > 0 || unrun > 0 ? 1 : 0;
}

/** Null, and said, when there is none. */
async function caseFiles(paths: readonly string[], terminal: Terminal): Promise<string[] | null> {
  const files: string[] = [];
  for (const path of paths) {
    const found = await filesIn(path);
    if (found.length === 0) {
      terminal.stderr.write(
        `error: ${path}: no file of cases\nName a file, or a folder with *.cases.yaml files.\n`,
      );
      return null;
    }
    files.push(...found);
  }
  return files;
}

async function filesIn(path: string): Promise<string[]> {
  const info = await stat(path).catch(() => null);
  if (info === null) return [];
  if (!info.isDirectory()) return MODULE_FILE.test(path) ? [] : [path];
  const names = await readdir(path, { recursive: true });
  const found = names.filter((name) => CASE_FILE.test(name) && !name.includes("node_modules"));
  return found.sort().map((name) => join(path, name));
}

/** Null, and said, when it cannot be run. */
async function testFile(
  path: string,
  { options, bootstrap }: Setting,
  terminal: Terminal,
): Promise<readonly CaseResult[] | null> {
  const text = await readFile(path, "utf8");
  const shown = relative(process.cwd(), path);
  const file = shown.startsWith("..") ? path : shown;
  const { suite: own, faults } = parseCaseFile(text, { file, folder: dirname(path) });
  for (const fault of faults) terminal.stderr.write(`${formatFault(fault)}\n`);
  if (own === null) return null;
  const suite = bootstrap === null ? own : casesWith(bootstrap, own);
  const bytes = bootstrap?.bytes ?? (await readModule(suite.plugin, terminal));
  if (bytes === null) return null;
  const module = await loadModule(bytes, { name: suite.plugin });
  if (module instanceof LoadFault) {
    terminal.stderr.write(`error: ${suite.plugin}: ${module.message}\n${module.remedy}\n`);
    return null;
  }
  const results = await runSuite(module, suite, () => systemClock.monotonicMs());
  if (options.update) await update(path, text, results);
  print(suite, results, options, terminal);
  return results;
}

async function update(path: string, text: string, results: readonly CaseResult[]): Promise<void> {
  if (results.every(({ differences }) => differences.length === 0)) return;
  await writeFile(path, updatedText(text, results));
}

function print(
  suite: CaseFile,
  results: readonly CaseResult[],
  { update: isUpdate }: TestOptions,
  terminal: Terminal,
): void {
  for (const result of results) {
    const isUpdated = isUpdate && result.differences.length > 0;
    terminal.stdout.write(isUpdated ? `updated ${result.one.name}\n` : resultText(suite, result));
  }
}
