// Builds and runs the benchmark: the gateway beside real Envoy.
//
//   node scripts/bench.mjs [--json] [--write] [--rounds N] [--seconds N] [--only NAME] [--short]

import { join } from "node:path";
import { ROOT, checkNodeVersion, installIfNeeded, run } from "./tools.mjs";

checkNodeVersion();
installIfNeeded();
// Standard output is for the figures alone.
run(process.execPath, [join(ROOT, "scripts", "build.mjs")], { stdio: ["inherit", 2, "inherit"] });
run(process.execPath, [join(ROOT, "dist", "bench", "run.js"), ...process.argv.slice(2)]);
