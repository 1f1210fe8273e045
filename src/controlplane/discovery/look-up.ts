//! Asks the machine's DNS for the addresses of a name.

import { askMachineDns } from "../../base/machine-dns.ts";
import type { FoundAddresses } from "./name-resolver.ts";

/** The system's own look-up says no TTL: Envoy's refresh rate. */
const SYSTEM_TTL_SECONDS = 5;

/** IPv4 where there is any, else IPv6, with the shortest TTL; else what the system itself says. */
export async function lookUpByDns(name: string): Promise<FoundAddresses> {
  const found = await askMachineDns(name, [4, 6]);
  const seconds = found.map(({ ttlSeconds }) => ttlSeconds ?? SYSTEM_TTL_SECONDS);
  return { addresses: found.map(({ address }) => address), ttlSeconds: Math.min(...seconds) };
}
