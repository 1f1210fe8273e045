//! networking.istio.io ServiceEntry: hosts that no Service of Kubernetes stands for.

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { labels, notHonouredFields, oneOf, port, text } from "./fields.ts";
import type { Labels } from "./fields.ts";
import { isAddress, isUnixAddress } from "../formats.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Path, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";
import { workloadEntrySpec } from "./workload-entry.ts";
import type { WorkloadEntrySpec } from "./workload-entry.ts";

export interface ServiceEntrySpec {
  readonly hosts: readonly string[];
  /** Virtual addresses by which sidecars are called, too. */
  readonly addresses?: readonly string[];
  readonly ports?: readonly ServiceEntryPort[];
  readonly location: "MESH_EXTERNAL" | "MESH_INTERNAL";
  readonly resolution: "NONE" | "STATIC" | "DNS" | "DNS_ROUND_ROBIN" | "DYNAMIC_DNS";
  readonly endpoints?: readonly WorkloadEntrySpec[];
  /** Namespaces whose callers it is for; absent: all. */
  readonly exportTo?: readonly string[];
  /** WorkloadEntries and Pods of the namespace, in the place of `endpoints`. */
  readonly workloadSelector?: { readonly labels?: Labels };
}

export interface ServiceEntryPort {
  readonly number: number;
  readonly name: string;
  /** In any case, as Istio takes it. */
  readonly protocol?: string;
  /** Where the endpoints listen; absent: at `number`. */
  readonly targetPort?: number;
}

export interface ServiceEntry extends Resource {
  readonly spec: ServiceEntrySpec;
}

const entryPort = Type.Object({
  number: port(),
  name: text(),
  protocol: Type.Optional(text("service-entry-protocol")),
  targetPort: Type.Optional(port()),
});

const RESOLUTIONS = ["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] as const;

const spec = Type.Object(
  {
    hosts: Type.Array(text("virtual-service-host"), { minItems: 1 }),
    addresses: Type.Optional(Type.Array(text("network"))),
    ports: Type.Optional(Type.Array(entryPort, { uniqueBy: ["number"] })),
    location: oneOf(["MESH_EXTERNAL", "MESH_INTERNAL"], { default: "MESH_EXTERNAL" }),
    resolution: oneOf(RESOLUTIONS, {
      default: "NONE",
      honoured: RESOLUTIONS.filter((name) => name !== "DYNAMIC_DNS"),
    }),
    endpoints: Type.Optional(Type.Array(workloadEntrySpec())),
    workloadSelector: Type.Optional(Type.Object({ labels: Type.Optional(labels()) })),
    exportTo: Type.Optional(Type.Array(text("export-to"))),
    ...notHonouredFields("subjectAltNames"),
  },
  { atMostOneOf: ["endpoints", "workloadSelector"] },
);

export const SERVICE_ENTRY: KindInfo = defineKind({
  kind: "ServiceEntry",
  plural: "serviceentries",
  singular: "serviceentry",
  shortNames: ["se"],
  group: "networking.istio.io",
  versions: ["v1", "v1beta1", "v1alpha3"],
  schema: Type.Object({
    spec: described<ServiceEntrySpec, typeof spec>(spec),
    status: anyStatus(),
  }),
  columns: [
    column("HOSTS", (object) => JSON.stringify((object as ServiceEntry).spec.hosts)),
    column("LOCATION", (object) => (object as ServiceEntry).spec.location),
    column("RESOLUTION", (object) => (object as ServiceEntry).spec.resolution),
  ],
  check: checkEntry,
});

/** Istio's rules between resolution, hosts and endpoints. */
function checkEntry(object: JsonObject, report: Report): void {
  const resolution = member(object, "spec", "resolution") ?? "NONE";
  const endpoints = items(member(object, "spec", "endpoints"));
  const hasSelector = member(object, "spec", "workloadSelector") !== undefined;
  const hasNone = endpoints.length === 0 && !hasSelector;
  if (resolution === "STATIC" && hasNone) {
    report({
      code: "GL0104",
      path: ["spec"],
      says: "needs endpoints or a workloadSelector, because resolution is STATIC",
      remedy: "List the endpoints' addresses, or write resolution: DNS.",
    });
  }
  if (resolution === "NONE" && endpoints.length > 0) {
    report({
      code: "GL0119",
      path: ["spec", "endpoints"],
      says: "has no meaning with resolution NONE, which calls the address that the app dialled",
      remedy: "Write resolution: STATIC or DNS, or take the endpoints away.",
    });
  }
  const isDns = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
  if (isDns && hasNone) checkNames(object, report);
  if (resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1) {
    report({
      code: "GL0119",
      path: ["spec", "endpoints"],
      says: "may have one endpoint only with resolution DNS_ROUND_ROBIN",
      remedy: "Write resolution: DNS.",
    });
  }
  endpoints.forEach((endpoint, index) => {
    checkEndpoint(object, { endpoint, path: ["spec", "endpoints", index], isDns }, report);
  });
}

/** The hosts themselves are looked up. */
function checkNames(object: JsonObject, report: Report): void {
  items(member(object, "spec", "hosts")).forEach((host, index) => {
    if (typeof host !== "string" || !host.includes("*")) return;
    report({
      code: "GL0119",
      path: ["spec", "hosts", index],
      says: "has a wildcard, which DNS cannot be asked for",
      remedy: "List endpoints with names, or write each host.",
    });
  });
}

interface FoundEndpoint {
  readonly endpoint: unknown;
  readonly path: Path;
  readonly isDns: boolean;
}

function checkEndpoint(
  object: JsonObject,
  { endpoint, path, isDns }: FoundEndpoint,
  report: Report,
): void {
  const address = member(endpoint, "address");
  if (address === undefined) {
    report({ code: "GL0104", path, says: "needs an address", remedy: "Write an IP address." });
  }
  if (typeof address === "string" && !isDns && !isAddress(address) && !isUnixAddress(address)) {
    report({
      code: "GL0119",
      path: [...path, "address"],
      says: "is a name, which resolution STATIC does not look up",
      remedy: "Write an IP address, or resolution: DNS.",
    });
  }
  const names = items(member(object, "spec", "ports")).map((each) => member(each, "name"));
  for (const name of Object.keys(member(endpoint, "ports") ?? {})) {
    if (names.includes(name)) continue;
    report({
      code: "GL0119",
      path: [...path, "ports", name],
      says: "is the name of no port of the ServiceEntry",
      remedy: "Write the name that stands under spec.ports.",
    });
  }
}
