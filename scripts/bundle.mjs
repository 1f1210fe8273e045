// Makes the command of the compiled modules: some files in place of the hundreds that Node would
// look for, read and link one by one, in every process anew. See RATIONALE.md.

import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { build } from "esbuild";
import { ROOT } from "./tools.mjs";

const FOLDER = join(ROOT, "dist", "bin");
const LICENSES = "LICENSES.txt";
const ENTRIES = ["graylane.js", "worker.js"];
/** Loads a binary that lies beside it. */
const LEFT_OUT = ["lmdb"];
/** Bundled CommonJS modules ask for Node's own modules so. */
const REQUIRE =
  'import { createRequire as requireFrom } from "node:module";\n' +
  "const require = requireFrom(import.meta.url);";

/** Writes what has changed only: a server may be running that loads some of it later. */
export async function bundleProgram() {
  const { outputFiles, metafile } = await build({
    entryPoints: ENTRIES.map((name) => join(ROOT, "dist", "src", "main", name)),
    outdir: FOLDER,
    absWorkingDir: ROOT,
    banner: { js: REQUIRE },
    external: LEFT_OUT,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: true,
    metafile: true,
    write: false,
    logLevel: "warning",
  });
  const files = new Map(outputFiles.map(({ path, contents }) => [basename(path), contents]));
  files.set(LICENSES, Buffer.from(licensesOf(Object.keys(metafile.inputs))));
  mkdirSync(FOLDER, { recursive: true });
  for (const name of readdirSync(FOLDER)) if (!files.has(name)) rmSync(join(FOLDER, name));
  for (const [name, contents] of files) {
    const path = join(FOLDER, name);
    if (!existsSync(path) || !readFileSync(path).equals(contents)) writeFileSync(path, contents);
  }
  // Whoever looks whether it is of the compiled modules as they are asks for these times.
  const now = new Date();
  for (const name of ENTRIES) utimesSync(join(FOLDER, name), now, now);
}

/** Of the libraries that are in it. */
function licensesOf(inputs) {
  const folders = inputs
    .map((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path)?.[0])
    .filter((path) => path !== undefined);
  return [...new Set(folders)].sort().map(licenseOf).join("\n");
}

function licenseOf(folder) {
  const path = join(ROOT, folder);
  const { name, version, license } = JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
  const file = readdirSync(path).find((each) => /^(licen[cs]e|copying)/i.test(each));
  const text = file === undefined ? "" : readFileSync(join(path, file), "utf8").trim();
  return `=== ${name} ${version} (${license})\n\n${text}\n`;
}
