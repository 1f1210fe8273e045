//! Writes every golden case's output anew: `npm run golden`.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { FOLDER, caseNames, loadCase, outputOf } from "./golden.ts";

for (const name of caseNames()) {
  const { snapshot, messages } = outputOf(await loadCase(name));
  await writeFile(join(FOLDER, `${name}.snapshot.json`), snapshot);
  await writeFile(join(FOLDER, `${name}.messages.txt`), messages);
  console.log(`renewed ${name}`);
}
