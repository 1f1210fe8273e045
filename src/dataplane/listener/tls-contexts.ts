//! The certificates of one listener, found by the server name that a client asks for (SNI).

import { constants } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { SecureContext, SecureContextOptions } from "node:tls";
import type { TlsServer } from "../../snapshot/tls.ts";

export interface TlsChoice {
  readonly server: TlsServer;
  readonly context: SecureContext;
}

export class TlsContexts {
  readonly servers: readonly TlsServer[];
  /** Some server wants a client certificate, so the listener asks everybody for one. */
  readonly asksClients: boolean;
  readonly #choices: readonly TlsChoice[];

  /** Throws when OpenSSL refuses a certificate or key: the compiler has checked them. */
  constructor(servers: readonly TlsServer[]) {
    this.servers = servers;
    this.asksClients = servers.some(({ clientCa }) => clientCa !== "");
    this.#choices = servers.map((server) => ({
      server,
      context: createSecureContext(optionsOf(server)),
    }));
  }

  /** For a client that names no server: the certificate of `*`, or none at all. */
  withoutName(): SecureContextOptions {
    const server = this.choose("")?.server;
    // Node takes a resumed TLS 1.3 session for an authorized one: no tickets where it matters.
    const secureOptions = this.asksClients ? constants.SSL_OP_NO_TICKET : 0;
    return { ...(server === undefined ? {} : optionsOf(server)), secureOptions };
  }

  /** The exact name, else the longest wildcard, else `*`. Without a name only `*` is left. */
  choose(serverName: string): TlsChoice | null {
    const name = serverName.toLowerCase();
    let best: TlsChoice | null = null;
    let bestLength = -1;
    for (const choice of this.#choices) {
      for (const pattern of choice.server.hosts) {
        const length = matchLength(pattern, name);
        if (length <= bestLength) continue;
        best = choice;
        bestLength = length;
      }
    }
    return best;
  }
}

/** -1 when it does not match; an exact name outweighs every wildcard. */
function matchLength(pattern: string, name: string): number {
  if (pattern === "*") return 0;
  if (pattern === name) return Number.POSITIVE_INFINITY;
  const isUnder = pattern.startsWith("*.") && name.endsWith(pattern.slice(1));
  return isUnder && name.length >= pattern.length ? pattern.length : -1;
}

/** Does one of the patterns take this host? */
export function takesHost(patterns: readonly string[], host: string): boolean {
  return patterns.some((pattern) => matchLength(pattern, host) !== -1);
}

function optionsOf(server: TlsServer): SecureContextOptions {
  const { certificate, privateKey, clientCa, minVersion, maxVersion } = server;
  return {
    cert: certificate,
    key: privateKey,
    ...(clientCa === "" ? {} : { ca: clientCa }),
    minVersion,
    maxVersion,
  };
}
