//! Users by client certificates, as `--client-ca-file` of a Kubernetes API server has them: the
//! common name is the user, the organizations are the groups.
//!
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/>, X509 certificates

import type { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { verifyChain } from "./certificate-chain.ts";
import { readCertificate, type ParsedCertificate } from "./parsed-certificate.ts";
import { readWhole, RereadFile } from "./reread-file.ts";
import { authenticated, type User } from "./user.ts";

const AUTHORITIES_MAX = 1_000;
const SENT_MAX = 10;
/** A refusal holds so long: a client that asks again and again costs no more signatures. */
const REFUSAL_MS = 1_000;
const BEGIN = "-----BEGIN CERTIFICATE-----";
const END = "-----END CERTIFICATE-----";
const CREDENTIAL_ID = "authentication.kubernetes.io/credential-id";

/** Whose a connection's certificate is. */
export interface CertificateSource {
  /** Null: there is none. A text: why it is refused. */
  userOf(socket: Socket, nowMs: number): User | string | null;
}

export type Authorities = readonly ParsedCertificate[];

/** A text: `FILE:LINE:` and what is wrong there. Text between certificates is passed over. */
export function parseAuthorities(text: string, path: string): Authorities | string {
  const found: ParsedCertificate[] = [];
  for (let at = text.indexOf(BEGIN); at !== -1; at = text.indexOf(BEGIN, at + 1)) {
    const where = `${path}:${text.slice(0, at).split("\n").length}`;
    const end = text.indexOf(END, at);
    if (end === -1) return `${where}:1: the certificate has no end`;
    try {
      found.push(readCertificate(text.slice(at, end + END.length)));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return `${where}:1: the certificate cannot be read: ${why}`;
    }
    if (found.length > AUTHORITIES_MAX) return `${path}: has more than ${AUTHORITIES_MAX}`;
  }
  return found.length > 0 ? found : `${path}:1:1: holds no certificate (PEM: ${BEGIN})`;
}

export function readAuthorities(path: string): Authorities | string {
  return readWhole(path, parseAuthorities);
}

/** What a connection's certificate came to, by which authorities, and for how long. */
interface Verdict {
  readonly authorities: Authorities;
  readonly user: User | string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/**
 * Each request is judged by the file as it is then: a connection does not outlive the authority
 * that let it in, nor a certificate's end.
 */
export class ClientCertificates implements CertificateSource {
  readonly #file: RereadFile<Authorities>;
  readonly #verdicts = new WeakMap<Socket, Verdict>();

  constructor(path: string, onFault: (fault: string) => void) {
    const reading = { parse: parseAuthorities, empty: [] };
    this.#file = new RereadFile<Authorities>(path, reading, onFault);
  }

  userOf(socket: Socket, nowMs: number): User | string | null {
    const own = certificateOf(socket);
    if (own === null) return null;
    const authorities = this.#file.content();
    const known = this.#verdicts.get(socket);
    if (known?.authorities === authorities && known.fromMs <= nowMs && nowMs <= known.untilMs) {
      return known.user;
    }
    const verdict = judge(own, authorities, nowMs);
    this.#verdicts.set(socket, verdict);
    return verdict.user;
  }
}

/** Null: the connection has none. */
export function certificateOf(socket: Socket): X509Certificate | null {
  return socket instanceof TLSSocket ? (socket.getPeerX509Certificate() ?? null) : null;
}

function judge(own: X509Certificate, authorities: Authorities, nowMs: number): Verdict {
  const chain = verified(own, authorities, nowMs);
  const user = typeof chain === "string" ? chain : userIn(chain);
  if (typeof chain === "string") {
    return { authorities, user, fromMs: nowMs, untilMs: nowMs + REFUSAL_MS };
  }
  return {
    ...{ authorities, user },
    fromMs: Math.max(...chain.map(({ notBeforeMs }) => notBeforeMs)),
    untilMs: Math.min(...chain.map(({ notAfterMs }) => notAfterMs)),
  };
}

function verified(
  own: X509Certificate,
  authorities: Authorities,
  nowMs: number,
): readonly ParsedCertificate[] | string {
  const sent: ParsedCertificate[] = [];
  try {
    let next: X509Certificate | undefined = own;
    for (; next !== undefined && sent.length < SENT_MAX; next = next.issuerCertificate) {
      sent.push(readCertificate(next.raw));
    }
  } catch (error) {
    return `it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }
  return verifyChain(sent, { authorities, nowMs });
}

/** Without a common name it is nobody's. */
function userIn([leaf]: readonly ParsedCertificate[]): User | string {
  if (leaf === undefined || leaf.subject.commonName === "") return "it has no common name";
  const { commonName: name, organizations: groups, uids } = leaf.subject;
  if (uids.length > 1) return "it has more than one UID";
  const id = leaf.x509.fingerprint256.replaceAll(":", "").toLowerCase();
  const extra = { [CREDENTIAL_ID]: [`X509SHA256=${id}`] };
  return authenticated({ name, uid: uids[0] ?? "", groups, extra });
}
