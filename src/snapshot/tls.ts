//! TLS of a listener. Private keys travel to the workers in here, and are printed nowhere.

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** One certificate with the server names it is for. */
export interface TlsServer {
  /** Lower-case patterns: `*`, `*.example.com`, `example.com`. */
  readonly hosts: readonly string[];
  /** PEM, the chain included. */
  readonly certificate: string;
  /** PEM. */
  readonly privateKey: string;
  /** PEM of the authorities whose client certificates are asked for; `""`: none is asked for. */
  readonly clientCa: string;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
}

/** Of `TlsServer` and of `SignatureKey`. */
const SECRET_FIELDS: readonly string[] = ["privateKey", "signingSecret"];

/** A replacer for `JSON.stringify`: what is printed of a snapshot has no key in it. */
export function withoutKeys(name: string, value: unknown): unknown {
  return SECRET_FIELDS.includes(name) ? "(not shown)" : value;
}
