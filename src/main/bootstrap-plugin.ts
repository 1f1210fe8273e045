//! For the tools of plug-in authors: a plug-in as an Envoy bootstrap runs it.

import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import type { FromBootstrap } from "../cli/plugin.ts";
import { environmentOf } from "../dataplane/runtime/prepare.ts";
import { importBootstrap } from "../envoy/bootstrap.ts";
import type { CaseFile } from "../plugin-tools/case-file.ts";
import { formatFault } from "../resources/format-fault.ts";
import type { Plugin } from "../snapshot/snapshot.ts";
import { codeResolver } from "./bootstrap-code.ts";
import type { Terminal } from "./up.ts";

export interface BootstrapPlugin {
  /** For messages: the module's path, or the bootstrap's when the code stands in it. */
  readonly place: string;
  readonly bytes: Uint8Array;
  readonly plugin: Plugin;
}

/** Null, and said, when there is no such plug-in to be had. */
export async function readBootstrapPlugin(
  choice: FromBootstrap,
  terminal: Terminal,
): Promise<BootstrapPlugin | null> {
  const fail = (message: string, remedy: string): null => {
    terminal.stderr.write(`error: ${choice.file}: ${message}\n${remedy}\n`);
    return null;
  };
  let text: string;
  try {
    text = await readFile(choice.file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : message;
    return fail(why, "Name Envoy's bootstrap with -f FILE.");
  }
  const inline = new Map<string, Uint8Array>();
  const keep = (sha256: string, bytes: Uint8Array): string => {
    inline.set(sha256, bytes);
    return "";
  };
  const shown = relative(process.cwd(), choice.file);
  const file = shown.startsWith("..") ? choice.file : shown;
  const { bootstrap, faults } = importBootstrap(text, file, codeResolver(keep));
  for (const fault of faults) terminal.stderr.write(`${formatFault(fault)}\n`);
  if (bootstrap === null) return null;
  const { gateways, plugins } = bootstrap.snapshot;
  const filters = Object.values(gateways).flatMap((gateway) =>
    gateway.plugins.flatMap((name) => plugins[name] ?? []),
  );
  const found = choose(filters, choice.plugin);
  if (typeof found === "string") return fail(found, "Name one that it has with --plugin NAME.");
  const { path, sha256 } = found.module;
  const bytes = inline.get(sha256) ?? (await readFile(path));
  return { place: path === "" ? choice.file : path, bytes, plugin: found };
}

/** A text says why none is chosen. Filters of one name, code and settings are one plug-in. */
function choose(filters: readonly Plugin[], name: string): Plugin | string {
  if (filters.length === 0) return "it has no Wasm HTTP filter";
  const names = filters.map((plugin) => JSON.stringify(nameOf(plugin))).join(", ");
  const named = name === "" ? filters : filters.filter((plugin) => nameOf(plugin) === name);
  const [first, ...others] = named;
  if (first === undefined) return `it has no plug-in ${JSON.stringify(name)}, but ${names}`;
  const same = (other: Plugin): boolean =>
    JSON.stringify({ ...other, name: "" }) === JSON.stringify({ ...first, name: "" });
  return others.every(same) ? first : `it has several plug-ins to choose from: ${names}`;
}

function nameOf({ source }: Plugin): string {
  return source.name;
}

/** The cases with the plug-in as the bootstrap runs it; those that configure it keep that. */
export function casesWith({ plugin, place }: BootstrapPlugin, file: CaseFile): CaseFile {
  return {
    ...file,
    plugin: place,
    rootId: plugin.rootId,
    vmConfiguration: plugin.vmConfiguration ?? "",
    env: environmentOf(plugin),
    cases: file.cases.map((one) =>
      one.configuration === "" ? { ...one, configuration: plugin.configuration } : one,
    ),
  };
}
