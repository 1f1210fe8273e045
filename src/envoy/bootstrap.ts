//! Envoy's bootstrap to a snapshot: the static subset that plug-in examples use.
//!
//! What is not supported is refused with its place, never passed over: a filter that did not run
//! would be worse than an error.

import type { ProxyNode } from "../snapshot/proxy-node.ts";
import type { Gateway, Plugin, RouteTable, Snapshot } from "../snapshot/snapshot.ts";
import { EMPTY_SNAPSHOT } from "../snapshot/snapshot.ts";
import { snapshotVersion } from "../snapshot/delta.ts";
import { Cursor } from "../resources/cursor.ts";
import type { Fault } from "../resources/fault.ts";
import { parseManifests } from "../resources/parse.ts";
import { NO_ACCESS_LOG } from "./access-log.ts";
import type { AccessLogSettings } from "./access-log.ts";
import { choiceWord, ENVOY_CODES, fieldName, isAnything, readSocketAddress } from "./common.ts";
import type { Address } from "./common.ts";
import { readClusters } from "./clusters.ts";
import { joinEqualPlugins } from "./equal-plugins.ts";
import { readListener } from "./listeners.ts";
import { readNode } from "./node.ts";
import { readStatTags } from "./stats-config.ts";
import type { StatTag } from "../telemetry/stat-tags.ts";
import type { CodeResolver } from "./wasm-filter.ts";
import { readWasmServices } from "./wasm-services.ts";

export interface EnvoyListener {
  readonly name: string;
  readonly address: Address;
}

export interface EnvoyBootstrap {
  /** Of each worker. */
  readonly snapshot: Snapshot;
  /** What one process alone runs beside them: services that are singletons. Null: none. */
  readonly singletons: Snapshot | null;
  /** As it stands in the file. */
  readonly document: unknown;
  readonly node: ProxyNode;
  readonly listeners: readonly EnvoyListener[];
  readonly clusters: readonly string[];
  /** Null: the bootstrap has no admin. */
  readonly admin: Address | null;
  readonly accessLog: AccessLogSettings;
  readonly statTags: readonly StatTag[];
}

const FIELDS = [
  ...["node", "admin", "static_resources", "layered_runtime", "bootstrap_extensions"],
  ...["stats_config", "stats_flush_interval"],
];
const ADMIN_FIELDS = ["address", "access_log_path", "profile_path", "access_log"];

/** Null with an error. `file` is named in faults. */
export function importBootstrap(
  text: string,
  file: string,
  resolveCode: CodeResolver,
): { readonly bootstrap: EnvoyBootstrap | null; readonly faults: readonly Fault[] } {
  const { documents, faults: syntax } = parseManifests(text, file);
  const faults = [...syntax];
  const [document] = documents;
  if (document === undefined) {
    if (faults.length === 0) faults.push(emptyFault(file));
    return { bootstrap: null, faults };
  }
  const spelling = { codes: ENVOY_CODES, fieldName, choiceWord, listOfOne: true as const };
  const source = { positionOf: document.positionOf, faults, ...spelling };
  const bootstrap = readBootstrap(new Cursor(source, document.value), resolveCode);
  if (faults.some(isError)) return { bootstrap: null, faults };
  return { bootstrap: { ...bootstrap, document: document.value }, faults };
}

function isError({ severity }: Fault): boolean {
  return severity === "error";
}

function emptyFault(file: string): Fault {
  return {
    ...{ severity: "error", code: ENVOY_CODES.wrong, path: "", object: null },
    message: "the file holds no configuration",
    remedy: "Write Envoy's bootstrap, with static_resources.",
    position: { file, line: 1, column: 1 },
  };
}

function readBootstrap(root: Cursor, resolveCode: CodeResolver): Omit<EnvoyBootstrap, "document"> {
  const isMap = root.isMap(FIELDS);
  const node = readNode(root.at("node"));
  isAnything(root.at("layered_runtime"), ["layers"]);
  const resources = root.at("static_resources");
  if (isMap) resources.isMap(["listeners", "clusters"]);
  const { clusters, endpoints } = readClusters(resources.at("clusters"));
  const listeners = readListeners(resources.at("listeners"), {
    clusters: new Set(Object.keys(clusters)),
    resolveCode,
  });
  const services = readWasmServices(root.at("bootstrap_extensions"), resolveCode);
  const { gateways, plugins } = joinEqualPlugins({
    gateways: listeners.parts.gateways,
    plugins: { ...listeners.parts.plugins, ...services.everywhere },
  });
  const { routeTables } = listeners.parts;
  if (listeners.list.length === 0 && root.at("bootstrap_extensions").items().length === 0) {
    resources.at("listeners").wrong("a list of at least one listener");
  }
  const { singletons } = services;
  const hasSingletons = Object.keys(singletons).length > 0;
  const names = Object.keys(clusters);
  const { list, accessLog } = listeners;
  return {
    snapshot: versioned({ gateways, routeTables, plugins, clusters, endpoints }),
    singletons: hasSingletons ? versioned({ plugins: singletons, clusters, endpoints }) : null,
    listeners: list,
    clusters: names,
    node,
    admin: readAdmin(root.at("admin")),
    statTags: readStatTags(root.at("stats_config")),
    accessLog,
  };
}

function versioned(parts: Partial<Snapshot>): Snapshot {
  const content = { ...EMPTY_SNAPSHOT, ...parts };
  return { ...content, version: snapshotVersion(content) };
}

function readAdmin(cursor: Cursor): Address | null {
  if (cursor.isAbsent) return null;
  cursor.isMap(ADMIN_FIELDS);
  const address = cursor.at("address");
  return address.isAbsent ? null : readSocketAddress(address);
}

interface Read {
  readonly parts: {
    readonly gateways: Record<string, Gateway>;
    readonly routeTables: Record<string, RouteTable>;
    readonly plugins: Record<string, Plugin>;
  };
  readonly list: readonly EnvoyListener[];
  readonly accessLog: AccessLogSettings;
}

function readListeners(
  cursor: Cursor,
  known: { readonly clusters: ReadonlySet<string>; readonly resolveCode: CodeResolver },
): Read {
  const parts: Read["parts"] = { gateways: {}, routeTables: {}, plugins: {} };
  const list: EnvoyListener[] = [];
  let accessLog = NO_ACCESS_LOG;
  for (const [index, item] of cursor.items().entries()) {
    const read = readListener(item, { ...known, index });
    const { gateway, table, address } = read;
    if (list.some((other) => other.address.port === address.port)) {
      item.at("address").fault(ENVOY_CODES.wrong, `port ${address.port} is taken twice`);
    }
    if (Object.hasOwn(parts.gateways, gateway.name)) {
      item.at("name").wrong("a name that no other listener has");
    }
    if (read.accessLog.path !== "" && accessLog.path !== "") {
      checkSameLog(item, read.accessLog, accessLog);
    }
    parts.gateways[gateway.name] = gateway;
    parts.routeTables[table.name] = table;
    for (const plugin of read.plugins) parts.plugins[plugin.name] = plugin;
    list.push({ name: gateway.name, address });
    if (read.accessLog.path !== "") accessLog = read.accessLog;
  }
  return { parts, list, accessLog };
}

function checkSameLog(item: Cursor, one: AccessLogSettings, other: AccessLogSettings): void {
  if (one.path === other.path && one.format === other.format) return;
  const how = one.path === other.path ? " in another form" : "";
  const message = `${item.place} logs to ${one.path}${how}, another one to ${other.path}`;
  item.fault(ENVOY_CODES.unknown, message, "Give all listeners one access log.");
}
