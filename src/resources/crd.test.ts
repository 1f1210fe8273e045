import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CRD_SETS, definitionsOf } from "./crd.ts";
import { manifestText } from "./manifest-text.ts";

for (const [name, groups] of Object.entries(CRD_SETS)) {
  test(`generated/crds/${name}.yaml is what the schemas say (npm run crds)`, () => {
    const written = readFileSync(join("generated", "crds", `${name}.yaml`), "utf8");
    assert.equal(written, manifestText(definitionsOf(groups)));
  });
}
