// Builds everything into dist/: TypeScript, the official plug-ins, and the files that go with them.
//
//   node scripts/build.mjs [--clean]

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { build } from "esbuild";
import { bundleProgram } from "./bundle.mjs";
import { ROOT, checkNodeVersion, run } from "./tools.mjs";

/** Folders whose other files (YAML, samples, golden files) are needed beside the compiled code. */
const COPIED_FOLDERS = ["src", "test", "examples", "catalogue", "samples", "plugins"];
/** Sources and what is made from them elsewhere. */
const NOT_COPIED = /(\.ts|\.tsbuildinfo)$/;
const FOLDERS_NOT_COPIED = new Set(["node_modules", "dist", ".graylane", "assembly"]);

checkNodeVersion();
if (process.argv.includes("--clean")) rmSync(join(ROOT, "dist"), { recursive: true, force: true });
compile();
await bundleSchemaBuilder();
await bundleProgram();
buildPlugins();
for (const folder of COPIED_FOLDERS) copyFolder(join(ROOT, folder));

/**
 * With `--build`, `tsc` looks at times first, and reads no program when nothing is newer. It trusts
 * its record, so the record goes when its output is gone.
 */
function compile() {
  const entry = join(ROOT, "dist", "src", "base", "clock.js");
  if (!existsSync(entry)) rmSync(join(ROOT, "dist", ".tsbuildinfo"), { force: true });
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  run(process.execPath, [tsc, "--build", "tsconfig.json"]);
}

/** One file for the hundreds of the library: see src/resources/typebox.ts. */
async function bundleSchemaBuilder() {
  const license = readFileSync(join(ROOT, "node_modules", "typebox", "license"), "utf8");
  await build({
    banner: { js: `/*!\n${license.trim()}\n*/` },
    stdin: { contents: 'export { default } from "typebox";', resolveDir: ROOT },
    outfile: join(ROOT, "dist", "src", "resources", "typebox.js"),
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "warning",
  });
}

function buildPlugins() {
  const script = join(ROOT, "scripts", "build-plugins.mjs");
  if (existsSync(script)) run(process.execPath, [script]);
}

function copyFolder(folder) {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!FOLDERS_NOT_COPIED.has(entry.name)) copyFolder(path);
    } else if (entry.isFile() && !NOT_COPIED.test(entry.name)) {
      copyIfChanged(path, join(ROOT, "dist", relative(ROOT, path)));
    }
  }
}

function copyIfChanged(from, to) {
  const source = statSync(from);
  const copy = statSync(to, { throwIfNoEntry: false });
  // A copied time may lose its fraction of a millisecond.
  const isSame = copy?.size === source.size && Math.abs(copy.mtimeMs - source.mtimeMs) < 2;
  if (isSame) return;
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  utimesSync(to, source.atime, source.mtime);
}
