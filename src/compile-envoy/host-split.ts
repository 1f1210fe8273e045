//! Divides virtual hosts by lists of hosts that do not follow their domains: those that are sent to
//! https, those that one certificate stands for.

import type { VirtualHost } from "../snapshot/snapshot.ts";

/** A part of a virtual host whose domains are all among the hosts, or all not. */
export interface HostPart {
  readonly domains: readonly string[];
  readonly isAmong: boolean;
  /** Null: none takes these domains. */
  readonly virtualHost: VirtualHost | null;
}

/**
 * Each of `patterns` becomes a domain of its own with the routes that it had: of those that take a
 * host, the most specific domain counts, to Envoy as to us.
 */
export function splitHosts(
  virtualHosts: readonly VirtualHost[],
  patterns: readonly string[],
): HostPart[] {
  const owners = new Map<string, VirtualHost>();
  for (const virtualHost of virtualHosts) {
    for (const domain of virtualHost.domains) {
      if (!owners.has(domain)) owners.set(domain, virtualHost);
    }
  }
  const parts = new Map<VirtualHost | null, Record<"among" | "others", string[]>>();
  for (const domain of new Set([...owners.keys(), ...patterns])) {
    const owner = owners.get(domain) ?? widerOwner(domain, owners);
    const part = parts.get(owner) ?? { among: [], others: [] };
    parts.set(owner, part);
    part[patterns.some((pattern) => covers(pattern, domain)) ? "among" : "others"].push(domain);
  }
  return [...parts].flatMap(([virtualHost, { among, others }]) => [
    ...(among.length === 0 ? [] : [{ domains: among, isAmong: true, virtualHost }]),
    ...(others.length === 0 ? [] : [{ domains: others, isAmong: false, virtualHost }]),
  ]);
}

/** The whole of the domain's hosts are taken by the pattern. */
export function covers(pattern: string, domain: string): boolean {
  if (pattern === "*" || pattern === domain) return true;
  return pattern.startsWith("*.") && domain.endsWith(pattern.slice(1));
}

function widerOwner(domain: string, owners: ReadonlyMap<string, VirtualHost>): VirtualHost | null {
  for (let rest = domain.replace(/^\*\./, ""); rest.includes(".");) {
    rest = rest.slice(rest.indexOf(".") + 1);
    const owner = owners.get(`*.${rest}`);
    if (owner !== undefined) return owner;
  }
  return owners.get("*") ?? null;
}
