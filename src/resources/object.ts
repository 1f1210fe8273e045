//! The shape that every resource shares, after Kubernetes' object model.

export interface ObjectRef {
  readonly kind: string;
  /** `""` for a cluster-scoped object. */
  readonly namespace: string;
  readonly name: string;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly uid?: string;
  /** Decimal store revision of the last write; opaque to clients. */
  readonly resourceVersion?: string;
  /** Counts changes of `spec`. */
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly [other: string]: unknown;
}

/** A validated object of any kind. Kinds without `spec` (Secret) keep their own fields. */
export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly spec?: unknown;
  readonly status?: unknown;
  readonly [other: string]: unknown;
}

/** `Lane default/gray`: a key for one object of any kind. */
export function refText({ kind, namespace, name }: ObjectRef): string {
  return `${kind} ${namespace}/${name}`;
}

/** The Gateway API's Gateway; Istio's is called the same. */
const GATEWAY_API = "gateway.networking.k8s.io";

export function refOf(resource: Resource): ObjectRef {
  const isTwin = resource.kind === "Gateway" && resource.apiVersion.startsWith(`${GATEWAY_API}/`);
  return {
    kind: isTwin ? `Gateway.${GATEWAY_API}` : resource.kind,
    namespace: resource.metadata.namespace ?? "",
    name: resource.metadata.name,
  };
}
