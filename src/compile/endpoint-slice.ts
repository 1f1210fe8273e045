//! EndpointSlices to the endpoints of Services that select no Pods.

import {
  MANAGED_BY_LABEL,
  POD_SLICES_CONTROLLER,
  SERVICE_NAME_LABEL,
} from "../resources/kinds/endpoint-slice.ts";
import type { EndpointSlice, SliceEndpoint } from "../resources/kinds/endpoint-slice.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import type { Service, ServicePort } from "../resources/kinds/service.ts";
import { LabelIndex } from "../lane/label-index.ts";
import type { Endpoint, EndpointSet } from "../snapshot/snapshot.ts";
import { localityOf } from "./locality.ts";
import { sortedLabels } from "./pod.ts";
import { keyOf, namespaceOf } from "./resource-index.ts";
import type { ServiceClusters } from "./service.ts";

/** The EndpointSlices of Services without a selector, and the Pods that they may name. */
export class SliceIndex {
  readonly #slices: LabelIndex<EndpointSlice>;
  /** By `namespace/name`; of few use, so that it is made when first asked for. */
  #podsByKey: ReadonlyMap<string, Pod> | null = null;
  readonly #pods: readonly Pod[];

  constructor(slices: readonly EndpointSlice[], pods: readonly Pod[]) {
    const own = slices.filter(
      ({ metadata, addressType }) =>
        metadata.labels?.[MANAGED_BY_LABEL] !== POD_SLICES_CONTROLLER && addressType !== "FQDN",
    );
    this.#slices = new LabelIndex(own, (slice) => ({
      namespace: namespaceOf(slice),
      labels: slice.metadata.labels ?? {},
    }));
    this.#pods = pods;
  }

  slicesOf(service: Service): readonly EndpointSlice[] {
    const { name } = service.metadata;
    return this.#slices.select(namespaceOf(service), { [SERVICE_NAME_LABEL]: name });
  }

  /** By cluster name: the ready endpoints of all its slices, each address and port once. */
  endpointsOf({ service, clusters }: ServiceClusters): Record<string, EndpointSet> {
    const slices = this.slicesOf(service);
    const sets: Record<string, EndpointSet> = {};
    for (const cluster of clusters) {
      const port = service.spec.ports?.find((candidate) => candidate.port === cluster.port);
      if (port === undefined) continue;
      const found = new Map<string, Endpoint>();
      for (const endpoint of slices.flatMap((slice) => this.#read(slice, port))) {
        const key = `${endpoint.address} ${endpoint.port}`;
        if (!found.has(key)) found.set(key, endpoint);
      }
      sets[cluster.name] = { endpoints: [...found.values()] };
    }
    return sets;
  }

  #read(slice: EndpointSlice, { name = "" }: ServicePort): Endpoint[] {
    const port = slice.ports?.find((candidate) => (candidate.name ?? "") === name)?.port ?? null;
    if (port === null) return [];
    return (slice.endpoints ?? []).flatMap((endpoint) => {
      const [address] = endpoint.addresses;
      if (endpoint.conditions?.ready === false || address === undefined) return [];
      return [{ address, port, ...this.#podOf(endpoint, namespaceOf(slice)) }];
    });
  }

  /** What the endpoint is beside its address: what its Pod says, where it names one. */
  #podOf(
    { targetRef }: SliceEndpoint,
    namespace: string,
  ): Pick<Endpoint, "pod" | "labels" | "locality"> {
    const key = `${targetRef?.namespace ?? namespace}/${targetRef?.name ?? ""}`;
    const pod = targetRef?.kind === "Pod" ? this.#findPod(key) : undefined;
    const labels = pod === undefined ? {} : sortedLabels(pod);
    return { pod: pod === undefined ? "" : key, labels, ...localityOf(undefined, labels) };
  }

  #findPod(key: string): Pod | undefined {
    this.#podsByKey ??= new Map(this.#pods.map((pod) => [keyOf(pod), pod]));
    return this.#podsByKey.get(key);
  }
}

export function hasSelector({ spec: { selector = {} } }: Service): boolean {
  return Object.keys(selector).length > 0;
}
