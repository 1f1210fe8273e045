//! Looks names up for plug-ins: addresses as they are, then IPv6, then IPv4, as Envoy's AUTO.

import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import type { DnsLookUp, DnsRecord } from "../../wasm/dns-calls.ts";

const SERVER_TIMEOUT_MS = 2_000;
const TRIES = 2;
/** Special names that no server is asked for (RFC 6761 sections 6.3 and 6.4). */
const LOCALHOST = /(^|\.)localhost\.?$/i;
const INVALID = /(^|\.)invalid\.?$/i;

export function nameLookUp(): DnsLookUp {
  const resolver = new Resolver({ timeout: SERVER_TIMEOUT_MS, tries: TRIES });
  return (name, onDone) => {
    recordsOf(resolver, name).then(onDone, () => {
      onDone(null);
    });
  };
}

async function recordsOf(resolver: Resolver, name: string): Promise<DnsRecord[]> {
  if (isIP(name) !== 0) return [{ address: name, ttlSeconds: 0 }];
  if (LOCALHOST.test(name)) return [{ address: "::1", ttlSeconds: 0 }];
  if (name === "" || INVALID.test(name)) return [];
  for (const ask of [
    () => resolver.resolve6(name, { ttl: true }),
    () => resolver.resolve4(name, { ttl: true }),
  ]) {
    const records = await ask().catch(() => []);
    if (records.length > 0) {
      return records.map(({ address, ttl }) => ({ address, ttlSeconds: ttl }));
    }
  }
  // Of files and search lists the system tells no time to live.
  const found = await lookup(name, { all: true, verbatim: true }).catch(nothingFound);
  const six = found.filter(({ family }) => family === 6);
  return (six.length > 0 ? six : found).map(({ address }) => ({ address, ttlSeconds: 0 }));
}

/** That there is no such name is an answer; any other failure is none. */
function nothingFound(error: NodeJS.ErrnoException): [] {
  if (error.code === "ENOTFOUND" || error.code === "ENODATA") return [];
  throw error;
}
