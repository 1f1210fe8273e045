//! The object that says what a lane is: where its faults are told.

import type { Lane, LaneGroup, ObjectRef } from "../snapshot/snapshot.ts";

/** Lanes are of their group's namespace; ASM's are known by their group. */
export function laneSource({ source }: LaneGroup, { name }: Lane): ObjectRef {
  if (source.kind !== "LaneGroup") return source;
  return { kind: "Lane", namespace: source.namespace, name };
}
