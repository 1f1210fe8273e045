//! Loads modules a second time, one of them changed.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { runInThisContext } from "node:vm";
import ts from "typescript";
import type { Mutant } from "./mutants.ts";

const nodeRequire = createRequire(import.meta.url);
const compiled = new Map<string, string>();

function compile(path: string, source: string): string {
  const module = ts.ModuleKind.CommonJS;
  const options = { compilerOptions: { module, target: ts.ScriptTarget.ES2022 } };
  return ts.transpileModule(source, { ...options, fileName: path }).outputText;
}

/** The module at `start`, loaded apart, with the mutated source, if any, beneath it. */
export function loadApart(start: string, mutant: Mutant | null): unknown {
  const modules = new Map<string, { exports: unknown }>();
  const load = (path: string): unknown => {
    const known = modules.get(path);
    if (known !== undefined) return known.exports;
    const module = { exports: {} };
    modules.set(path, module);
    let code = compiled.get(path) ?? compile(path, readFileSync(path, "utf8"));
    compiled.set(path, code);
    if (path === mutant?.path) code = compile(path, mutant.source);
    const run = runInThisContext(`(function (module, exports, require) {${code}\n})`) as (
      ...parts: unknown[]
    ) => void;
    run(module, module.exports, (name: string) =>
      name.startsWith(".") ? load(resolve(dirname(path), name)) : (nodeRequire(name) as unknown),
    );
    return module.exports;
  };
  return load(start);
}
