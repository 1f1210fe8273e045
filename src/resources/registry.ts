//! Every kind that Graylane knows, and the ways to find one.

import type { KindInfo } from "./kinds/kind.ts";
import { API_GATEWAY } from "./kinds/api-gateway.ts";
import { ASM_SWIM_LANE } from "./kinds/asm-swim-lane.ts";
import { ASM_SWIM_LANE_GROUP } from "./kinds/asm-swim-lane-group.ts";
import { ASM_HEADER_PROPAGATION } from "./kinds/asm-header-propagation.ts";
import { CONFIG_MAP } from "./kinds/config-map.ts";
import { DEPLOYMENT } from "./kinds/deployment.ts";
import { DESTINATION_RULE } from "./kinds/destination-rule.ts";
import { ENDPOINT_SLICE } from "./kinds/endpoint-slice.ts";
import { GATEWAY } from "./kinds/gateway.ts";
import { GATEWAY_CLASS } from "./kinds/gateway-class.ts";
import { GRPC_ROUTE } from "./kinds/grpc-route.ts";
import { HTTP_ROUTE } from "./kinds/http-route.ts";
import { INGRESS } from "./kinds/ingress.ts";
import { HIGRESS_WASM_PLUGIN } from "./kinds/higress-wasm-plugin.ts";
import { LANE } from "./kinds/lane.ts";
import { LANE_GROUP } from "./kinds/lane-group.ts";
import { MCP_BRIDGE } from "./kinds/mcp-bridge.ts";
import { NAMESPACE } from "./kinds/namespace.ts";
import { POD } from "./kinds/pod.ts";
import { REFERENCE_GRANT } from "./kinds/reference-grant.ts";
import { CLUSTER_ROLE, ROLE } from "./kinds/role.ts";
import { CLUSTER_ROLE_BINDING, ROLE_BINDING } from "./kinds/role-binding.ts";
import { SECRET } from "./kinds/secret.ts";
import { SERVICE_ACCOUNT } from "./kinds/service-account.ts";
import { SERVICE } from "./kinds/service.ts";
import { SERVICE_ENTRY } from "./kinds/service-entry.ts";
import { TRAFFIC_EXTENSION } from "./kinds/traffic-extension.ts";
import { TRAFFIC_LABEL } from "./kinds/traffic-label.ts";
import { VIRTUAL_SERVICE } from "./kinds/virtual-service.ts";
import { WASM_PLUGIN } from "./kinds/wasm-plugin.ts";
import { WORKLOAD_ENTRY } from "./kinds/workload-entry.ts";

export type { Column, KindInfo } from "./kinds/kind.ts";

export const KINDS: readonly KindInfo[] = [
  NAMESPACE,
  SECRET,
  CONFIG_MAP,
  SERVICE_ACCOUNT,
  SERVICE,
  ENDPOINT_SLICE,
  POD,
  DEPLOYMENT,
  GATEWAY,
  DESTINATION_RULE,
  VIRTUAL_SERVICE,
  SERVICE_ENTRY,
  WORKLOAD_ENTRY,
  MCP_BRIDGE,
  INGRESS,
  GATEWAY_CLASS,
  API_GATEWAY,
  HTTP_ROUTE,
  GRPC_ROUTE,
  REFERENCE_GRANT,
  WASM_PLUGIN,
  TRAFFIC_EXTENSION,
  HIGRESS_WASM_PLUGIN,
  ASM_SWIM_LANE_GROUP,
  ASM_SWIM_LANE,
  TRAFFIC_LABEL,
  ASM_HEADER_PROPAGATION,
  LANE_GROUP,
  LANE,
  ROLE,
  CLUSTER_ROLE,
  ROLE_BINDING,
  CLUSTER_ROLE_BINDING,
];

/** The kind served at `/apis/<group>/.../<plural>` (`group` is `""` for the core group). */
export function kindByResource(group: string, plural: string): KindInfo | undefined {
  return KINDS.find((info) => info.group === group && info.plural === plural);
}

/** The kind of an object that says `apiVersion` and `kind`, when that version is served. */
export function kindByApiVersion(apiVersion: string, kind: string): KindInfo | undefined {
  const { group, version } = splitApiVersion(apiVersion);
  return KINDS.find(
    (info) => info.kind === kind && info.group === group && info.versions.includes(version),
  );
}

/**
 * The kind that a user means by a word: kind, plural, singular or short name in any case, or
 * `plural.group` when groups share a name.
 */
export function kindByName(userText: string): KindInfo | undefined {
  const word = userText.toLowerCase();
  return KINDS.find((info) => {
    const names = [info.plural, info.singular, info.kind.toLowerCase()];
    if (names.includes(word) || info.shortNames.includes(word)) return true;
    return names.some(
      (name) =>
        word === `${name}.${info.group}` ||
        info.versions.some((version) => word === `${name}.${version}.${info.group}`),
    );
  });
}

/** `networking.istio.io/v1` into group and version; the core group's `v1` has the group `""`. */
export function splitApiVersion(apiVersion: string): {
  readonly group: string;
  readonly version: string;
} {
  const slash = apiVersion.indexOf("/");
  if (slash === -1) return { group: "", version: apiVersion };
  return { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/** The apiVersion text of a kind at a version (its preferred one when none is given). */
export function apiVersionOf(info: KindInfo, version?: string): string {
  const chosen = version ?? info.versions[0] ?? "v1";
  return info.group === "" ? chosen : `${info.group}/${chosen}`;
}
