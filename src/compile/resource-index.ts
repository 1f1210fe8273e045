//! Resources by kind, each list in the order of namespace and name.
//!
//! Everything later walks these lists, so the order of the input cannot reach the snapshot.

import type { ApiGateway } from "../resources/kinds/api-gateway.ts";
import type { AsmHeaderPropagation } from "../resources/kinds/asm-header-propagation.ts";
import type { AsmSwimLane } from "../resources/kinds/asm-swim-lane.ts";
import type { AsmSwimLaneGroup } from "../resources/kinds/asm-swim-lane-group.ts";
import type { Deployment } from "../resources/kinds/deployment.ts";
import type { DestinationRule } from "../resources/kinds/destination-rule.ts";
import type { EndpointSlice } from "../resources/kinds/endpoint-slice.ts";
import type { Gateway } from "../resources/kinds/gateway.ts";
import type { GatewayClass } from "../resources/kinds/gateway-class.ts";
import type { GRPCRoute } from "../resources/kinds/grpc-route.ts";
import type { HTTPRoute } from "../resources/kinds/http-route.ts";
import type { Ingress } from "../resources/kinds/ingress.ts";
import type { LaneGroup } from "../resources/kinds/lane-group.ts";
import type { Lane } from "../resources/kinds/lane.ts";
import type { McpBridge } from "../resources/kinds/mcp-bridge.ts";
import type { Namespace } from "../resources/kinds/namespace.ts";
import type { Pod } from "../resources/kinds/pod.ts";
import type { ReferenceGrant } from "../resources/kinds/reference-grant.ts";
import type { Secret } from "../resources/kinds/secret.ts";
import type { Service } from "../resources/kinds/service.ts";
import type { ServiceEntry } from "../resources/kinds/service-entry.ts";
import type { TrafficLabel } from "../resources/kinds/traffic-label.ts";
import type { VirtualService } from "../resources/kinds/virtual-service.ts";
import type { WorkloadEntry } from "../resources/kinds/workload-entry.ts";
import { GATEWAY_API_GROUP } from "../resources/kinds/route-fields.ts";
import type { Resource } from "../resources/object.ts";
import { compareTexts } from "./messages.ts";

export interface ResourceIndex {
  readonly gateways: readonly Gateway[];
  readonly virtualServices: readonly VirtualService[];
  readonly ingresses: readonly Ingress[];
  readonly gatewayClasses: readonly GatewayClass[];
  /** Of the Gateway API. */
  readonly apiGateways: readonly ApiGateway[];
  readonly httpRoutes: readonly HTTPRoute[];
  readonly grpcRoutes: readonly GRPCRoute[];
  readonly referenceGrants: readonly ReferenceGrant[];
  readonly namespaces: readonly Namespace[];
  readonly destinationRules: readonly DestinationRule[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly serviceEntries: readonly ServiceEntry[];
  readonly workloadEntries: readonly WorkloadEntry[];
  readonly mcpBridges: readonly McpBridge[];
  readonly secrets: readonly Secret[];
  readonly pods: readonly Pod[];
  readonly deployments: readonly Deployment[];
  /** WasmPlugins of both groups and TrafficExtensions. */
  readonly plugins: readonly Resource[];
  readonly laneGroups: readonly LaneGroup[];
  readonly lanes: readonly Lane[];
  readonly asmLaneGroups: readonly AsmSwimLaneGroup[];
  readonly asmLanes: readonly AsmSwimLane[];
  readonly trafficLabels: readonly TrafficLabel[];
  readonly headerPropagations: readonly AsmHeaderPropagation[];
}

const ASM = "istio.alibabacloud.com";

export function indexResources(resources: readonly Resource[]): ResourceIndex {
  const byKind = new Map<string, Resource[]>();
  for (const resource of resources) {
    const slash = resource.apiVersion.indexOf("/");
    const group = slash === -1 ? "" : resource.apiVersion.slice(0, slash);
    const key = `${group}/${resource.kind}`;
    const list = byKind.get(key);
    if (list === undefined) byKind.set(key, [resource]);
    else list.push(resource);
  }
  for (const [kind, list] of byKind) byKind.set(kind, sortedByKey(list));
  const all = (group: string, kind: string): never =>
    (byKind.get(`${group}/${kind}`) ?? []) as never;
  // The store and the loader validated each object against its kind's schema, hence the types.
  return {
    gateways: all("networking.istio.io", "Gateway"),
    virtualServices: all("networking.istio.io", "VirtualService"),
    ingresses: all("networking.k8s.io", "Ingress"),
    gatewayClasses: all(GATEWAY_API_GROUP, "GatewayClass"),
    apiGateways: all(GATEWAY_API_GROUP, "Gateway"),
    httpRoutes: all(GATEWAY_API_GROUP, "HTTPRoute"),
    grpcRoutes: all(GATEWAY_API_GROUP, "GRPCRoute"),
    referenceGrants: all(GATEWAY_API_GROUP, "ReferenceGrant"),
    namespaces: all("", "Namespace"),
    destinationRules: all("networking.istio.io", "DestinationRule"),
    services: all("", "Service"),
    endpointSlices: all("discovery.k8s.io", "EndpointSlice"),
    serviceEntries: all("networking.istio.io", "ServiceEntry"),
    workloadEntries: all("networking.istio.io", "WorkloadEntry"),
    mcpBridges: all("networking.higress.io", "McpBridge"),
    secrets: all("", "Secret"),
    pods: all("", "Pod"),
    deployments: all("apps", "Deployment"),
    plugins: [
      ...all("extensions.istio.io", "WasmPlugin"),
      ...all("extensions.istio.io", "TrafficExtension"),
      ...all("extensions.higress.io", "WasmPlugin"),
    ],
    laneGroups: all("graylane.io", "LaneGroup"),
    lanes: all("graylane.io", "Lane"),
    asmLaneGroups: all(ASM, "ASMSwimLaneGroup"),
    asmLanes: all(ASM, "ASMSwimLane"),
    trafficLabels: all(ASM, "TrafficLabel"),
    headerPropagations: all(ASM, "ASMHeaderPropagation"),
  };
}

function sortedByKey(list: readonly Resource[]): Resource[] {
  const keyed = list.map((resource) => ({ key: keyOf(resource), resource }));
  return keyed.sort((a, b) => compareTexts(a.key, b.key)).map(({ resource }) => resource);
}

/** `namespace/name`; a cluster-scoped object's begins with the slash. */
export function keyOf(resource: Resource): string {
  return `${resource.metadata.namespace ?? ""}/${resource.metadata.name}`;
}

export function namespaceOf(resource: Resource): string {
  return resource.metadata.namespace ?? "default";
}

/** Of `namespace/name`. */
export function namespaceOfKey(key: string): string {
  return key.slice(0, key.indexOf("/"));
}

export function hasLabels(
  labels: Readonly<Record<string, string>> | undefined,
  wanted: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(wanted).every(([key, value]) => labels?.[key] === value);
}

/** At most `max` of the names, for a message. */
export function listNames(names: readonly string[], max = 3): string {
  const shown = names.slice(0, max).join(", ");
  return names.length > max ? `${shown} and ${names.length - max} more` : shown;
}
