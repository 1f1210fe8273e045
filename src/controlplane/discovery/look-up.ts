//! Asks the machine's DNS for the addresses of a name.

import { lookup, Resolver } from "node:dns/promises";
import type { FoundAddresses } from "./name-resolver.ts";

const SERVER_TIMEOUT_MS = 2_000;
const TRIES = 2;
/** The system's own look-up (files, search lists) says no TTL: Envoy's refresh rate. */
const SYSTEM_TTL_SECONDS = 5;

const resolver = new Resolver({ timeout: SERVER_TIMEOUT_MS, tries: TRIES });

/** IPv4 where there is any, else IPv6, with the shortest TTL; else what the system itself says. */
export async function lookUpByDns(name: string): Promise<FoundAddresses> {
  for (const ask of [
    () => resolver.resolve4(name, { ttl: true }),
    () => resolver.resolve6(name, { ttl: true }),
  ]) {
    const records = await ask().catch(() => []);
    if (records.length === 0) continue;
    const ttlSeconds = Math.min(...records.map(({ ttl }) => ttl));
    return { addresses: records.map(({ address }) => address), ttlSeconds };
  }
  const found = await lookup(name, { all: true, verbatim: false });
  const four = found.filter(({ family }) => family === 4);
  const chosen = four.length > 0 ? four : found;
  return {
    addresses: chosen.map(({ address }) => address),
    ttlSeconds: SYSTEM_TTL_SECONDS,
  };
}
