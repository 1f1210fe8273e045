//! The probe plug-in of test/proxy-wasm, compiled on first use.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
// A program of its own: the compiler's types would put AssemblyScript's Array in place of ours.
const COMPILER = "node_modules/assemblyscript/bin/asc.js";
const FOLDER = "test/proxy-wasm/probe/assembly";

/** The path of the compiled module; it is kept for the next run by the digest of its sources. */
export async function builtProbe(entry: "index" | "network" = "index"): Promise<string> {
  const digest = createHash("sha256").update(entry);
  for (const name of readdirSync(FOLDER).sort()) digest.update(readFileSync(join(FOLDER, name)));
  const kept = join(tmpdir(), `graylane-probe-${digest.digest("hex").slice(0, 16)}.wasm`);
  if (existsSync(kept)) return kept;
  const folder = mkdtempSync(join(tmpdir(), "graylane-probe-"));
  const out = join(folder, "probe.wasm");
  try {
    await run(process.execPath, [
      ...[COMPILER, join(FOLDER, `${entry}.ts`)],
      ...["--outFile", relative(".", out), "--runtime", "minimal"],
      ...["--use", `abort=${FOLDER}/${entry}/abort`],
    ]);
    renameSync(out, kept);
    return kept;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
