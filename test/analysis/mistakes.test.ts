//! `graylane analyze` finds each of these mistakes by its code and at its place, and the page that
//! sets it beside `istioctl analyze` names exactly what is found.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { after, test } from "node:test";
import { runCli } from "../../src/cli/program.ts";
import { cliDependencies } from "../../src/main/cli-dependencies.ts";
import type { Fault } from "../../src/resources/fault.ts";
import { MISTAKES, WHOLE } from "./mistakes.ts";

const PAGE = readFileSync("docs/analysis.md", "utf8");
const folder = mkdtempSync(join(tmpdir(), "graylane-analysis-"));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function analyze(yaml: string): Promise<readonly Fault[]> {
  const path = join(folder, "mistake.yaml");
  writeFileSync(path, yaml);
  let said = "";
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      said += chunk.toString();
      done();
    },
  });
  const dependencies = cliDependencies(
    { stdout: stream, stderr: stream },
    new AbortController().signal,
  );
  await runCli(["analyze", "-f", path, "-o", "json"], dependencies);
  return JSON.parse(said) as Fault[];
}

test("in the objects that the mistakes are added to nothing is found", async () => {
  assert.deepEqual(await analyze(WHOLE), []);
});

for (const { name, code, severity, at, yaml } of MISTAKES) {
  test(`${name} is ${code}, with its place`, async () => {
    const text = `${WHOLE}---${yaml}`;
    const findings = await analyze(text);
    const finding = findings.find((each) => each.code === code);
    assert.ok(finding !== undefined, JSON.stringify(findings, null, 1));
    assert.equal(finding.severity, severity, finding.message);
    const { line = 0, column = 0 } = finding.position ?? {};
    const place = (text.split("\n")[line - 1] ?? "").slice(column - 1);
    assert.ok(place.startsWith(at), `${line}:${column} is ${place}\n${finding.message}`);
    assert.ok(PAGE.includes(`${name} | ${code}`), `docs/analysis.md has "${name} | ${code}"`);
  });
}

/** `IST0151 to IST0155` is five of them. */
function codesIn(cell: string): string[] {
  return [...cell.matchAll(/IST(\d{4})(?: to IST(\d{4}))?/g)].flatMap(([, from, to]) => {
    const first = Number(from);
    const count = Number(to ?? from) - first + 1;
    return Array.from(
      { length: count },
      (_, index) => `IST${String(first + index).padStart(4, "0")}`,
    );
  });
}

test("each of istioctl's messages that a mistake stands for is on the page once", () => {
  const cells = [...PAGE.matchAll(/^\| (IST[^|]*) \|/gm)];
  const rows = cells.flatMap(([, cell = ""]) => codesIn(cell));
  assert.equal(new Set(rows).size, rows.length, "none stands twice");
  const found = MISTAKES.flatMap(({ istio }) => istio);
  assert.deepEqual(
    found.filter((code) => !rows.includes(code)),
    [],
  );
});
