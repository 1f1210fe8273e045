//! Whether an address is in one of some networks, for askers who come again and again.

import { isWithinOneOf } from "./operators.ts";

/** Addresses whose answer is remembered; when there are as many, all are forgotten. */
export const ADDRESSES_MAX = 1_024;
/** The longest form of an address, IPv6 with IPv4 at its end; a longer text is none. */
const ADDRESS_CHARS_MAX = 45;

export function allowedAddresses(networks: readonly string[]): (address: string) => boolean {
  const isWithin = isWithinOneOf(networks);
  const known = new Map<string, boolean>();
  return (address) => {
    const answer = known.get(address);
    if (answer !== undefined) return answer;
    if (address.length > ADDRESS_CHARS_MAX) return false;
    const isAllowed = isWithin(address);
    if (known.size >= ADDRESSES_MAX) known.clear();
    // A copy: the address may be a slice that keeps a whole message's text alive.
    known.set(Buffer.from(address, "latin1").toString("latin1"), isAllowed);
    return isAllowed;
  };
}
