//! A compiled copy of Graylane with a fault in it.

import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const NOT_NEEDED = /\.(test\.js|map|d\.ts)$/;

export interface Mutant {
  /** The compiled `graylane`. */
  readonly command: string;
  remove(): void;
}

/** `path` in src/, without its ending; `text` must stand there once. */
export function makeMutant(path: string, text: string, by: string): Mutant {
  // Below dist/, so that it finds the package's own files.
  const folder = resolve("dist", `mutant-${process.pid}`);
  cpSync(resolve("dist/src"), join(folder, "src"), {
    recursive: true,
    filter: (name) => !NOT_NEEDED.test(name),
  });
  const file = join(folder, "src", `${path}.js`);
  const parts = readFileSync(file, "utf8").split(text);
  if (parts.length !== 2) throw new Error(`${text} stands ${parts.length - 1} times in ${file}`);
  writeFileSync(file, parts.join(by));
  return {
    command: join(folder, "src", "main", "graylane.js"),
    remove: () => {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
