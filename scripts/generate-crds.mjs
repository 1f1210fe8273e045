// `npm run crds`: writes generated/crds from the kinds' own schemas. A test compares.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkNodeVersion, installIfNeeded, ROOT, run } from "./tools.mjs";

checkNodeVersion();
installIfNeeded();
run(process.execPath, [join(ROOT, "scripts", "build.mjs")]);
const { CRD_SETS, definitionsOf } = await import("../dist/src/resources/crd.js");
const { manifestText } = await import("../dist/src/resources/manifest-text.js");
const folder = join(ROOT, "generated", "crds");
mkdirSync(folder, { recursive: true });
for (const [name, groups] of Object.entries(CRD_SETS)) {
  writeFileSync(join(folder, `${name}.yaml`), manifestText(definitionsOf(groups)));
}
