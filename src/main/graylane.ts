#!/usr/bin/env node
//! The `graylane` command.

import { systemClock } from "../base/clock.ts";
import { runCli } from "../cli/program.ts";
import { ModuleResolver } from "../controlplane/plugins/resolve-modules.ts";
import { loadImageMap } from "../resources/image-map.ts";
import { inspectModule } from "./inspect-module.ts";
import { stateForOffline } from "./offline-state.ts";
import { CATALOGUE_FILE, PACKAGE_ROOT, packageVersion } from "./package-root.ts";

const interruption = new AbortController();
const words = process.argv.slice(2);
const terminal = { stdout: process.stdout, stderr: process.stderr };

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

process.exitCode = await runCli(words, {
  stdout: process.stdout,
  stderr: process.stderr,
  clock: systemClock,
  env: process.env,
  cwd: process.cwd(),
  version: packageVersion(),
  interrupted: interruption.signal,
  async resolveModules(resources, imageMap) {
    const files = imageMap === null ? [CATALOGUE_FILE] : [imageMap, CATALOGUE_FILE];
    const { map } = loadImageMap(files);
    const stateDir = stateForOffline();
    const resolver = new ModuleResolver({
      stateDir,
      images: map,
      packageRoot: PACKAGE_ROOT,
      network: null,
      inspect: inspectModule,
    });
    return resolver.resolve(resources);
  },
  async offlineGateway(snapshot) {
    const module = await import("./offline-gateway.ts");
    return module.offlineGateway(snapshot);
  },
  async up(options) {
    const { up } = await import("./up.ts");
    return up(options, terminal, interruption.signal);
  },
  async envoy(options) {
    const { runEnvoy } = await import("./envoy.ts");
    return runEnvoy(options, terminal, interruption.signal);
  },
  plugin: {
    async run(options) {
      const { runPlugin } = await import("./plugin-run.ts");
      return runPlugin(options, terminal, interruption.signal);
    },
    async inspect(options) {
      const { inspectFile } = await import("./plugin-commands.ts");
      return inspectFile(options, terminal);
    },
    async test(options) {
      const { testPlugins } = await import("./plugin-commands.ts");
      return testPlugins(options, terminal);
    },
  },
});
