//! Options for `net.connect`, within those of `http.request` and `http2.connect`, that lead to the
//! endpoints of a hop: the first that takes the connection has it.

import { isIP } from "node:net";
import type { Endpoint } from "../../snapshot/snapshot.ts";
import type { Hop } from "./hops.ts";

/** How long one endpoint may take to accept, while there is another. */
const ATTEMPT_TIMEOUT_MS = 1_000;
/** More are not tried for one call. */
const ATTEMPTS_MAX = 5;

interface Address {
  readonly address: string;
  readonly family: number;
}

type Found = (error: Error | null, address?: unknown, family?: number) => void;
type Lookup = (host: string, options: { readonly all?: boolean }, found: Found) => void;

export interface DialOptions {
  readonly host: string;
  readonly hostname: string;
  readonly port: number;
  readonly lookup?: Lookup;
  readonly autoSelectFamily?: boolean;
  readonly autoSelectFamilyAttemptTimeout?: number;
}

/** At most so many tries, the first included. */
export function triesOf(hop: Hop): readonly Endpoint[] {
  return hop.endpoints.slice(0, ATTEMPTS_MAX);
}

export function dialOptions(hop: Hop): DialOptions {
  const first = hop.endpoints[0];
  if (first === undefined) return failingDial(hop.failure ?? new Error("no endpoint"));
  // Node tries several addresses of one host, with one port.
  const alike = triesOf(hop).filter(({ port }) => port === first.port);
  const { address: host, port } = first;
  if (alike.length === 1) return { host, hostname: host, port };
  const addresses = alike.map(({ address }) => ({ address, family: isIP(address) }));
  // Not the address itself, which is not looked up. Connections are kept for reuse by this name.
  const name = `${host.replaceAll(":", "-")}.endpoint.local`;
  return {
    host: name,
    hostname: name,
    port,
    lookup: lookupOf(addresses),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ATTEMPT_TIMEOUT_MS,
  };
}

function lookupOf(addresses: readonly Address[]): Lookup {
  return (_host, { all }, found) => {
    const [first] = addresses;
    process.nextTick(() => {
      if (all === true) found(null, addresses);
      else found(null, first?.address, first?.family);
    });
  };
}

function failingDial(failure: Error): DialOptions {
  const host = "no-endpoint.local";
  const lookup: Lookup = (_host, _options, found) => {
    process.nextTick(() => {
      found(failure);
    });
  };
  return { host, hostname: host, port: 1, lookup };
}
