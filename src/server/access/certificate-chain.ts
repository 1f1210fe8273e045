//! Does a client's certificate lead to one of our authorities? As Go's crypto/x509 decides it for
//! a Kubernetes API server: <https://pkg.go.dev/crypto/x509#Certificate.Verify>.

import { timestampMs } from "../../base/clock.ts";
import type { ParsedCertificate } from "./parsed-certificate.ts";

const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const ANY_USAGE = "2.5.29.37.0";
/** SHA-1 and MD5 can be forged. Ed25519 names none. */
const HASHES: ReadonlySet<string> = new Set(["SHA-256", "SHA-384", "SHA-512", ""]);
const CHAIN_MAX = 10;
/** Go's limit, too: many authorities of one name make many chains. */
const SIGNATURES_MAX = 100;
const UNKNOWN = "it is signed by no authority of --client-ca-file";

export interface Verification {
  readonly authorities: readonly ParsedCertificate[];
  readonly nowMs: number;
}

/**
 * The chain from the client's certificate, which is sent first, to an authority. A text: why there
 * is none.
 */
export function verifyChain(
  sent: readonly ParsedCertificate[],
  { authorities, nowMs }: Verification,
): readonly ParsedCertificate[] | string {
  const [leaf, ...between] = sent;
  if (leaf === undefined) return UNKNOWN;
  const search = new Search(authorities, between, nowMs);
  return search.chainFrom(leaf);
}

class Search {
  readonly #authorities: readonly ParsedCertificate[];
  readonly #between: readonly ParsedCertificate[];
  readonly #nowMs: number;
  #signatures = 0;
  /** Why a chain that reached an authority, or nearly, does not count. */
  #why = UNKNOWN;

  constructor(
    authorities: readonly ParsedCertificate[],
    between: readonly ParsedCertificate[],
    nowMs: number,
  ) {
    this.#authorities = authorities;
    this.#between = between;
    this.#nowMs = nowMs;
  }

  chainFrom(leaf: ParsedCertificate): readonly ParsedCertificate[] | string {
    const isTrusted = this.#authorities.some((each) => isSame(each, leaf));
    if (isTrusted && this.#isGood([leaf])) return [leaf];
    return this.#extend([leaf]) ?? this.#why;
  }

  #extend(chain: readonly ParsedCertificate[]): readonly ParsedCertificate[] | null {
    if (chain.length >= CHAIN_MAX) return null;
    for (const authority of this.#authorities) {
      const whole = [...chain, authority];
      if (this.#isIssuer(authority, chain) && this.#isGood(whole)) return whole;
    }
    for (const each of this.#between) {
      if (chain.some((known) => isSame(known, each))) continue;
      const found = this.#isIssuer(each, chain) ? this.#extend([...chain, each]) : null;
      if (found !== null) return found;
    }
    return null;
  }

  /** May it have signed the chain's end, and did it? The names and the key usage are OpenSSL's. */
  #isIssuer(issuer: ParsedCertificate, chain: readonly ParsedCertificate[]): boolean {
    const issued = chain.at(-1);
    if (issued?.x509.checkIssued(issuer.x509) !== true) return false;
    const { authority } = issuer;
    if (authority?.isAuthority !== true) {
      return this.#refuse("what signed it is no authority (basicConstraints CA:TRUE)");
    }
    const between = chain.length - 1;
    if (between > (authority.pathLength ?? between)) {
      return this.#refuse("there are more authorities in its chain than one of them allows");
    }
    if (!HASHES.has(issued.hash)) return this.#refuse(`it is signed by way of ${issued.hash}`);
    this.#signatures += 1;
    if (this.#signatures > SIGNATURES_MAX) return this.#refuse("it has too many possible chains");
    return issued.x509.verify(issuer.x509.publicKey);
  }

  #isGood(chain: readonly ParsedCertificate[]): boolean {
    for (const [at, each] of chain.entries()) {
      const why = this.#faultOf(each);
      if (why !== null) return this.#refuse(`${at === 0 ? "it" : "an authority of it"} ${why}`);
    }
    // What they constrain are these names alone; without one there is nothing to check.
    const isConstrained = chain.some(({ hasNameConstraints }) => hasNameConstraints);
    if (isConstrained && chain.some(({ hasAltNames }) => hasAltNames)) {
      return this.#refuse("an authority of it constrains names, which is not supported");
    }
    return true;
  }

  #faultOf(each: ParsedCertificate): string | null {
    const { notBeforeMs, notAfterMs, unknownCritical, extendedUsages } = each;
    if (this.#nowMs > notAfterMs) return `expired at ${timestampMs(notAfterMs)}`;
    if (this.#nowMs < notBeforeMs) {
      return `is not valid before ${timestampMs(notBeforeMs)}`;
    }
    const [oid] = unknownCritical;
    if (oid !== undefined) return `has the critical extension ${oid}, which is not known here`;
    const isForClients = extendedUsages?.some((oid) => oid === CLIENT_AUTH || oid === ANY_USAGE);
    return isForClients === false ? "is not for client authentication" : null;
  }

  #refuse(why: string): false {
    this.#why = why;
    return false;
  }
}

function isSame(one: ParsedCertificate, other: ParsedCertificate): boolean {
  return one.x509.fingerprint256 === other.x509.fingerprint256;
}
