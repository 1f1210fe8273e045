//! What runs during the whole suite: three services, and for each a Deployment of the baseline and
//! some of lanes. Lanes of the cases come and go; the labels `k…` let them select what they like.

import type { Resource } from "../../src/resources/object.ts";

export const LANE_HEADER = "x-lane";
/** In the baggage, of the lane group of all cases. */
export const LANE_MEMBER = "graylane-lane.default.shops";
export const PORT = 8_000;

export interface Workload {
  /** `region.zone` of its pods. */
  readonly place?: string;
  /** Of its Deployment. */
  readonly name: string;
  readonly service: string;
  /** Beside `app` and `track`. */
  readonly labels: Readonly<Record<string, string>>;
}

/** `b` has no copy in `blue`, `c` none in `gray`. */
export const WORKLOADS: readonly Workload[] = [
  { name: "a-base", service: "a", place: "r1.z1", labels: { k1: "x", k4: "y" } },
  { name: "a-gray", service: "a", place: "r1.z2", labels: { lane: "gray", k2: "x" } },
  { name: "a-blue", service: "a", place: "r2.z1", labels: { lane: "blue", k3: "x", k4: "x" } },
  { name: "b-base", service: "b", labels: { k1: "y", k2: "y" } },
  { name: "b-gray", service: "b", labels: { lane: "gray", k3: "x" } },
  { name: "c-base", service: "c", labels: { k2: "x" } },
  { name: "c-blue", service: "c", labels: { lane: "blue", k1: "x", k3: "y" } },
];

/** `type` is group, version and kind, e.g. `apps/v1/Deployment`. */
export function object(type: string, name: string, spec: object, metadata: object = {}): Resource {
  const at = type.lastIndexOf("/");
  const [apiVersion, kind] = [type.slice(0, at), type.slice(at + 1)];
  return { apiVersion, kind, metadata: { name, namespace: "default", ...metadata }, spec };
}

export function deployment({ name, service, place, labels }: Workload, replicas = 1): Resource {
  const at = place === undefined ? {} : { "istio-locality": place };
  const all = { app: service, track: name, ...at, ...labels };
  const ports = [{ name: "http", containerPort: PORT }];
  return object("apps/v1/Deployment", name, {
    replicas,
    selector: { matchLabels: { app: service, track: name } },
    template: {
      metadata: { labels: all },
      spec: { containers: [{ name: "app", image: "parity/app:1", ports }] },
    },
  });
}

function service(name: string): Resource {
  const ports = [{ name: "http", port: PORT, targetPort: PORT }];
  return object("v1/Service", name, { selector: { app: name }, ports });
}

/** At `r1/z1`: for what counts places only. */
const GATEWAY = object(
  "networking.istio.io/v1/Gateway",
  "ingressgateway",
  {
    selector: { istio: "ingressgateway" },
    servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
  },
  { namespace: "istio-system", annotations: { "graylane.io/locality": "r1/z1" } },
);

/** Before any case. */
export function topology(): Resource[] {
  const workloads = WORKLOADS.map((workload) => deployment(workload));
  return [GATEWAY, ...["a", "b", "c"].map(service), ...workloads];
}

/** `http` of a VirtualService for every host of the gateway. */
export function routes(
  http: readonly object[],
  name = "shop",
  hosts: readonly string[] = ["*"],
): Resource {
  const gateways = ["istio-system/ingressgateway"];
  return object("networking.istio.io/v1/VirtualService", name, { gateways, hosts, http });
}

export interface Destination {
  readonly destination: object;
}

export function to(host: string, subset?: string): Destination {
  return { destination: { host, ...(subset === undefined ? {} : { subset }) } };
}

export const TO_A: Resource = routes([{ route: [to("a")] }]);

export function destinationRule(host: string, spec: object, annotations: object = {}): Resource {
  return object("networking.istio.io/v1/DestinationRule", host, { host, ...spec }, { annotations });
}

/** Whose subsets are called as the Deployments, without the service. */
export function subsetsOf(host: string): Resource {
  const subsets = WORKLOADS.filter((one) => one.service === host).map(({ name }) => ({
    name: name.slice(host.length + 1),
    labels: { track: name },
  }));
  return destinationRule(host, { subsets });
}

export function laneGroup(more: object = {}): Resource {
  return object("graylane.io/v1alpha1/LaneGroup", "shops", {
    entry: { gateways: [{ name: "ingressgateway", namespace: "istio-system" }] },
    services: ["a", "b", "c"].map((name) => ({ name })),
    baseline: { labelKeys: ["lane"] },
    fallback: "permissive",
    context: { mode: "header", routeHeader: LANE_HEADER },
    ...more,
  });
}

/** Entered by `x-go: <name>` unless `more` has another rule. */
export function lane(name: string, more: object = {}): Resource {
  return object("graylane.io/v1alpha1/Lane", name, {
    group: "shops",
    selector: { matchLabels: { lane: name } },
    rule: { header: "x-go", operator: "==", value: name },
    ...more,
  });
}

/** The lanes that have pods. */
export const LANES: readonly Resource[] = ["gray", "blue"].map((name) => lane(name));
