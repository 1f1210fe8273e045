//! A folder for modules that an offline command looks at, removed when the process ends.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function stateForOffline(): string {
  const directory = mkdtempSync(join(tmpdir(), "graylane-"));
  process.once("exit", () => {
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}
