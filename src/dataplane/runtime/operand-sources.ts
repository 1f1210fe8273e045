//! What the rules of one listener's lane groups read beyond the head of a request.

import type { PreparedLaneGroup } from "../../lane/decide.ts";
import { operandKindsOf } from "../../lane/operand-kinds.ts";
import { BODY_BYTES_DEFAULT } from "../../snapshot/snapshot.ts";
import type { GeoDatabase } from "./geo-database.ts";
import type { KnownPods } from "./known-pods.ts";
import type { TokenVerifier } from "./token-verifier.ts";

export interface OperandSources {
  /** By lane group; those that read only heads are not in it. */
  readonly byGroup: ReadonlyMap<string, GroupSources>;
  /** How much of a body is waited for at most; 0: no rule reads bodies. */
  readonly bodyBytesMax: number;
  /** Null: no rule reads who calls. */
  readonly pods: KnownPods | null;
}

export interface GroupSources {
  readonly group: PreparedLaneGroup;
  /** 0: no rule reads bodies. */
  readonly bodyBytesMax: number;
  /** Null: no rule reads claims, or nothing verifies them. */
  readonly tokens: TokenVerifier | null;
  /** Null: no rule reads places, or there is no database that can be read. */
  readonly geo: GeoDatabase | null;
}

const COLLECTED_KINDS = ["claim", "geo", "workload"] as const;

/** What has been opened for the lane groups of a snapshot, by name. */
export type OpenedSources = ReadonlyMap<string, Pick<GroupSources, "tokens" | "geo">>;

/** Null: the head is all that any rule reads, and nothing has to be collected. */
export function operandSourcesOf(
  groups: readonly PreparedLaneGroup[],
  { opened, pods }: { readonly opened: OpenedSources; readonly pods: KnownPods },
): OperandSources | null {
  const byGroup = new Map<string, GroupSources>();
  let bodyBytesMax = 0;
  let readsCallers = false;
  for (const group of groups) {
    const sources = groupSources(group, opened);
    if (sources === null) continue;
    byGroup.set(group.name, sources);
    readsCallers ||= operandKindsOf(group.group).has("workload");
    bodyBytesMax = Math.max(bodyBytesMax, sources.bodyBytesMax);
  }
  return byGroup.size === 0 ? null : { byGroup, bodyBytesMax, pods: readsCallers ? pods : null };
}

function groupSources(group: PreparedLaneGroup, opened: OpenedSources): GroupSources | null {
  const kinds = operandKindsOf(group.group);
  const readsBody = kinds.has("bodyJson") || kinds.has("bodyForm");
  const isCollected = readsBody || COLLECTED_KINDS.some((kind) => kinds.has(kind));
  if (!isCollected) return null;
  const limit = group.group.operands?.bodyBytesMax ?? BODY_BYTES_DEFAULT;
  const { tokens = null, geo = null } = opened.get(group.name) ?? {};
  return { group, bodyBytesMax: readsBody ? limit : 0, tokens, geo };
}
