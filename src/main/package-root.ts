//! Where the package lies: the folder with its package.json, catalogue, plugins and samples.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The nearest folder above this file that holds the package's own files. */
export const PACKAGE_ROOT: string = find(dirname(fileURLToPath(import.meta.url)));

function find(folder: string): string {
  if (existsSync(join(folder, "package.json"))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error("this package has lost its package.json");
  return find(parent);
}

export function packageVersion(): string {
  const text = readFileSync(join(PACKAGE_ROOT, "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/** The image map that comes with the package. */
export const CATALOGUE_FILE: string = join(PACKAGE_ROOT, "catalogue", "images.yaml");

/** The buckets of sticky shares, at gateways that are Envoys. */
export const LANE_BUCKET_FILE: string = join(
  PACKAGE_ROOT,
  ...["plugins", "lane-bucket", "lane-bucket.wasm"],
);

/** The rules that routes cannot express, at gateways that are Envoys. */
export const LANE_FILTER_FILE: string = join(
  PACKAGE_ROOT,
  ...["plugins", "lane-filter", "lane-filter.wasm"],
);

/** Lanes in W3C baggage, at gateways and sidecars that are Envoys. */
export const LANE_CONTEXT_FILE: string = join(
  PACKAGE_ROOT,
  ...["plugins", "lane-context", "lane-context.wasm"],
);

/** The trace-id table of sidecars that are Envoys. */
export const LANE_MEMORY_FILE: string = join(
  PACKAGE_ROOT,
  ...["plugins", "lane-memory", "lane-memory.wasm"],
);

/** The messages of Kubernetes' API. */
export const KUBERNETES_API_FILE: string = join(
  PACKAGE_ROOT,
  ...["generated", "kubernetes-api", "messages.json"],
);

/** The messages of Envoy's API. */
export const ENVOY_API_FILE: string = join(
  PACKAGE_ROOT,
  ...["generated", "envoy-api", "descriptor.json"],
);
