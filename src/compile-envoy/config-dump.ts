//! What an Envoy is told, as its own `/config_dump` says it: `envoy.admin.v3.ConfigDump`, so that
//! what reads that (`istioctl proxy-config --file`) reads ours.

import { contentHash } from "../base/canonical-json.ts";
import type { Json, JsonObject } from "../base/json.ts";
import type { Fault } from "../resources/fault.ts";
import { RESOURCE_TYPES, TYPE_URLS } from "./envoy-config.ts";
import type { ResourceType } from "./envoy-config.ts";

/** What became of a resource at the Envoy (`envoy.admin.v3.ClientResourceStatus`). */
export type ClientStatus = "REQUESTED" | "ACKED" | "NACKED";

export interface DumpedResource {
  readonly name: string;
  /** What it runs, or is to run; null: it has refused it and had none before. */
  readonly json: JsonObject | null;
  readonly status: ClientStatus;
  /** Of what it refused: its own words, and that resource. */
  readonly error?: { readonly details: string; readonly json: JsonObject };
}

export interface DumpedNode {
  readonly id: string;
  readonly resources: Readonly<Record<ResourceType, readonly DumpedResource[]>>;
  /** RFC 3339. */
  readonly updatedAt: string;
  /** What Envoy cannot do, so that it is in no resource: in the node's metadata. */
  readonly omitted: readonly string[];
}

/** For people: whose and what. */
export function omissionsOf(refusals: readonly Fault[]): string[] {
  return refusals.map(({ object, message }) => {
    const { kind = "", namespace = "", name = "" } = object ?? {};
    return `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}: ${message}`;
  });
}

const ADMIN = "type.googleapis.com/envoy.admin.v3";

interface Section {
  readonly dump: string;
  readonly list: string;
  /** The field that holds the resource. */
  readonly field: string;
  /** Listeners have their states one level below their names. */
  readonly state?: string;
}

const SECTIONS: Readonly<Record<ResourceType, Section>> = {
  clusters: { dump: "ClustersConfigDump", list: "dynamic_active_clusters", field: "cluster" },
  endpoints: {
    ...{ dump: "EndpointsConfigDump", list: "dynamic_endpoint_configs", field: "endpoint_config" },
  },
  listeners: {
    ...{ dump: "ListenersConfigDump", list: "dynamic_listeners", field: "listener" },
    state: "active_state",
  },
  secrets: { dump: "SecretsConfigDump", list: "dynamic_active_secrets", field: "secret" },
  extensions: { dump: "EcdsConfigDump", list: "ecds_filters", field: "ecds_filter" },
  routes: { dump: "RoutesConfigDump", list: "dynamic_route_configs", field: "route_config" },
};

/** Endpoints are in it only when asked for, as in Envoy (`?include_eds`). */
export function configDump(node: DumpedNode, withEndpoints: boolean): JsonObject {
  const types = RESOURCE_TYPES.filter((type) => withEndpoints || type !== "endpoints");
  return {
    configs: [
      {
        "@type": `${ADMIN}.BootstrapConfigDump`,
        bootstrap: { node: nodeOf(node) },
        last_updated: node.updatedAt,
      },
      ...types.map((type) => sectionOf(type, node)),
    ],
  };
}

/** Of a bootstrap that holds everything: each section is what the file has of it. */
export function staticDump(bootstrap: unknown, startedAt: string): JsonObject {
  const document = memberOf(withoutSecrets(bootstrap));
  const resources = memberOf(document["static_resources"] ?? document["staticResources"]);
  const entries = (type: ResourceType): JsonObject[] =>
    itemsOf(resources[type]).map((resource) => ({
      [SECTIONS[type].field]: { "@type": TYPE_URLS[type], ...resource },
      last_updated: startedAt,
    }));
  return {
    configs: [
      {
        "@type": `${ADMIN}.BootstrapConfigDump`,
        ...{ bootstrap: document, last_updated: startedAt },
      },
      { "@type": `${ADMIN}.ClustersConfigDump`, static_clusters: entries("clusters") },
      { "@type": `${ADMIN}.ListenersConfigDump`, static_listeners: entries("listeners") },
    ],
  };
}

/** Envoy's own word for what it does not show. */
const REDACTED = { inline_string: "[redacted]" };
const SECRET_FIELDS = new Set(["private_key", "privateKey", "password"]);

function withoutSecrets(value: unknown): unknown {
  if (value === null || typeof value !== "object") return value;
  return JSON.parse(
    JSON.stringify(value, (name, member: unknown) => (SECRET_FIELDS.has(name) ? REDACTED : member)),
  ) as unknown;
}

function memberOf(value: unknown): JsonObject {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? (value as JsonObject) : {};
}

function itemsOf(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.map(memberOf) : [];
}

function nodeOf({ id, omitted }: DumpedNode): JsonObject {
  const metadata = omitted.length === 0 ? {} : { metadata: { graylane: { omitted } } };
  return { id, cluster: "graylane", ...metadata };
}

function sectionOf(type: ResourceType, { resources, updatedAt }: DumpedNode): JsonObject {
  const { dump, list } = SECTIONS[type];
  const shown = type === "secrets" ? resources[type].map(shownSecret) : resources[type];
  const entries = shown.map((resource) => entryOf(type, resource, updatedAt));
  return { "@type": `${ADMIN}.${dump}`, [list]: entries };
}

/** As Envoy shows one: without its key. */
function shownSecret({ json, error, ...rest }: DumpedResource): DumpedResource {
  const shown = (content: JsonObject): JsonObject => memberOf(withoutSecrets(content));
  return {
    ...{ ...rest, json: json === null ? null : shown(json) },
    ...(error === undefined ? {} : { error: { ...error, json: shown(error.json) } }),
  };
}

function entryOf(type: ResourceType, resource: DumpedResource, updatedAt: string): JsonObject {
  const { name, json, status, error } = resource;
  const { field, state } = SECTIONS[type];
  const typed = (content: JsonObject): JsonObject => ({ "@type": TYPE_URLS[type], ...content });
  const version = (content: JsonObject): Readonly<Record<string, Json>> => ({
    ...{ version_info: contentHash(content), last_updated: updatedAt },
  });
  const config = json === null ? {} : { ...version(json), [field]: typed(json) };
  const failed =
    error === undefined
      ? {}
      : {
          error_state: {
            failed_configuration: typed(error.json),
            last_update_attempt: updatedAt,
            details: error.details,
            version_info: contentHash(error.json),
          },
        };
  const place = state === undefined ? config : { name, [state]: config };
  return { ...place, ...failed, client_status: status };
}
