// Compiles the official plug-ins: plugins/<name>/assembly/index.ts to plugins/<name>/<name>.wasm.
// The same source gives the same bytes. What is newer than its sources is left alone.
//
//   node scripts/build-plugins.mjs [FOLDER...]   (default: every folder of plugins/)

import asc from "assemblyscript/asc";
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
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

/** `folder`/assembly/index.ts to `folder`/NAME.wasm; folders are within this one's clone. */
async function buildPlugin(folder) {
  const name = basename(folder);
  const out = join(folder, `${name}.wasm`);
  const entry = join(folder, "assembly", "index.ts");
  const sources = [dirname(entry), join(root, SDK), fileURLToPath(import.meta.url)];
  if (changedMs(out) >= Math.max(...sources.map(changedMs))) return;
  const { error, stderr } = await asc.main([
    relative(root, entry),
    ...["--outFile", relative(root, out), "--baseDir", root],
    ...["--runtime", "minimal", "--use", `abort=${SDK}/log/onAbort`],
    ...["-O3", "--shrinkLevel", "1", "--noAssert"],
  ]);
  if (error !== null) throw new Error(`plug-in ${name} does not compile\n${stderr.toString()}`);
}

function officialPlugins() {
  const folders = readdirSync(join(root, "plugins")).map((name) => join(root, "plugins", name));
  return folders.filter((folder) => existsSync(join(folder, "assembly", "index.ts")));
}

const named = process.argv.slice(2).map((folder) => resolve(folder));
for (const folder of named.length > 0 ? named : officialPlugins()) await buildPlugin(folder);
