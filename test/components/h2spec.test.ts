//! The real h2spec, every case with the strict ones, against our gateway over prior knowledge. What
//! fails is listed in docs/http.md with the reason; the list is held here.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import { startOurs } from "../support/our-front.ts";
import { RecordingUpstream } from "../support/recording-upstream.ts";
import { CACHE } from "../support/sdk-plugins.ts";

after(endAll);

const SOURCE = resolve("test/components/h2spec");
const BUILD_MS_MAX = 600_000;
const RUN_MS_MAX = 120_000;
const CASES = 146;

/** Each is given its reason in docs/http.md. */
const FAILING = ["3.5: Sends invalid connection preface"];

interface Ran {
  readonly isRight: boolean;
  readonly said: string;
}

function run(command: string, words: readonly string[], timeout: number): Promise<Ran> {
  return new Promise((done) => {
    const options = { cwd: SOURCE, timeout, maxBuffer: 1 << 24 };
    execFile(command, words, options, (error, stdout, stderr) => {
      done({ isRight: error === null, said: `${error?.message ?? ""}${stdout}${stderr}` });
    });
  });
}

/** Its path, built on first use. */
async function findH2spec(): Promise<string> {
  const path = join(CACHE, "h2spec", "h2spec");
  if (existsSync(path)) return path;
  mkdirSync(join(CACHE, "h2spec"), { recursive: true });
  // Made aside and moved, so that another run never sees half of it.
  const made = mkdtempSync(join(CACHE, "h2spec", "made-"));
  const words = ["build", "-trimpath", "-o", join(made, "h2spec"), "."];
  const built = await run("go", words, BUILD_MS_MAX);
  assert.ok(built.isRight, `h2spec cannot be built: ${built.said}`);
  renameSync(join(made, "h2spec"), path);
  rmSync(made, { recursive: true, force: true });
  return path;
}

interface Report {
  readonly caseCount: number;
  readonly failed: readonly string[];
}

function readReport(path: string): Report {
  const cases = readFileSync(path, "latin1").split("<testcase ").slice(1);
  const failed = cases
    .filter((text) => /<(?:failure|error)/.test(text))
    .map((text) => {
      const [, section = ""] = /package="[^"]*\/([^"/]*)"/.exec(text) ?? [];
      const [, name = ""] = /classname="([^"]*)"/.exec(text) ?? [];
      return `${section}: ${name}`;
    });
  return { caseCount: cases.length, failed: failed.sort() };
}

test("h2spec passes, but for the cases that docs/http.md lists", async (context) => {
  const path = await findH2spec();
  const upstream = await RecordingUpstream.start();
  const plan = { downstream: "http2", upstream: "http1", upstreamPort: upstream.port } as const;
  const { port } = await startOurs(plan);
  const folder = mkdtempSync(join(tmpdir(), "graylane-h2spec-"));
  const report = join(folder, "report.xml");
  const ran = await run(path, [String(port), report], RUN_MS_MAX);
  upstream.close();
  assert.ok(existsSync(report), ran.said);
  const { caseCount, failed } = readReport(report);
  rmSync(folder, { recursive: true, force: true });
  context.diagnostic(`h2spec: ${caseCount - failed.length} of ${caseCount}`);
  assert.equal(caseCount, CASES);
  assert.deepEqual(failed, FAILING);
});
