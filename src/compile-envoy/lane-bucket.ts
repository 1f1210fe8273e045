//! Sticky shares at a gateway: the plug-in `plugins/lane-bucket`, behind the gateway's own.

import type { JsonObject } from "../base/json.ts";
import type { CohortKey } from "../snapshot/cohort.ts";
import type { ModuleFile } from "./envoy-config.ts";
import type { Extension } from "./extension.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { BUCKET_HEADER } from "./lane-shares.ts";
import { ownExtension } from "./own-extension.ts";
import type { Place } from "./own-extension.ts";

const NAME = "graylane.lane-bucket";

/** None where no group needs it; at most one group of a gateway has shares. */
export function bucketExtensions(
  groups: readonly EnteredGroup[],
  module: ModuleFile | undefined,
  at: Place,
): Extension[] {
  if (module === undefined) return [];
  return groups.flatMap(({ group, sticky }) => {
    if (sticky === null) return [];
    const { key, hash, salt, modulo } = sticky.deal;
    // The plug-in that reads claims tells that bucket, too.
    if (key.kind === "claim") return [];
    const where = keyOf(key, group.operands?.trustedHops ?? 0);
    const configuration = { header: BUCKET_HEADER, key: where, hash, salt, modulo };
    return [ownExtension(NAME, module, configuration, at)];
  });
}

function keyOf(key: CohortKey, trustedHops: number): JsonObject {
  if (key.kind === "clientIp") return { kind: key.kind, trustedHops };
  return { kind: key.kind, name: key.kind === "header" ? key.name.toLowerCase() : key.name };
}
