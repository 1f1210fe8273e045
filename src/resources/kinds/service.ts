//! v1 Service: a name, its ports, and the selector of its pods.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { acceptedFields, labels, notHonouredFields, oneOf, port, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { column, defineKind, described, wideColumn } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";

export interface ServiceSpec {
  readonly type: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  readonly selector?: Labels;
  readonly ports?: readonly ServicePort[];
  readonly clusterIP?: string;
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  /** A container port's number or name; filled with `port` when absent. */
  readonly targetPort?: number | string;
  readonly protocol: "TCP" | "UDP" | "SCTP";
  /** Says which protocol of the application is spoken, before the port's name does. */
  readonly appProtocol?: string;
}

export interface Service extends Resource {
  readonly spec: ServiceSpec;
}

const PORT_MAX = 65535;

const servicePort = Type.Object({
  name: Type.Optional(text("dns-1123-label")),
  port: port(),
  targetPort: Type.Optional(
    Type.Unsafe<number | string>({
      type: ["integer", "string"],
      minimum: 1,
      maximum: PORT_MAX,
      minLength: 1,
      format: "port-name",
    }),
  ),
  protocol: oneOf(["TCP", "UDP", "SCTP"], { default: "TCP", honoured: ["TCP"] }),
  appProtocol: Type.Optional(Type.String()),
  ...acceptedFields("nodePort"),
});

const spec = Type.Object({
  type: oneOf(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"], {
    default: "ClusterIP",
    honoured: ["ClusterIP", "NodePort", "LoadBalancer"],
  }),
  selector: Type.Optional(labels()),
  ports: Type.Optional(Type.Array(servicePort, { uniqueBy: ["port", "protocol"] })),
  clusterIP: Type.Optional(Type.String()),
  ...acceptedFields(
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "internalTrafficPolicy",
    "externalTrafficPolicy",
    "allocateLoadBalancerNodePorts",
    "healthCheckNodePort",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "sessionAffinityConfig",
    "trafficDistribution",
  ),
  sessionAffinity: Type.Optional(oneOf(["None", "ClientIP"], { honoured: ["None"] })),
  ...notHonouredFields("externalIPs", "externalName", "publishNotReadyAddresses"),
});

export const SERVICE: KindInfo = defineKind({
  kind: "Service",
  plural: "services",
  singular: "service",
  shortNames: ["svc"],
  group: "",
  versions: ["v1"],
  nameFormat: "dns-1035-label",
  schema: Type.Object({ spec: described<ServiceSpec, typeof spec>(spec), status: anyStatus() }),
  columns: [
    column("TYPE", (object) => (object as Service).spec.type),
    column("CLUSTER-IP", (object) => (object as Service).spec.clusterIP ?? "<none>"),
    column("PORT(S)", (object) => portsText((object as Service).spec.ports)),
    wideColumn("SELECTOR", (object) => selectorText((object as Service).spec.selector)),
  ],
  fill: fillService,
  check: checkService,
});

function portsText(ports: readonly ServicePort[] | undefined): string {
  if (ports === undefined || ports.length === 0) return "<none>";
  return ports.map((each) => `${each.port}/${each.protocol}`).join(",");
}

function selectorText(selector: Labels | undefined): string {
  if (selector === undefined) return "<none>";
  return Object.entries(selector)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

function fillService(object: JsonObject): void {
  for (const each of items(member(object, "spec", "ports"))) {
    const number = member(each, "port");
    // A wrong port is reported once, not again as a wrong target.
    if (typeof number !== "number" || number < 1 || number > PORT_MAX) continue;
    (each as JsonObject)["targetPort"] ??= number;
  }
}

/** Kubernetes' rule: with more than one port each has a name of its own. */
function checkService(object: JsonObject, report: Report): void {
  const ports = items(member(object, "spec", "ports"));
  if (ports.length < 2) return;
  ports.forEach((each, index) => {
    if (member(each, "name") !== undefined) return;
    report({
      code: "GL0104",
      path: ["spec", "ports", index],
      says: "needs a name, because the Service has more than one port",
      remedy: "Give every port a name of its own.",
    });
  });
}
