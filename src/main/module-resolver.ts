//! The modules of plug-ins: from files, the web and registries, into a folder of this process.

import { systemClock } from "../base/clock.ts";
import { ModuleResolver } from "../controlplane/plugins/resolve-modules.ts";
import type { Publisher } from "../controlplane/publish/publisher.ts";
import type { ImageMap } from "../resources/image-map.ts";
import { inspectModule } from "./inspect-module.ts";
import { PACKAGE_ROOT } from "./package-root.ts";

export interface ResolverParts {
  readonly stateDirectory: string;
  readonly images: Pick<ImageMap, "resolvePlugin">;
  /** Made after this. */
  readonly publisher: () => Publisher;
  readonly cacheBytesMax?: number;
}

export function makeModuleResolver(parts: ResolverParts): ModuleResolver {
  const { stateDirectory, images, publisher, cacheBytesMax } = parts;
  return new ModuleResolver({
    stateDir: stateDirectory,
    images,
    packageRoot: PACKAGE_ROOT,
    network: {
      clock: systemClock,
      insecureRegistries: insecureRegistries(),
      onChange: () => {
        publisher().refresh();
      },
    },
    inspect: inspectModule,
    inUse: () => Object.values(publisher().snapshot.plugins).map(({ module }) => module.sha256),
    ...(cacheBytesMax === undefined ? {} : { cacheBytesMax }),
  });
}

/** Registries without TLS, beside those on loopback: `host` or `host:port`, with commas between. */
function insecureRegistries(): ReadonlySet<string> {
  const text = process.env["GRAYLANE_INSECURE_REGISTRIES"] ?? "";
  return new Set(text.split(",").flatMap((word) => (word.trim() === "" ? [] : [word.trim()])));
}
