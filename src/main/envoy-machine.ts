//! What the control plane gives Envoys of the machine that both are on: files, by their paths.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import type { ModuleFile } from "../compile-envoy/envoy-config.ts";
import { systemAuthoritiesFile } from "../dataplane/upstream/system-authorities.ts";
import {
  LANE_BUCKET_FILE,
  LANE_CONTEXT_FILE,
  LANE_FILTER_FILE,
  LANE_MEMORY_FILE,
} from "./package-root.ts";

/** Our own, for what Envoy itself cannot do. */
export interface OwnPlugins {
  readonly laneMemory?: ModuleFile;
  readonly laneBucket?: ModuleFile;
  readonly laneFilter?: ModuleFile;
  readonly laneContext?: ModuleFile;
}

export interface EnvoyMachine extends OwnPlugins {
  readonly systemAuthorities?: string;
}

export function machineForEnvoys(): EnvoyMachine {
  const authorities = systemAuthoritiesFile();
  const path = authorities === null ? {} : { systemAuthorities: authorities.path };
  return { ...ownPlugins(), ...path };
}

/** None in a clone where they have not been built. */
export function ownPlugins(): OwnPlugins {
  const laneMemory = moduleFile(LANE_MEMORY_FILE);
  const laneBucket = moduleFile(LANE_BUCKET_FILE);
  const laneFilter = moduleFile(LANE_FILTER_FILE);
  const laneContext = moduleFile(LANE_CONTEXT_FILE);
  return {
    ...(laneMemory === null ? {} : { laneMemory }),
    ...(laneBucket === null ? {} : { laneBucket }),
    ...(laneFilter === null ? {} : { laneFilter }),
    ...(laneContext === null ? {} : { laneContext }),
  };
}

function moduleFile(path: string): ModuleFile | null {
  if (!existsSync(path)) return null;
  return { path, sha256: createHash("sha256").update(readFileSync(path)).digest("hex") };
}
