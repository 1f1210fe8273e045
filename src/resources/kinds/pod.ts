//! v1 Pod: written by the local cluster, read by endpoint discovery.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { column, defineKind, described, wideColumn } from "./kind.ts";
import type { KindInfo } from "./kind.ts";
import { conditionsSchema, podSpecSchema } from "./pod-template.ts";
import type { Condition, PodSpec } from "./pod-template.ts";

export type { PodSpec };

export interface PodStatus {
  readonly phase?: string;
  readonly podIP?: string;
  readonly conditions?: readonly Condition[];
  readonly containerStatuses?: readonly ContainerStatus[];
  readonly message?: string;
  readonly reason?: string;
  readonly startTime?: string;
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  /** Why it does not run: `waiting` or `terminated`. */
  readonly state?: Readonly<Record<string, { readonly reason?: string } | undefined>>;
}

export interface Pod extends Resource {
  readonly spec: PodSpec;
  readonly status?: PodStatus;
}

const status = Type.Object(
  {
    phase: Type.Optional(Type.String()),
    podIP: Type.Optional(Type.String()),
    conditions: Type.Optional(conditionsSchema()),
    containerStatuses: Type.Optional(
      Type.Array(
        Type.Object(
          { name: Type.String(), ready: Type.Boolean(), restartCount: Type.Integer() },
          { openObject: true },
        ),
      ),
    ),
    message: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    startTime: Type.Optional(Type.String()),
  },
  { openObject: true },
);

/** True when the pod's Ready condition is "True" and it is not being deleted. */
export function isPodReady(pod: Pod): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  return (pod.status?.conditions ?? []).some(
    (condition) => condition.type === "Ready" && condition.status === "True",
  );
}

export const POD: KindInfo = defineKind({
  kind: "Pod",
  plural: "pods",
  singular: "pod",
  shortNames: ["po"],
  group: "",
  versions: ["v1"],
  schema: Type.Object({
    spec: podSpecSchema(),
    status: Type.Optional(described<PodStatus, typeof status>(status)),
  }),
  columns: [
    column("READY", (pod) => readyText(pod as Pod)),
    column("STATUS", (pod) => statusText(pod as Pod)),
    column("RESTARTS", (pod) => restartsText(pod as Pod)),
    wideColumn("IP", (pod) => (pod as Pod).status?.podIP ?? "<none>"),
  ],
});

function readyText(pod: Pod): string {
  const ready = (pod.status?.containerStatuses ?? []).filter((container) => container.ready).length;
  return `${ready}/${pod.spec.containers.length}`;
}

function statusText(pod: Pod): string {
  if (pod.metadata.deletionTimestamp !== undefined) return "Terminating";
  return pod.status?.reason ?? waitingReason(pod) ?? pod.status?.phase ?? "Pending";
}

/** As kubectl prints it: `CrashLoopBackOff` says more than `Pending`. */
function waitingReason(pod: Pod): string | undefined {
  for (const { state = {} } of pod.status?.containerStatuses ?? []) {
    const reason = (state["waiting"] ?? state["terminated"])?.reason;
    if (reason !== undefined && reason !== "") return reason;
  }
  return undefined;
}

function restartsText(pod: Pod): string {
  let count = 0;
  for (const container of pod.status?.containerStatuses ?? []) count += container.restartCount;
  return String(count);
}
