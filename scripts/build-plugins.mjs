// Compiles the official plug-ins: plugins/<name>/assembly/index.ts to plugins/<name>/<name>.wasm.
// The same source gives the same bytes. What is newer than its sources is left alone.

import asc from "assemblyscript/asc";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const SDK = "sdk/assemblyscript/assembly";

/** Milliseconds of the newest change in a folder, or of the file itself. */
function changedMs(path) {
  if (!existsSync(path)) return 0;
  const own = statSync(path);
  if (!own.isDirectory()) return own.mtimeMs;
  return Math.max(...readdirSync(path).map((name) => changedMs(join(path, name))));
}

export async function buildPlugin(name) {
  const folder = join(root, "plugins", name);
  const out = join(folder, `${name}.wasm`);
  const sources = [join(folder, "assembly"), join(root, SDK), fileURLToPath(import.meta.url)];
  if (changedMs(out) >= Math.max(...sources.map(changedMs))) return;
  const { error, stderr } = await asc.main([
    `plugins/${name}/assembly/index.ts`,
    ...["--outFile", relative(root, out), "--baseDir", root],
    ...["--runtime", "minimal", "--use", `abort=${SDK}/log/onAbort`],
    ...["-O3", "--shrinkLevel", "1", "--noAssert"],
  ]);
  if (error !== null) throw new Error(`plug-in ${name} does not compile\n${stderr.toString()}`);
}

export async function buildPlugins() {
  for (const name of readdirSync(join(root, "plugins"))) {
    if (existsSync(join(root, "plugins", name, "assembly", "index.ts"))) await buildPlugin(name);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPlugins();
