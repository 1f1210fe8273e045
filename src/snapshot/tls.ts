//! TLS of a listener, and towards endpoints. Private keys travel to the workers in here, and are
//! printed nowhere.

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

/** How the endpoints of a cluster are spoken to in TLS. */
export interface UpstreamTls {
  /** Sent as SNI. */
  readonly serverName: string;
  /** The certificate must be for one of them: DNS names, addresses or URIs. Never empty. */
  readonly acceptedNames: readonly string[];
  /** False: any certificate will do. */
  readonly isVerified: boolean;
  /** PEM of the authorities; `""`: the system's, or those of `files`. */
  readonly authorities: string;
  /** PEM, the chain included; `""`: none is shown, or that of `files`. */
  readonly certificate: string;
  /** PEM. */
  readonly privateKey: string;
  /** Absent: none. The worker reads them, and reads them again when they have changed. */
  readonly files?: TlsFiles;
  /** Present: the settings cannot be used, and nothing is sent. */
  readonly fault?: string;
}

/** Paths from the root; absent: not in a file. */
export interface TlsFiles {
  readonly authorities?: string;
  readonly certificate?: string;
  readonly keyOfCertificate?: string;
}

/** Of `TlsServer`, of `UpstreamTls`, of `SignatureKey` and of `LaneGroup`. */
const SECRET_FIELDS: readonly string[] = ["privateKey", "signingSecret", "traceTokenDigest"];

/** A replacer for `JSON.stringify`: what is printed of a snapshot has no key in it. */
export function withoutKeys(name: string, value: unknown): unknown {
  return SECRET_FIELDS.includes(name) ? "(not shown)" : value;
}
