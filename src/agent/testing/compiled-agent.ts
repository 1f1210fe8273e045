//! The agent as plain Node runs it: as it is built, or else compiled aside.

import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  rewriteRelativeImportExtensions: true,
  verbatimModuleSyntax: true,
};
const SOURCES = fileURLToPath(new URL("../..", import.meta.url));
const ENTRY = join(SOURCES, "agent", "agent");

/** The URL for `--import`, and the folder to remove afterwards (null: none was made). */
export function compileAgent(): { readonly url: string; readonly folder: string | null } {
  if (import.meta.url.endsWith(".js")) {
    return { url: pathToFileURL(`${ENTRY}.js`).href, folder: null };
  }
  const folder = mkdtempSync(join(tmpdir(), "graylane-agent-"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  for (const [path, text] of modulesOf(`${ENTRY}.ts`)) {
    const target = join(folder, relative(SOURCES, path).replace(/\.ts$/, ".js"));
    mkdirSync(dirname(target), { recursive: true });
    const { outputText } = ts.transpileModule(text, { compilerOptions: OPTIONS });
    writeFileSync(target, outputText);
  }
  return { url: pathToFileURL(join(folder, "agent", "agent.js")).href, folder };
}

/** Every module of ours that the entry loads, with its text, which `edit` has been over. */
export function modulesOf(
  entry: string,
  edit: (text: string) => string = (text) => text,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const queue = [entry];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (found.has(path)) continue;
    const text = edit(readFileSync(path, "utf8"));
    found.set(path, text);
    for (const name of importsOf(text)) {
      if (name.startsWith(".")) queue.push(join(dirname(path), name));
    }
  }
  return found;
}

/** The names of what a module loads; its types are gone by then. */
export function importsOf(text: string): readonly string[] {
  const values = text.replace(/^(?:import|export) type [^;]*;/gm, "");
  return [...values.matchAll(/(?:\bfrom |\bimport\(|^import )"([^"]+)"/gm)].map(
    ([, name = ""]) => name,
  );
}
