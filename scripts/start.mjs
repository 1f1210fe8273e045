// `npm start [-- --once]`: installs what is missing, builds, and runs the walk-throughs.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { ROOT, checkNodeVersion, installIfNeeded, run } from "./tools.mjs";

checkNodeVersion();
installIfNeeded();
process.stdout.write("Building ...\n");
run(process.execPath, [join(ROOT, "scripts", "build.mjs")]);

const walkthrough = join(ROOT, "dist", "examples", "walkthrough.js");
const child = spawn(process.execPath, [walkthrough, ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: "inherit",
});
// Ctrl-C reaches the child by itself (same terminal); it takes its own time to stop the examples.
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    if (signal === "SIGTERM") child.kill(signal);
  });
}
child.on("error", (error) => {
  process.stderr.write(`error: cannot run the walk-throughs: ${error.message}\n`);
  process.exitCode = 1;
});
child.on("exit", (code, signal) => {
  process.exitCode = signal === null ? (code ?? 1) : 1;
});
