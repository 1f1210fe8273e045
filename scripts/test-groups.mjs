// Files of units that start nothing and set nothing for the whole process: those of a folder are run
// together, for a process and its modules cost more than most of their tests (71 files: 44 s of the
// processor apart, 15 s together).

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, sep } from "node:path";

/** A hook outside of any suite: it would be that of the neighbours, too. */
const HOOK = /^(before|after)(Each)?\(/m;
const FOLDERS = [
  "src/base",
  "src/compile",
  "src/compile-envoy",
  "src/controlplane/xds",
  "src/dataplane/filter",
  "src/envoy",
  "src/http",
  "src/http2",
  "src/lane",
  "src/plugin-tools",
  "src/resources",
  "src/resources/kinds",
  "src/route",
  "src/server/patch",
  "src/snapshot",
  "src/telemetry",
  "src/wasm",
  "src/wasm/abi",
  "src/wasm/cel",
  "src/wasm/fuel",
].map((folder) => folder.replaceAll("/", sep));

/**
 * What is to be run for these files: absolute paths, a file that imports them for each of those
 * folders. `files`: relative to `dist`, and `paths` are in their order.
 */
export function grouped(dist, files) {
  const folder = join(dist, "test-groups");
  mkdirSync(folder, { recursive: true });
  const groups = new Map();
  const paths = [];
  for (const file of files) {
    const of = dirname(file);
    if (!FOLDERS.includes(of) || HOOK.test(readFileSync(join(dist, file), "utf8"))) {
      paths.push(join(dist, file));
      continue;
    }
    const path = join(folder, `${of.replaceAll(sep, "-")}.test.js`);
    if (!groups.has(path)) {
      groups.set(path, []);
      paths.push(path);
    }
    groups.get(path).push(`import "../${file.replaceAll(sep, "/")}";\n`);
  }
  for (const [path, imports] of groups) writeFileSync(path, imports.join(""));
  return paths;
}
