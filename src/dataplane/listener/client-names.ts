//! Who a client is by its certificate (mTLS): the names in one that was verified.

import { TLSSocket } from "node:tls";
import type { Socket } from "node:net";
import type { TlsServer } from "../../snapshot/tls.ts";

/** Names of one certificate that are read; more are passed over. */
const NAMES_MAX = 100;
/** In Node's `subjectAltName`: a value with a comma or a quotation mark is quoted as JSON. */
const NAME = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;

export interface ClientNames {
  /** SANs of the type URI, SPIFFE's among them. */
  readonly uris: readonly string[];
  readonly dnsNames: readonly string[];
}

/** Null: no certificate was asked for, so none was verified. */
export type ClientNamesReader = () => ClientNames | null;

export const NO_CLIENT_NAMES: ClientNamesReader = () => null;

/** Reads the certificate when first asked: most requests never ask. */
export function clientNamesReader(socket: Socket, tlsServer: TlsServer | null): ClientNamesReader {
  if (tlsServer === null || tlsServer.clientCa === "") return NO_CLIENT_NAMES;
  let names: ClientNames | null | undefined;
  return () => {
    names ??= socket instanceof TLSSocket && socket.authorized ? namesOf(socket) : null;
    return names;
  };
}

function namesOf(socket: TLSSocket): ClientNames | null {
  const text = socket.getPeerX509Certificate()?.subjectAltName;
  return text === undefined ? null : parseNames(text);
}

/** Null when a part of it cannot be read: then nothing of it is believed. */
export function parseNames(text: string): ClientNames | null {
  const uris: string[] = [];
  const dnsNames: string[] = [];
  NAME.lastIndex = 0;
  for (let count = 0; NAME.lastIndex < text.length && count < NAMES_MAX; count += 1) {
    const found = NAME.exec(text);
    if (found === null) return null;
    const [, type, value = ""] = found;
    const name = value.startsWith('"') ? unquoted(value) : value;
    if (name === null) return null;
    if (type === "URI") uris.push(name);
    else if (type === "DNS") dnsNames.push(name);
  }
  return { uris, dnsNames };
}

function unquoted(text: string): string | null {
  try {
    return JSON.parse(text) as string;
  } catch {
    return null;
  }
}
