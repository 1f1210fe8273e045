//! What the commands need of the machine, so that `graylane` and the tests run the same ones.

import { systemClock } from "../base/clock.ts";
import type { CliDependencies } from "../cli/program.ts";
import { ModuleResolver } from "../controlplane/plugins/resolve-modules.ts";
import { loadImageMap } from "../resources/image-map.ts";
import { inspectModule } from "./inspect-module.ts";
import { stateForOffline } from "./offline-state.ts";
import { CATALOGUE_FILE, PACKAGE_ROOT, packageVersion } from "./package-root.ts";

type Terminal = Pick<CliDependencies, "stdout" | "stderr">;

export function cliDependencies(terminal: Terminal, interrupted: AbortSignal): CliDependencies {
  return {
    stdout: terminal.stdout,
    stderr: terminal.stderr,
    clock: systemClock,
    env: process.env,
    cwd: process.cwd(),
    version: packageVersion(),
    interrupted,
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
      return up(options, terminal, interrupted);
    },
    async controller(options) {
      const { controller } = await import("./controller.ts");
      return controller(options, terminal, interrupted);
    },
    async envoy(options) {
      const { runEnvoy } = await import("./envoy.ts");
      return runEnvoy(options, terminal, interrupted);
    },
    plugin: {
      async run(options) {
        const { runPlugin } = await import("./plugin-run.ts");
        return runPlugin(options, terminal, interrupted);
      },
      async inspect(options) {
        const { inspectFile } = await import("./plugin-commands.ts");
        return inspectFile(options, terminal);
      },
      async profile(options) {
        const { profilePlugin } = await import("./plugin-profile.ts");
        return profilePlugin(options, terminal);
      },
      async test(options) {
        const { testPlugins } = await import("./plugin-commands.ts");
        return testPlugins(options, terminal);
      },
    },
  };
}
