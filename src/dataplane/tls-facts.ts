//! What plug-ins may ask of a connection's TLS: version and certificates. They are parsed when
//! first asked for, as most never are; a socket that is closed has forgotten them, unless they
//! were held.

import type { X509Certificate } from "node:crypto";
import { TLSSocket } from "node:tls";
import type { Socket } from "node:net";
import { parseNames } from "./listener/client-names.ts";

/** As much of it as properties are read of. */
export interface TlsView {
  /** `TLSv1.3`; `""` when it is not known any more. */
  readonly version: string;
  /** The certificate that we have shown; null: none. */
  readonly local: CertificateFacts | null;
  /** The one that we were shown, whether it was verified or not. */
  readonly peer: CertificateFacts | null;
  readonly isPeerVerified: boolean;
}

export class TlsFacts implements TlsView {
  readonly #socket: TLSSocket;
  #version = "";
  #local: CertificateFacts | null = null;
  #peer: CertificateFacts | null = null;
  #held: { readonly local?: X509Certificate; readonly peer?: X509Certificate } | null = null;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
  }

  /**
   * While it is open: then it is known also when it is closed. It costs a microsecond, but our own
   * certificate some 150 µs, where there is one.
   */
  hold(withOwn: boolean): void {
    if (this.#held !== null) return;
    this.#version = this.#socket.getProtocol() ?? "";
    const local = withOwn ? this.#socket.getX509Certificate() : undefined;
    const peer = this.#socket.getPeerX509Certificate();
    this.#held = { ...(local && { local }), ...(peer && { peer }) };
  }

  get version(): string {
    if (this.#version === "") this.#version = this.#socket.getProtocol() ?? "";
    return this.#version;
  }

  get local(): CertificateFacts | null {
    this.#local ??= factsOf(this.#held?.local ?? this.#socket.getX509Certificate());
    return this.#local;
  }

  get peer(): CertificateFacts | null {
    this.#peer ??= factsOf(this.#held?.peer ?? this.#socket.getPeerX509Certificate());
    return this.#peer;
  }

  get isPeerVerified(): boolean {
    return this.#socket.authorized;
  }
}

/** Null: the connection is in clear. */
export function tlsFactsOf(socket: Socket): TlsFacts | null {
  return socket instanceof TLSSocket ? new TlsFacts(socket) : null;
}

export interface CertificateFacts {
  /** As RFC 2253 writes it. */
  readonly subject: string;
  /** The first of its kind; null: none. */
  readonly dnsName: string | null;
  readonly uri: string | null;
  /** Hexadecimal. */
  readonly sha256: string;
}

function factsOf(certificate: X509Certificate | undefined): CertificateFacts | null {
  if (certificate === undefined) return null;
  const names = parseNames(certificate.subjectAltName ?? "");
  return {
    subject: rfc2253(certificate.subject),
    dnsName: names?.dnsNames[0] ?? null,
    uri: names?.uris[0] ?? null,
    sha256: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

/**
 * Node has each name in a line, in the certificate's order, escaped but for what is not ASCII; RFC
 * 2253 has the last one first. Several names in one line are one part.
 */
export function rfc2253(subject: string | undefined): string {
  if (subject === undefined || subject === "") return "";
  const parts = subject.split("\n").map((line) => line.split(" + ").reverse().join("+"));
  return parts.reverse().map(escapeHighBytes).join(",");
}

function escapeHighBytes(text: string): string {
  return text.replaceAll(/[^\0-\x7f]+/g, (run) =>
    [...Buffer.from(run)].map((byte) => `\\${byte.toString(16).toUpperCase()}`).join(""),
  );
}
