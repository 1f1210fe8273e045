//! Runs the cases of a file, says how each went, and writes what was seen into the file when asked.

import { parseDocument } from "yaml";
import type { PluginModule } from "../wasm/module.ts";
import { differences, expectationOf } from "./case-check.ts";
import type { CaseFile, PluginCase } from "./case-file.ts";
import { prepareCaseGateway, runCase } from "./case-run.ts";
import type { Observation } from "./case-run.ts";

export interface CaseResult {
  readonly one: PluginCase;
  readonly seen: Observation;
  /** Empty when it holds. */
  readonly differences: readonly string[];
  readonly tookMs: number;
}

export async function runSuite(
  module: PluginModule,
  file: CaseFile,
  monotonicMs: () => number,
): Promise<CaseResult[]> {
  const setting = { module, file, gateway: await prepareCaseGateway() };
  return file.cases.map((one) => {
    const startMs = monotonicMs();
    const seen = runCase(setting, one);
    const tookMs = monotonicMs() - startMs;
    const found =
      one.expect === null
        ? ["it expects nothing yet: write expect, or let --update write it"]
        : differences(one.expect, seen);
    return { one, seen, differences: found, tookMs };
  });
}

/** The file's text with the expectations of the failed cases as they were seen; comments stay. */
export function updatedText(text: string, results: readonly CaseResult[]): string {
  const document = parseDocument(text);
  results.forEach(({ one, seen, differences: found }, index) => {
    if (found.length === 0) return;
    document.setIn(["cases", index, "expect"], document.createNode(expectationOf(one, seen)));
  });
  return document.toString({ lineWidth: 100 });
}

/** `ok name (1.2 ms)`, or `FAILED name` with its place and differences. */
export function resultText(file: CaseFile, result: CaseResult): string {
  const { one, seen, differences: found, tookMs } = result;
  const time = `(${tookMs.toFixed(1)} ms)`;
  if (found.length === 0) return `ok      ${one.name} ${time}\n`;
  const lines = found.map((line) => `    ${line}\n`).join("");
  const report = seen.trouble === "" ? "" : `    ${seen.trouble.replaceAll("\n", "\n    ")}\n`;
  return `FAILED  ${one.name} ${time}\n  ${file.file}:${one.line}\n${lines}${report}`;
}
