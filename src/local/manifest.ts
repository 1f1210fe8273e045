//! Reads of a stored Deployment what the local cluster runs. The store holds validated objects
//! only, so a missing or odd field here means "not given", never a fault.

import { contentHash } from "../base/canonical-json.ts";
import type { Resource } from "../resources/object.ts";

export interface Deployment {
  readonly namespace: string;
  readonly name: string;
  /** Absent in what an older version has handed over. */
  readonly uid?: string;
  readonly generation: number;
  readonly replicas: number;
  readonly template: PodTemplate;
  /** First ten digits of the template's content hash: part of the pods' names. */
  readonly templateHash: string;
}

export interface PodTemplate {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly containers: readonly Container[];
  readonly sidecar: SidecarKind;
  /** The pod spec as written, copied into the Pod object. */
  readonly spec: Readonly<Record<string, unknown>>;
}

/** `none`: the app has the pod's own address, and its agent picks the endpoints. */
export type SidecarKind = "embedded" | "envoy" | "none";

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir: string;
  readonly env: readonly EnvVar[];
  readonly envFrom: readonly EnvFrom[];
  readonly ports: readonly number[];
}

export interface EnvVar {
  readonly name: string;
  readonly value: string;
  readonly source: EnvSource | null;
}

export type EnvSource =
  | { readonly kind: "field"; readonly path: string }
  | {
      readonly kind: "ConfigMap" | "Secret";
      readonly name: string;
      readonly key: string;
      readonly optional: boolean;
    }
  | { readonly kind: "unsupported"; readonly field: string };

export interface EnvFrom {
  readonly kind: "ConfigMap" | "Secret";
  readonly name: string;
  readonly prefix: string;
  readonly optional: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/** `usual`: the sidecar of pods that do not say which. */
export function readDeployment(
  resource: Resource,
  usual: Exclude<SidecarKind, "none"> = "embedded",
): Deployment {
  const spec = fields(resource.spec);
  const template = fields(spec["template"]);
  const replicas = spec["replicas"];
  return {
    namespace: resource.metadata.namespace ?? "default",
    name: resource.metadata.name,
    ...(resource.metadata.uid === undefined ? {} : { uid: resource.metadata.uid }),
    generation: resource.metadata.generation ?? 0,
    replicas: typeof replicas === "number" && replicas >= 0 ? Math.floor(replicas) : 1,
    template: readTemplate(template, usual),
    templateHash: contentHash(template).slice(0, 10),
  };
}

/** Ours, on a pod template: `"false"`; `"envoy"`, `"embedded"`, `"true"` whatever Istio says. */
export const SIDECAR_ANNOTATION = "graylane.io/sidecar";
/** Istio's, a label or an annotation. */
const ISTIO_INJECT = "sidecar.istio.io/inject";

function readTemplate(template: Fields, usual: SidecarKind): PodTemplate {
  const metadata = fields(template["metadata"]);
  const spec = fields(template["spec"]);
  const labels = strings(metadata["labels"]);
  const annotations = strings(metadata["annotations"]);
  const said = annotations[SIDECAR_ANNOTATION] ?? labels[ISTIO_INJECT] ?? annotations[ISTIO_INJECT];
  return {
    labels,
    annotations,
    sidecar: said === "false" ? "none" : sidecarNamed(annotations[SIDECAR_ANNOTATION], usual),
    containers: list(spec["containers"]).map(readContainer),
    spec,
  };
}

function sidecarNamed(said: string | undefined, usual: SidecarKind): SidecarKind {
  return said === "envoy" || said === "embedded" ? said : usual;
}

function readContainer(container: Fields): Container {
  return {
    name: text(container["name"]),
    image: text(container["image"]),
    command: texts(container["command"]),
    args: texts(container["args"]),
    workingDir: text(container["workingDir"]),
    env: readEnv(container["env"]),
    envFrom: list(container["envFrom"]).flatMap(readEnvFrom),
    ports: list(container["ports"]).flatMap(({ containerPort }) =>
      typeof containerPort === "number" ? [containerPort] : [],
    ),
  };
}

/** A list of Kubernetes' EnvVar; the image map uses the same shape. */
export function readEnv(env: unknown): readonly EnvVar[] {
  return list(env).map((entry) => ({
    name: text(entry["name"]),
    value: text(entry["value"]),
    source: entry["valueFrom"] === undefined ? null : readEnvSource(fields(entry["valueFrom"])),
  }));
}

function readEnvSource(source: Fields): EnvSource {
  if (source["fieldRef"] !== undefined) {
    return { kind: "field", path: text(fields(source["fieldRef"])["fieldPath"]) };
  }
  for (const [field, kind] of [
    ["configMapKeyRef", "ConfigMap"],
    ["secretKeyRef", "Secret"],
  ] as const) {
    if (source[field] === undefined) continue;
    const reference = fields(source[field]);
    return {
      kind,
      name: text(reference["name"]),
      key: text(reference["key"]),
      optional: reference["optional"] === true,
    };
  }
  return { kind: "unsupported", field: Object.keys(source)[0] ?? "valueFrom" };
}

function readEnvFrom(entry: Fields): readonly EnvFrom[] {
  const prefix = text(entry["prefix"]);
  const of = (kind: EnvFrom["kind"], value: unknown): readonly EnvFrom[] => {
    if (value === undefined) return [];
    const reference = fields(value);
    const optional = reference["optional"] === true;
    return [{ kind, name: text(reference["name"]), prefix, optional }];
  };
  return [...of("ConfigMap", entry["configMapRef"]), ...of("Secret", entry["secretRef"])];
}

function fields(value: unknown): Fields {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return {};
  return value as Fields;
}

function list(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fields) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

function strings(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(fields(value)).map(([key, each]) => [key, text(each)]));
}
