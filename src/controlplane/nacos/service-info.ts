//! What Nacos says of one service, read and bounded.

import { isIP } from "node:net";
import { compareTexts } from "../../compile/messages.ts";
import type { RegistryInstance } from "../../compile/registry.ts";
import { isRecord } from "../publish/inputs.ts";
import type { JsonRecord } from "./payload.ts";

/** Of one service; further ones, by address, are left out. */
export const INSTANCES_MAX = 1_000;
/** Of one instance; further entries, by key, are left out. */
const METADATA_MAX = 64;
/** An entry with a longer key or value is left out. */
const METADATA_TEXT_MAX = 1_024;
/** Nacos' own upper limit. */
const WEIGHT_MAX = 10_000;
const PORT_MAX = 65_535;
const GROUP_SEPARATOR = "@@";
const HTTP2_PROTOCOLS: ReadonlySet<unknown> = new Set(["http2", "grpc", "h2c"]);

export interface ServiceInfo {
  /** When the server made it; 0: it does not say. */
  readonly madeMs: number;
  readonly isHttp2: boolean;
  /** The lowest of any instance, also of one that takes no requests; 0: there is none. */
  readonly port: number;
  /** Those that take requests. */
  readonly instances: readonly RegistryInstance[];
  /** Instances that have no IP address or no port, or are too many. */
  readonly leftOutCount: number;
}

interface ReadInstance extends RegistryInstance {
  readonly isServing: boolean;
}

/** Without the group that some servers put in front. */
export function plainName(name: string): string {
  const separator = name.indexOf(GROUP_SEPARATOR);
  return separator === -1 ? name : name.slice(separator + GROUP_SEPARATOR.length);
}

export function readServiceInfo(info: JsonRecord): ServiceInfo {
  const hosts = Array.isArray(info["hosts"]) ? (info["hosts"] as readonly unknown[]) : [];
  // The server has said that too few are healthy: all of them are to be used.
  const isProtected = info["reachProtectionThreshold"] === true;
  const read = hosts.map((host) => readInstance(host, isProtected));
  const found = read.filter((instance) => instance !== null).sort(compareInstances);
  const kept = found.slice(0, INSTANCES_MAX);
  const ports = found.map(({ port }) => port);
  return {
    madeMs: Number(info["lastRefTime"] ?? 0) || 0,
    isHttp2: HTTP2_PROTOCOLS.has(found[0]?.metadata["protocol"]?.toLowerCase()),
    port: ports.length === 0 ? 0 : Math.min(...ports),
    instances: kept.filter(({ isServing }) => isServing).map(withoutServing),
    leftOutCount: hosts.length - kept.length,
  };
}

function withoutServing({ address, port, weight, metadata }: ReadInstance): RegistryInstance {
  return { address, port, weight, metadata };
}

function compareInstances(a: ReadInstance, b: ReadInstance): number {
  return compareTexts(a.address, b.address) || a.port - b.port;
}

function readInstance(host: unknown, isProtected: boolean): ReadInstance | null {
  if (!isRecord(host)) return null;
  const { ip, port, healthy, enabled } = host;
  if (typeof ip !== "string" || isIP(ip) === 0 || !isPort(port)) return null;
  const share = shareOf(host["weight"]);
  const isHealthy = healthy !== false || isProtected;
  return {
    ...{ address: ip, port, weight: share, metadata: readMetadata(host["metadata"]) },
    isServing: isHealthy && enabled !== false && share > 0,
  };
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= PORT_MAX;
}

function shareOf(weight: unknown = 1): number {
  return typeof weight === "number" && weight > 0 ? Math.min(weight, WEIGHT_MAX) : 0;
}

function readMetadata(metadata: unknown): Readonly<Record<string, string>> {
  if (!isRecord(metadata)) return {};
  const entries = Object.entries(metadata)
    .filter((entry): entry is [string, string] => typeof entry[1] === "string")
    .filter(([key, value]) => Math.max(key.length, value.length) <= METADATA_TEXT_MAX)
    .sort(([a], [b]) => compareTexts(a, b));
  return Object.fromEntries(entries.slice(0, METADATA_MAX));
}
