//! Names that plug-ins look up (`envoy_resolve_dns`, an extension of Envoy's): what is asked of the
//! embedder, and what the callback `envoy_on_resolve_dns` can read.

import type { RootContext } from "./root-context.ts";
import type { Vm } from "./vm.ts";

export interface DnsRecord {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly ttlSeconds: number;
}

/** `onDone` comes later, once, and never from inside this function. Null: nobody could tell. */
export type DnsLookUp = (
  name: string,
  onDone: (records: readonly DnsRecord[] | null) => void,
) => void;

/** The look-ups of one root context that are under way. */
export class DnsTable {
  readonly #vm: Vm;
  readonly #open = new Set<number>();
  #lastToken = 0;

  constructor(vm: Vm) {
    this.#vm = vm;
  }

  /** Its token; null: as many calls are under way as may be. */
  start(root: RootContext, lookUp: DnsLookUp, name: string): number | null {
    const { callsOut } = this.#vm;
    const place = callsOut.begin(this.#vm.caller);
    if (place === null) return null;
    const token = this.#nextToken();
    this.#open.add(token);
    lookUp(name, (records) => {
      const tell = (): void => {
        callsOut.end(place);
        if (!this.#open.delete(token)) return;
        root.onResolveDns(token, records === null ? null : encodeRecords(records));
      };
      if (records === null) callsOut.fail(place, tell);
      else tell();
    });
    return token;
  }

  /** What is found meanwhile is told to nobody. */
  cancelAll(): void {
    this.#open.clear();
  }

  #nextToken(): number {
    do {
      this.#lastToken = (this.#lastToken + 1) >>> 0;
    } while (this.#lastToken === 0 || this.#open.has(this.#lastToken));
    return this.#lastToken;
  }
}

/**
 * Envoy's form: the count, the seconds to live of each, then the addresses with the port 0, each
 * with a zero byte behind it. Numbers are u32, little endian.
 */
export function encodeRecords(records: readonly DnsRecord[]): Uint8Array {
  const numbers = Buffer.alloc(4 + 4 * records.length);
  numbers.writeUInt32LE(records.length, 0);
  const texts = records.map(({ address, ttlSeconds }, index) => {
    numbers.writeUInt32LE(ttlSeconds, 4 + 4 * index);
    return address.includes(":") ? `[${address}]:0\0` : `${address}:0\0`;
  });
  return Buffer.concat([numbers, Buffer.from(texts.join(""), "latin1")]);
}
