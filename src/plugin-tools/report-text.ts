//! The report of a module as text for a terminal.

import type { ExportReport, ImportReport, ModuleReport, Verdict } from "./inspect.ts";

const PAGE_BYTES = 65_536;
/** The one name of WASI and its alias. */
const WASI = /^wasi_(snapshot_preview1|unstable)\./;

/** Ends with a line feed. */
export function describeModule(report: ModuleReport): string {
  const lines = [
    row("file", report.file),
    row("size", `${bytesText(report.bytes)}${sizesText(report)}`),
    row("sha256", report.sha256),
    row("ABI", report.abiVersion ?? "none named"),
    row("language", report.language === "" ? "not told" : report.language),
    ...producerRows(report),
    ...(report.facts === null ? [] : [row("memory", memoryText(report.facts.memory))]),
    ...importLines(report.imports),
    ...exportLines(report.exports),
    ...customLines(report),
    row("Graylane", verdictText(report.graylane)),
    row("Envoy", verdictText(report.envoy)),
  ];
  return `${lines.join("\n")}\n`;
}

function row(name: string, text: string): string {
  return `${`${name}:`.padEnd(14)}${text}`;
}

export function bytesText(bytes: number): string {
  if (bytes < 10_000) return `${bytes} B`;
  return bytes < 10_000_000 ? `${Math.round(bytes / 1000)} kB` : `${Math.round(bytes / 1e6)} MB`;
}

function sizesText({ facts }: ModuleReport): string {
  if (facts === null) return "";
  const { codeBytes, functionCount, dataBytes } = facts;
  const code = `code ${bytesText(codeBytes)} in ${functionCount} functions`;
  return ` (${code}, data ${bytesText(dataBytes)})`;
}

function producerRows({ facts }: ModuleReport): string[] {
  const tools = facts?.producers.filter(({ field }) => field !== "language") ?? [];
  return tools.map(({ field, name, version }) => row(field, `${name} ${version}`.trim()));
}

function memoryText(memory: { pages: number; pagesMax: number | null } | null): string {
  if (memory === null) return "none";
  const { pages, pagesMax } = memory;
  const most = pagesMax === null ? "grows without a limit of its own" : sizeOf(pagesMax);
  return `${sizeOf(pages)} at the start, ${pagesMax === null ? most : `at most ${most}`}`;
}

function sizeOf(pages: number): string {
  return `${pages} pages (${bytesText(pages * PAGE_BYTES)})`;
}

function importLines(imports: readonly ImportReport[]): string[] {
  if (imports.length === 0) return [row("imports", "none")];
  const wasi = imports.filter(({ name }) => WASI.test(name)).length;
  const head = row("imports", `${imports.length}, ${wasi} of them of WASI`);
  return [head, ...imports.map((one) => entry(one))];
}

function exportLines(exports: readonly ExportReport[]): string[] {
  const callbacks = exports.filter(({ kind }) => kind === "callback");
  const others = exports.filter(({ kind }) => kind === "other").length;
  const rest = others === 0 ? "" : `; ${others} other exports, which no host calls`;
  return [row("callbacks", `${callbacks.length}${rest}`), ...callbacks.map((one) => entry(one))];
}

function entry({ name, signature, problem }: Omit<ImportReport, "kind">): string {
  const type = signature === "" ? "" : `  ${signature}`;
  const mark = problem === "" ? "" : `   <- ${problem}`;
  return `  ${name.padEnd(44)}${type}${mark}`.trimEnd();
}

function customLines({ facts }: ModuleReport): string[] {
  const sections = facts?.customSections ?? [];
  if (sections.length === 0) return [];
  const texts = sections.map(({ name, bytes }) => `${name} (${bytesText(bytes)})`);
  return [row("custom", texts.join(", "))];
}

function verdictText({ accepted, reason, remedy }: Verdict): string {
  if (accepted) return "takes it";
  return `refuses it: ${reason}${remedy === "" ? "" : `\n${" ".repeat(14)}${remedy}`}`;
}
