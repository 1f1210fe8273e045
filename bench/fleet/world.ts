//! The objects that the simulated fleet is told of: services with ten endpoints each, a route to
//! each, and one service with lanes.

import type { ServiceEntry } from "../../src/resources/kinds/service-entry.ts";
import type { Resource } from "../../src/resources/object.ts";

const ENDPOINTS = 10;
const OCTET = 256;

export const LABELS: Readonly<Record<string, string>> = { istio: "fleet" };
/** The route table of their listener. */
export const ROUTES = "istio=fleet:80";
export const LANE_SERVICE = "shop";

const HEAD = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: fleet}
spec:
  selector: {istio: fleet}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
apiVersion: v1
kind: Service
metadata: {name: ${LANE_SERVICE}}
spec: {selector: {app: ${LANE_SERVICE}}, ports: [{name: http, port: 8000}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${LANE_SERVICE}}
spec:
  hosts: [${LANE_SERVICE}.example.com]
  gateways: [fleet]
  http: [{route: [{destination: {host: ${LANE_SERVICE}}}]}]
---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: fleet}
spec:
  entry: {gateways: [{name: fleet}]}
  context: {mode: header, routeHeader: x-lane}
  services: [{name: ${LANE_SERVICE}}]
`;

/** The edit of a ServiceEntry that gives its first endpoint another address. */
export function moved(revision: number): (entry: Resource) => Resource {
  return (entry) => {
    const { spec } = entry as ServiceEntry;
    const [first, ...others] = spec.endpoints ?? [];
    const endpoints = [{ ...first, address: `10.100.0.${revision}` }, ...others];
    return { ...entry, spec: { ...spec, endpoints } };
  };
}

function serviceEntry(index: number): string {
  const endpoints = Array.from({ length: ENDPOINTS }, (_, number) => {
    const address = `10.${Math.floor(index / OCTET)}.${index % OCTET}.${number + 1}`;
    return `{address: ${address}, labels: {version: v${number % 2}}}`;
  });
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: s${index}}
spec:
  hosts: [s${index}.fleet.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [${endpoints.join(", ")}]
`;
}

export function clusterOf(index: number): string {
  return `outbound|80||s${index}.fleet.internal`;
}

function virtualService(index: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: s${index}}
spec:
  hosts: [s${index}.example.com]
  gateways: [fleet]
  http: [{route: [{destination: {host: s${index}.fleet.internal}}]}]
`;
}

/** One service fewer: the one with lanes is among them. */
export function world(services: number): string {
  const documents = [HEAD];
  for (let index = 0; index < services - 1; index++) {
    documents.push(serviceEntry(index), virtualService(index));
  }
  return documents.join("---");
}

export const LANE = `
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: gray}
spec:
  group: fleet
  selector: {matchLabels: {version: gray}}
  rule: {header: x-user, operator: "==", value: tester}
`;
