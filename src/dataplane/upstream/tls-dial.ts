//! Makes connections of TLS to endpoints, with one set of certificates, and says why one failed.

import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Socket } from "node:net";
import { connect, createSecureContext } from "node:tls";
import type { ConnectionOptions, PeerCertificate, SecureContext, TLSSocket } from "node:tls";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import { systemAuthorities } from "./system-authorities.ts";
import { unixPathOf } from "./upstream.ts";
import type { UpstreamFailureKind } from "./upstream.ts";

const NAMES_SHOWN_BYTES_MAX = 200;

/** PEM; `""`: the system's authorities, and no certificate of ours. */
export interface TlsMaterial {
  readonly authorities: string;
  readonly certificate: string;
  readonly privateKey: string;
}

/** Null: one that has no name in TLS. */
export type TlsProtocol = "http/1.1" | "h2" | null;

export class TlsDial {
  readonly #settings: UpstreamTls;
  readonly #context: SecureContext;

  /** Throws when OpenSSL refuses a certificate or key. */
  constructor(settings: UpstreamTls, { authorities, certificate, privateKey }: TlsMaterial) {
    this.#settings = settings;
    const ca = authorities === "" ? systemAuthorities() : authorities;
    this.#context = createSecureContext({
      ...(ca === null ? {} : { ca }),
      ...(certificate === "" ? {} : { cert: certificate, key: privateKey }),
      minVersion: "TLSv1.2",
    });
  }

  connect(address: string, port: number, protocol: TlsProtocol): TLSSocket {
    return this.#begin(whereOf(address, port), protocol);
  }

  /** On a connection that has been opened, or is being opened. */
  connectOver(socket: Socket, protocol: TlsProtocol): TLSSocket {
    return this.#begin({ socket }, protocol);
  }

  #begin(where: ConnectionOptions, protocol: TlsProtocol): TLSSocket {
    const { serverName, acceptedNames, isVerified } = this.#settings;
    const options = {
      ...where,
      secureContext: this.#context,
      servername: serverName,
      ...(protocol === null ? {} : { ALPNProtocols: [protocol] }),
      rejectUnauthorized: isVerified,
      checkServerIdentity: (_host: string, { raw }: PeerCertificate) => {
        return nameFault(raw, acceptedNames);
      },
      // As on plain connections: a tunnel's two sides end one after the other.
      allowHalfOpen: protocol === "http/1.1",
    };
    const socket = connect(options);
    socket.setNoDelay(true);
    return socket;
  }
}

/** Node takes a path in the place of host and port. */
function whereOf(address: string, port: number): ConnectionOptions {
  const path = unixPathOf(address);
  return path === null ? { host: address, port } : { path };
}

class NameFault extends Error {}

/** Undefined: the certificate is for one of the names. It throws nothing: nobody would catch it. */
function nameFault(raw: Buffer, names: readonly string[]): Error | undefined {
  try {
    return nameFaultOf(new X509Certificate(raw), names);
  } catch {
    return new NameFault("its certificate cannot be read");
  }
}

function nameFaultOf(certificate: X509Certificate, names: readonly string[]): Error | undefined {
  const uris = urisOf(certificate.subjectAltName ?? "");
  const isFor = (name: string): boolean =>
    isIP(name) !== 0
      ? certificate.checkIP(name) !== undefined
      : uris.includes(`URI:${name}`) ||
        certificate.checkHost(name, { subject: "never" }) !== undefined;
  if (names.some(isFor)) return undefined;
  const own = (certificate.subjectAltName ?? "").replaceAll(/[^\x20-\x7e]/g, "?");
  const shown = own === "" ? "no name" : own.slice(0, NAMES_SHOWN_BYTES_MAX);
  return new NameFault(`its certificate is for ${shown}, not for ${names.join(" or ")}`);
}

/** Node quotes an entry that could be mistaken for several: such a one is nobody's name. */
function urisOf(subjectAltName: string): string[] {
  const entries = subjectAltName.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  return entries.map((entry) => entry.trim());
}

const SENTENCES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  CERT_REVOKED: "its certificate has been revoked",
};
const UNKNOWN_AUTHORITY: ReadonlySet<string> = new Set([
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "CERT_REJECTED",
  "CERT_CHAIN_TOO_LONG",
  "PATH_LENGTH_EXCEEDED",
  "INVALID_CA",
  "INVALID_PURPOSE",
]);
const REFUSALS: readonly (readonly [pattern: RegExp, sentence: string])[] = [
  [/wrong.version.number|packet.length|http.request/i, "it does not speak TLS"],
  [/certificate.required/i, "it asks for a certificate of ours"],
  [/unknown.ca|bad.certificate|certificate.(unknown|expired|revoked)/i, "it refuses ours"],
  [/no.application.protocol/i, "it speaks another protocol (ALPN)"],
];

/** What a connection failed of, when that has to do with TLS; null: of something else. */
export function tlsFailure(error: NodeJS.ErrnoException): TlsFailure | null {
  const { code = "", message } = error;
  if (error instanceof NameFault) return { kind: "tls", detail: message };
  const sentence = SENTENCES[code];
  if (sentence !== undefined) return { kind: "tls", detail: sentence };
  if (UNKNOWN_AUTHORITY.has(code)) {
    return { kind: "tls", detail: `its certificate is of no authority that is trusted (${code})` };
  }
  if (code.startsWith("ERR_SSL_") || code === "EPROTO") {
    const text = `${code} ${message}`.replaceAll("_", " ");
    const known = REFUSALS.find(([pattern]) => pattern.test(text));
    return { kind: "tls", detail: `${known?.[1] ?? "the handshake failed"} (${code})` };
  }
  if (message.includes("before secure TLS connection was established")) {
    return { kind: "connect", detail: "closed during the TLS handshake" };
  }
  return null;
}

export interface TlsFailure {
  readonly kind: Extract<UpstreamFailureKind, "tls" | "connect">;
  readonly detail: string;
}
