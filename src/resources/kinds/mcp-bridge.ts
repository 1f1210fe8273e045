//! networking.higress.io McpBridge: registries whose services are called by name, as in Higress.
//!
//! <https://higress.cn/en/docs/latest/user/mcp-bridge/>

import Type from "../typebox.ts";
import type { Resource } from "../object.ts";
import { acceptedFields, notHonouredFields, oneOf, port, text } from "./fields.ts";
import { column, defineKind, described } from "./kind.ts";
import type { JsonObject, KindInfo, Report } from "./kind.ts";
import { items, member } from "./member.ts";
import { anyStatus } from "./pod-template.ts";

type RegistryType =
  "nacos" | "nacos2" | "nacos3" | "zookeeper" | "consul" | "eureka" | "static" | "dns";

export interface McpBridgeSpec {
  readonly registries?: readonly RegistrySpec[];
}

export interface RegistrySpec {
  readonly name: string;
  /** In Higress `nacos` is the client of version 1; here both use that of version 2. */
  readonly type: RegistryType;
  /** A host or an address. */
  readonly domain: string;
  /** Of the HTTP API; gRPC is at 1000 above. */
  readonly port: number;
  readonly protocol?: string;
  /** Absent: `public`. */
  readonly nacosNamespaceId?: string;
  readonly nacosGroups: readonly string[];
  /** A Secret of the McpBridge's namespace with `nacosUsername` and `nacosPassword`. */
  readonly authSecretName?: string;
}

export interface McpBridge extends Resource {
  readonly spec: McpBridgeSpec;
}

const NACOS_TYPES = ["nacos", "nacos2"] as const;
const TYPES = [
  ...NACOS_TYPES,
  ...(["nacos3", "zookeeper", "consul", "eureka", "static", "dns"] as const),
];
const REGISTRIES_MAX = 32;
const GROUPS_MAX = 32;
export const DEFAULT_GROUP = "DEFAULT_GROUP";

export function isNacos({ type }: RegistrySpec): boolean {
  return type === "nacos" || type === "nacos2";
}

const registry = Type.Object({
  name: text("dns-1123-label"),
  type: oneOf(TYPES, { honoured: NACOS_TYPES }),
  domain: text(),
  port: port(),
  protocol: Type.Optional(text("service-entry-protocol")),
  nacosNamespaceId: Type.Optional(Type.String()),
  nacosGroups: Type.Array(text(), { default: [DEFAULT_GROUP], maxItems: GROUPS_MAX }),
  authSecretName: Type.Optional(text("dns-subdomain")),
  // The name of the namespace is for the console; what changes is pushed.
  ...acceptedFields("nacosNamespace", "nacosRefreshInterval"),
  ...notHonouredFields("nacosAddressServer", "nacosAccessKey", "nacosSecretKey", "sni", "vport"),
  ...notHonouredFields("consulNamespace", "consulDatacenter", "consulServiceTag", "proxyName"),
  ...notHonouredFields("consulRefreshInterval", "zkServicesPath", "metadata", "enableMCPServer"),
  ...notHonouredFields("mcpServerBaseUrl", "mcpServerExportDomains", "enableScopeMcpServers"),
  ...notHonouredFields("allowMcpServers"),
});

const spec = Type.Object({
  registries: Type.Optional(Type.Array(registry, { maxItems: REGISTRIES_MAX, uniqueBy: ["name"] })),
  ...notHonouredFields("proxies"),
});

export const MCP_BRIDGE: KindInfo = defineKind({
  kind: "McpBridge",
  plural: "mcpbridges",
  singular: "mcpbridge",
  group: "networking.higress.io",
  versions: ["v1"],
  schema: Type.Object({ spec: described<McpBridgeSpec, typeof spec>(spec), status: anyStatus() }),
  columns: [
    column("REGISTRIES", ({ status, spec: own }) => {
      const found = items(member(status, "registries"));
      const names = items(member(own, "registries")).map((each) => member(each, "name"));
      if (found.length === 0) return names.map(String).join(",");
      const states = found.map((each) => `${word(each, "name")}:${word(each, "state")}`);
      return states.join(",");
    }),
    column("SERVICES", ({ status }) => total(status, "services")),
    column("INSTANCES", ({ status }) => total(status, "instances")),
  ],
  check: checkBridge,
});

function word(value: unknown, name: string): string {
  const found = member(value, name);
  return typeof found === "string" ? found : "";
}

function total(status: unknown, name: string): string {
  const counts = items(member(status, "registries")).map((each) => Number(member(each, name) ?? 0));
  return String(counts.reduce((sum, count) => sum + count, 0));
}

/** gRPC is at 1000 above. */
export const GRPC_PORT_OFFSET = 1_000;
const PORT_MAX = 65_535;

function checkBridge(object: JsonObject, report: Report): void {
  items(member(object, "spec", "registries")).forEach((each, index) => {
    const number = member(each, "port");
    const isOfNacos = NACOS_TYPES.some((type) => type === member(each, "type"));
    if (!isOfNacos || typeof number !== "number" || number <= PORT_MAX - GRPC_PORT_OFFSET) return;
    report({
      code: "GL0119",
      path: ["spec", "registries", index, "port"],
      says: `leaves no port for gRPC, which Nacos has at ${GRPC_PORT_OFFSET} above`,
      remedy: "Write the port of the HTTP API, usually 8848.",
    });
  });
}
