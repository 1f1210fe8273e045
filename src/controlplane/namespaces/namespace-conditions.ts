//! What a Namespace that is to be deleted waits for, as Kubernetes' namespace controller says it.

import { timestamp } from "../../base/clock.ts";
import { member } from "../../resources/kinds/member.ts";
import type { Resource } from "../../resources/object.ts";
import { finalizersOf } from "../store/deletion.ts";
import { storeKeyOf } from "../store/open-store.ts";

interface Condition {
  readonly type: string;
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

/** Null: the status says it already. */
export function conditionsOf(
  { status }: Resource,
  left: readonly Resource[],
  nowMs: number,
): object | null {
  const conditions = member(status, "conditions");
  const old: readonly unknown[] = Array.isArray(conditions) ? conditions : [];
  const before = (type: string): unknown => old.find((one) => member(one, "type") === type);
  const wanted = [remaining(left), finalizing(left)];
  const isSaid = wanted.every(({ type, message }) => member(before(type), "message") === message);
  if (isSaid) return null;
  const types = new Set<unknown>(wanted.map(({ type }) => type));
  const next = wanted.map((one) => {
    const isOld = member(before(one.type), "status") === one.status;
    const since = isOld ? member(before(one.type), "lastTransitionTime") : undefined;
    return { ...one, lastTransitionTime: since ?? timestamp(nowMs) };
  });
  const others = old.filter((one) => !types.has(member(one, "type")));
  const kept = typeof status === "object" ? status : {};
  return { ...kept, phase: "Terminating", conditions: [...others, ...next] };
}

function remaining(left: readonly Resource[]): Condition {
  const counts = countBy(left, (one) => {
    const { group, plural } = storeKeyOf(one);
    return [`${plural}.${group}`];
  });
  const texts = counts.map(([kind, count]) => `${kind} has ${count} resource instances`);
  const message = `Some resources are remaining: ${texts.join(", ")}`;
  const [type, reason] = ["NamespaceContentRemaining", "SomeResourcesRemain"];
  return { type, status: "True", reason, message };
}

function finalizing(left: readonly Resource[]): Condition {
  const type = "NamespaceFinalizersRemaining";
  const counts = countBy(left, finalizersOf);
  if (counts.length === 0) {
    const message = "All content-preserving finalizers finished";
    return { type, status: "False", reason: "ContentHasNoFinalizers", message };
  }
  const texts = counts.map(([name, count]) => `${name} in ${count} resource instances`);
  const message = `Some content in the namespace has finalizers remaining: ${texts.join(", ")}`;
  return { type, status: "True", reason: "SomeFinalizersRemain", message };
}

function countBy(
  left: readonly Resource[],
  namesOf: (resource: Resource) => readonly string[],
): readonly (readonly [name: string, count: number])[] {
  const counts = new Map<string, number>();
  for (const name of left.flatMap(namesOf)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort(([one], [other]) => (one < other ? -1 : 1));
}
