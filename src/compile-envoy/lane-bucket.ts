//! Sticky shares at a gateway: the plug-in `plugins/lane-bucket`, behind the gateway's own.

import type { JsonObject } from "../base/json.ts";
import type { CohortKey } from "../snapshot/cohort.ts";
import type { ModuleFile } from "./envoy-config.ts";
import type { EnteredGroup } from "./lane-entry.ts";
import { BUCKET_HEADER } from "./lane-shares.ts";
import { TEXT_TYPE, WASM_TYPE } from "./wasm-types.ts";

const NAME = "graylane.lane-bucket";

/** None where no group needs it; at most one group of a gateway has shares. */
export function bucketFilters(
  groups: readonly EnteredGroup[],
  module: ModuleFile | undefined,
): JsonObject[] {
  if (module === undefined) return [];
  const { path, sha256 } = module;
  return groups.flatMap(({ group, sticky }) => {
    if (sticky === null) return [];
    const { key, hash, salt, modulo } = sticky.deal;
    const where = keyOf(key, group.operands?.trustedHops ?? 0);
    const configuration = { header: BUCKET_HEADER, key: where, hash, salt, modulo };
    const config: JsonObject = {
      name: NAME,
      failure_policy: "FAIL_RELOAD",
      vm_config: {
        vm_id: `${NAME}/${sha256}`,
        runtime: "envoy.wasm.runtime.v8",
        code: { local: { filename: path } },
      },
      configuration: { "@type": TEXT_TYPE, value: JSON.stringify(configuration) },
    };
    return [{ name: NAME, typed_config: { "@type": WASM_TYPE, config } }];
  });
}

function keyOf(key: CohortKey, trustedHops: number): JsonObject {
  if (key.kind === "clientIp") return { kind: key.kind, trustedHops };
  return { kind: key.kind, name: key.kind === "header" ? key.name.toLowerCase() : key.name };
}
