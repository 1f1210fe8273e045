//! The agent as plain Node runs it: as it is built, or else compiled aside.

import { mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import ts from "typescript";

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  rewriteRelativeImportExtensions: true,
};

/** The URL for `--import`, and the folder to remove afterwards (null: none was made). */
export function compileAgent(): { readonly url: string; readonly folder: string | null } {
  const source = fileURLToPath(new URL("..", import.meta.url));
  if (import.meta.url.endsWith(".js")) {
    return { url: pathToFileURL(join(source, "agent.js")).href, folder: null };
  }
  const folder = mkdtempSync(join(tmpdir(), "graylane-agent-"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  for (const name of readdirSync(source)) {
    if (!name.endsWith(".ts") || name.endsWith(".test.ts")) continue;
    const text = readFileSync(join(source, name), "utf8");
    const { outputText } = ts.transpileModule(text, { compilerOptions: OPTIONS });
    writeFileSync(join(folder, name.replace(/\.ts$/, ".js")), outputText);
  }
  return { url: pathToFileURL(join(folder, "agent.js")).href, folder };
}
