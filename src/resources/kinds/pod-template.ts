//! The pod template: what Deployments carry and Pods are made from (core/v1 PodSpec).

import Type from "../typebox.ts";
import type { TUnsafe } from "typebox";
import {
  accepted,
  acceptedFields,
  labels,
  notHonoured,
  notHonouredFields,
  oneOf,
  port,
  strings,
  text,
} from "./fields.ts";
import type { Labels } from "./fields.ts";
import { described } from "./kind.ts";

export interface PodTemplate {
  readonly metadata?: { readonly labels?: Labels; readonly annotations?: Labels };
  readonly spec: PodSpec;
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly terminationGracePeriodSeconds?: number;
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly workingDir?: string;
  readonly env?: readonly EnvVar[];
  readonly ports?: readonly ContainerPort[];
}

export interface EnvVar {
  readonly name: string;
  readonly value?: string;
}

export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol: "TCP" | "UDP" | "SCTP";
}

const env = Type.Object({
  name: text("env-name"),
  value: Type.Optional(Type.String()),
  // Read by the local cluster, which says what it cannot give.
  valueFrom: accepted(),
});

const containerPort = Type.Object({
  name: Type.Optional(text("port-name")),
  containerPort: port(),
  protocol: oneOf(["TCP", "UDP", "SCTP"], { default: "TCP", honoured: ["TCP"] }),
  ...acceptedFields("hostPort", "hostIP"),
});

const container = Type.Object({
  name: text("dns-1123-label"),
  image: Type.Optional(text()),
  command: Type.Optional(Type.Array(Type.String())),
  args: Type.Optional(Type.Array(Type.String())),
  workingDir: Type.Optional(text()),
  env: Type.Optional(Type.Array(env, { uniqueBy: ["name"] })),
  ports: Type.Optional(Type.Array(containerPort, { uniqueBy: ["containerPort", "protocol"] })),
  ...acceptedFields(
    "envFrom",
    "imagePullPolicy",
    "resources",
    "resizePolicy",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "stdin",
    "stdinOnce",
    "tty",
  ),
  ...notHonouredFields(
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "volumeDevices",
    "volumeMounts",
  ),
});

const podSpec = Type.Object({
  containers: Type.Array(container, { minItems: 1, uniqueBy: ["name"] }),
  terminationGracePeriodSeconds: Type.Optional(Type.Integer({ minimum: 0 })),
  ...acceptedFields(
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "os",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "subdomain",
    "tolerations",
    "topologySpreadConstraints",
  ),
  ...notHonouredFields(
    "activeDeadlineSeconds",
    "ephemeralContainers",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "initContainers",
    "shareProcessNamespace",
    "volumes",
  ),
});

/** Schema of a PodSpec. */
export function podSpecSchema(): TUnsafe<PodSpec> {
  return described<PodSpec, typeof podSpec>(podSpec);
}

const podTemplate = Type.Object({
  metadata: Type.Optional(
    Type.Object({
      labels: Type.Optional(labels()),
      annotations: Type.Optional(strings()),
      ...acceptedFields("name", "namespace", "creationTimestamp", "finalizers"),
    }),
  ),
  spec: podSpecSchema(),
});

/** Schema of a pod template. */
export function podTemplateSchema(): TUnsafe<PodTemplate> {
  return described<PodTemplate, typeof podTemplate>(podTemplate);
}

const conditions = Type.Array(
  Type.Object({
    type: text(),
    status: oneOf(["True", "False", "Unknown"]),
    reason: Type.Optional(Type.String()),
    message: Type.Optional(Type.String()),
    lastTransitionTime: Type.Optional(Type.String()),
    ...acceptedFields("lastProbeTime", "lastUpdateTime", "observedGeneration"),
  }),
);

/** An entry of `status.conditions`, as Kubernetes writes it. */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

/** Schema of `status.conditions`. */
export function conditionsSchema(): TUnsafe<readonly Condition[]> {
  return described<readonly Condition[], typeof conditions>(conditions);
}

const selector = Type.Object({
  matchLabels: Type.Optional(labels()),
  matchExpressions: notHonoured(),
});

/** `spec.selector` of workloads. */
export interface LabelSelector {
  readonly matchLabels?: Labels;
}

/** Schema of a label selector of which we honour `matchLabels`. */
export function labelSelectorSchema(): TUnsafe<LabelSelector> {
  return described<LabelSelector, typeof selector>(selector);
}

/** An unchecked `status`. */
export function anyStatus(): ReturnType<typeof accepted> {
  return accepted();
}
