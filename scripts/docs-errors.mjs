// Writes docs/errors.md from the table of codes: `npx tsx scripts/docs-errors.mjs`.

import { writeFileSync } from "node:fs";
import { errorsPage } from "../src/resources/errors-page.ts";

writeFileSync(new URL("../docs/errors.md", import.meta.url), errorsPage());
