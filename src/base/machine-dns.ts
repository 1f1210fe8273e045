//! The addresses of a name: of the machine's DNS, else of the system itself (files, search lists).

import { lookup, Resolver } from "node:dns/promises";

const SERVER_TIMEOUT_MS = 2_000;
const TRIES = 2;

export interface DnsAddress {
  readonly address: string;
  /** Null: the system has found it, and says none. */
  readonly ttlSeconds: number | null;
}

type Family = 4 | 6;

let resolver: Resolver | null = null;

/** Of the first family that has any. Rejects with the system's error when there is none at all. */
export async function askMachineDns(
  name: string,
  families: readonly [Family, Family],
): Promise<DnsAddress[]> {
  resolver ??= new Resolver({ timeout: SERVER_TIMEOUT_MS, tries: TRIES });
  for (const family of families) {
    const asked =
      family === 4
        ? resolver.resolve4(name, { ttl: true })
        : resolver.resolve6(name, { ttl: true });
    const records = await asked.catch(() => []);
    if (records.length > 0) {
      return records.map(({ address, ttl }) => ({ address, ttlSeconds: ttl }));
    }
  }
  const found = await lookup(name, { all: true, verbatim: true });
  const first = found.filter(({ family }) => family === families[0]);
  return (first.length > 0 ? first : found).map(({ address }) => ({ address, ttlSeconds: null }));
}
