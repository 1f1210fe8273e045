//! What the rules of one listener's lane groups read beyond the head of a request.

import type { PreparedLaneGroup } from "../../lane/decide.ts";
import { operandKindsOf } from "../../lane/operand-kinds.ts";
import { BODY_BYTES_DEFAULT } from "../../snapshot/snapshot.ts";

export interface OperandSources {
  /** By lane group; those that read only heads are not in it. */
  readonly byGroup: ReadonlyMap<string, GroupSources>;
  /** How much of a body is waited for at most; 0: no rule reads bodies. */
  readonly bodyBytesMax: number;
}

export interface GroupSources {
  readonly group: PreparedLaneGroup;
  /** 0: no rule reads bodies. */
  readonly bodyBytesMax: number;
}

/** Null: the head is all that any rule reads, and nothing has to be collected. */
export function operandSourcesOf(groups: readonly PreparedLaneGroup[]): OperandSources | null {
  const byGroup = new Map<string, GroupSources>();
  let bodyBytesMax = 0;
  for (const group of groups) {
    const sources = groupSourcesOf(group);
    if (sources === null) continue;
    byGroup.set(group.name, sources);
    bodyBytesMax = Math.max(bodyBytesMax, sources.bodyBytesMax);
  }
  return byGroup.size === 0 ? null : { byGroup, bodyBytesMax };
}

function groupSourcesOf(group: PreparedLaneGroup): GroupSources | null {
  const kinds = operandKindsOf(group.group);
  if (!kinds.has("bodyJson") && !kinds.has("bodyForm")) return null;
  return { group, bodyBytesMax: group.group.operands?.bodyBytesMax ?? BODY_BYTES_DEFAULT };
}
