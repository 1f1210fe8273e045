import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { CODES } from "./codes.ts";
import { errorsPage } from "./errors-page.ts";

test("docs/errors.md agrees with the table of codes", () => {
  // From the repository's root, where the tests run, whether from source or from the build.
  const page = readFileSync(resolve("docs/errors.md"), "utf8");
  assert.ok(page === errorsPage(), "run `npx tsx scripts/docs-errors.mjs`");
});

test("every code is GLnnnn with a title without a full stop and help in whole sentences", () => {
  for (const [code, { title, help }] of Object.entries(CODES)) {
    assert.match(code, /^GL0[0-7]\d\d$/);
    assert.match(title, /^[A-Z`a-z].*[^.]$/, code);
    assert.match(help, /[.)`]$/, code);
  }
});

test("every code stands in a section of the page", () => {
  const page = errorsPage();
  for (const code of Object.keys(CODES)) assert.ok(page.includes(`\n### ${code}: `), code);
});
