//! Golden cases of the compiler: `<case>.in.yaml` gives `<case>.snapshot.json` and
//! `<case>.messages.txt`. `npm run golden` renews them; the difference is what a review reads.
//!
//! Plug-ins have a made-up module, but for urls with "missing" in them, which have none.

import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";

import { compile } from "../../src/compile/compile.ts";
import { bringsPlugin, pluginKey } from "../../src/compile/plugin-kinds.ts";
import type { CompileInput } from "../../src/compile/compile.ts";
import type { Fault } from "../../src/resources/fault.ts";
import { loadFiles } from "../../src/resources/load.ts";
import type { Resource } from "../../src/resources/object.ts";

/** From the repository's root, where tests and scripts run, from source or from the build. */
export const FOLDER: string = resolve("test/golden");

export interface GoldenOutput {
  readonly snapshot: string;
  readonly messages: string;
}

export function caseNames(): string[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".in.yaml"))
    .map((name) => name.slice(0, -".in.yaml".length))
    .sort();
}

/** Throws when the input itself is at fault: a golden case is about the compiler only. */
export async function loadCase(name: string): Promise<CompileInput> {
  const { resources, faults } = await loadFiles([join(FOLDER, `${name}.in.yaml`)]);
  const errors = faults.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new Error(`${name}: ${JSON.stringify(errors, null, 2)}`);
  return inputOf(resources.map(({ resource }) => resource));
}

export function inputOf(resources: readonly Resource[]): CompileInput {
  const modules = new Map(
    resources.filter(bringsPlugin).map((resource) => {
      const { metadata, spec } = resource;
      const { url } = spec as { readonly url: string };
      const module = url.includes("missing")
        ? { code: "GL0407", error: `${url} does not exist`, remedy: "Push it." }
        : { sha256: "0".repeat(64), path: `/modules/${metadata.name}.wasm` };
      return [pluginKey(resource), module] as const;
    }),
  );
  return { resources, modules };
}

export function outputOf(input: CompileInput): GoldenOutput {
  const { snapshot, messages } = compile(input);
  return {
    snapshot: `${JSON.stringify(snapshot, null, 2)}\n`,
    messages: messages.map((message) => `${describe(message)}\n`).join(""),
  };
}

export function describe({ severity, code, object, path, message }: Fault): string {
  const place = object === null ? "" : `${object.kind} ${object.namespace}/${object.name}`;
  return `${severity} ${code} ${place} ${path}: ${message}`;
}

export function readGolden(name: string, suffix: string): Promise<string> {
  return readFile(join(FOLDER, name + suffix), "utf8");
}
