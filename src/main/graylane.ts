#!/usr/bin/env node
//! The `graylane` command.

import { runCli } from "../cli/program.ts";
import { cliDependencies } from "./cli-dependencies.ts";

const interruption = new AbortController();
const words = process.argv.slice(2);

/** `up` ends by its own order; every other command ends what follows and watches. */
function onInterrupt(): void {
  interruption.abort();
}
process.on("SIGINT", onInterrupt);
process.on("SIGTERM", onInterrupt);
// `graylane get pods | head` closes the pipe early: that is no error of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await runCli(words, cliDependencies(process, interruption.signal));
