//! Looks names up for plug-ins: addresses as they are, then IPv6, then IPv4, as Envoy's AUTO.

import { isIP } from "node:net";
import { askMachineDns } from "../../base/machine-dns.ts";
import type { DnsLookUp, DnsRecord } from "../../wasm/dns-calls.ts";

/** Special names that no server is asked for (RFC 6761 sections 6.3 and 6.4). */
const LOCALHOST = /(^|\.)localhost\.?$/i;
const INVALID = /(^|\.)invalid\.?$/i;

export function nameLookUp(): DnsLookUp {
  return (name, onDone) => {
    recordsOf(name).then(onDone, () => {
      onDone(null);
    });
  };
}

async function recordsOf(name: string): Promise<DnsRecord[]> {
  if (isIP(name) !== 0) return [{ address: name, ttlSeconds: 0 }];
  if (LOCALHOST.test(name)) return [{ address: "::1", ttlSeconds: 0 }];
  if (name === "" || INVALID.test(name)) return [];
  const found = await askMachineDns(name, [6, 4]).catch(nothingFound);
  return found.map(({ address, ttlSeconds }) => ({ address, ttlSeconds: ttlSeconds ?? 0 }));
}

/** That there is no such name is an answer; any other failure is none. */
function nothingFound(error: NodeJS.ErrnoException): [] {
  if (error.code === "ENOTFOUND" || error.code === "ENODATA") return [];
  throw error;
}
