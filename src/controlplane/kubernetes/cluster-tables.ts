//! What is read of a cluster's tables: where they are, and which part of their objects is kept.

import { MANAGED_BY_LABEL, POD_SLICES_CONTROLLER } from "../../resources/kinds/endpoint-slice.ts";
import type { KindInfo } from "../../resources/registry.ts";
import type { RawObject, Table } from "./reflector.ts";

/** Large, and never for a gateway. */
const SECRET_QUERY = `fieldSelector=${encodeURIComponent(
  "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token",
)}`;
/** Those that the cluster makes of Pods, which are read themselves, are many. */
const SLICE_QUERY = `labelSelector=${encodeURIComponent(
  `${MANAGED_BY_LABEL}!=${POD_SLICES_CONTROLLER}`,
)}`;
const QUERIES: ReadonlyMap<string, string> = new Map([
  ["Secret", SECRET_QUERY],
  ["EndpointSlice", SLICE_QUERY],
]);
const METADATA_ONLY = "application/json;as=PartialObjectMetadata";
const META_VERSION = "g=meta.k8s.io;v=v1";

/** Names of the CRDs: which kinds there are. Of their schemas nothing is read. */
export const DEFINITIONS: Table = {
  kind: "CustomResourceDefinition",
  paths: ["/apis/apiextensions.k8s.io/v1/customresourcedefinitions"],
  acceptList: `${METADATA_ONLY}List;${META_VERSION}`,
  acceptWatch: `${METADATA_ONLY};${META_VERSION}`,
};

export function tableOf(info: KindInfo): Table {
  const { group, versions, plural, kind } = info;
  const query = QUERIES.get(kind);
  const roots = versions.map((version) => (group === "" ? `/api/v1` : `/apis/${group}/${version}`));
  return {
    kind,
    paths: roots.map((root) => `${root}/${plural}`),
    ...(query === undefined ? {} : { query }),
  };
}

/** The parts that are kept: of Pods there are many, and they change often. */
export function keptOf(object: RawObject): RawObject {
  const metadata = Object.entries(object.metadata).filter(([name]) => name !== "managedFields");
  const slim = { ...object, metadata: Object.fromEntries(metadata) } as unknown as RawObject;
  if (object.kind === "Pod") return podPart(slim);
  if (object.kind === "Service") return without(slim, ["status"]);
  if (object.kind !== "Deployment") return slim;
  const { spec } = slim as { readonly spec?: DeploymentSpec };
  const { replicas, selector, template } = spec ?? {};
  const kept = {
    replicas,
    selector,
    template: { metadata: { labels: labelsOf(template) }, spec: NOTHING },
  };
  return { ...without(slim, ["status"]), spec: kept };
}

interface DeploymentSpec {
  readonly replicas?: unknown;
  readonly selector?: unknown;
  readonly template?: { readonly metadata?: { readonly labels?: unknown } };
}

/** Its containers are none of our business, but the schema wants one. */
const NOTHING = { containers: [{ name: "app" }] };

function labelsOf(template: DeploymentSpec["template"]): unknown {
  return template?.metadata?.labels ?? {};
}

interface PodParts {
  readonly spec?: { readonly containers?: readonly ContainerParts[] };
  readonly status?: {
    readonly phase?: unknown;
    readonly podIP?: unknown;
    readonly conditions?: readonly { readonly type?: unknown; readonly status?: unknown }[];
  };
}

interface ContainerParts {
  readonly name?: unknown;
  readonly ports?: unknown;
}

function podPart(pod: RawObject): RawObject {
  const { spec, status } = pod as PodParts;
  const containers = (spec?.containers ?? []).map(({ name, ports }) => ({ name, ports }));
  const ready = (status?.conditions ?? []).filter(({ type }) => type === "Ready");
  return {
    ...pod,
    spec: { containers },
    status: {
      ...{ phase: status?.phase, podIP: status?.podIP },
      conditions: ready.map(({ type, status: value }) => ({ type, status: value })),
    },
  };
}

function without(object: RawObject, names: readonly string[]): RawObject {
  const kept = Object.entries(object).filter(([name]) => !names.includes(name));
  return Object.fromEntries(kept) as unknown as RawObject;
}
