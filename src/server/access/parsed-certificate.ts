//! A certificate as far as verifying a chain needs it (RFC 5280).

import { X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";

/** What Kubernetes reads of a subject. */
export interface Subject {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly uids: readonly string[];
}

/** What a certificate says of those that it signs; null: it says nothing. */
export interface AuthorityFacts {
  readonly isAuthority: boolean;
  /** How many authorities may stand between it and the last certificate; null: any number. */
  readonly pathLength: number | null;
}

export interface ParsedCertificate {
  readonly x509: X509Certificate;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly subject: Subject;
  readonly authority: AuthorityFacts | null;
  /** OIDs; null: any. */
  readonly extendedUsages: readonly string[] | null;
  readonly hasNameConstraints: boolean;
  readonly hasAltNames: boolean;
  /** Critical extensions that are not read here (RFC 5280 section 4.2: then it is refused). */
  readonly unknownCritical: readonly string[];
  /** Of its signature, as in `SHA-256`; empty: the algorithm has its own. */
  readonly hash: string;
}

const NAME_CONSTRAINTS = "2.5.29.30";
const ALT_NAME = "2.5.29.17";
/** Subject and authority key identifiers, usages, names, constraints, policies, CRL places. */
const READ = ["14", "15", "17", "19", "30", "31", "32", "35", "37"].map((at) => `2.5.29.${at}`);
/** <https://github.com/kubernetes/enhancements/issues/4828> */
const UID = "1.3.6.1.4.1.57683.2";

/** Throws on bytes that are none. */
export function readCertificate(pemOrDer: string | Buffer): ParsedCertificate {
  const own = new X509Certificate(pemOrDer);
  const parsed = new x509.X509Certificate(own.raw);
  const constraints = parsed.getExtension(x509.BasicConstraintsExtension);
  const extensions = parsed.extensions;
  return {
    x509: own,
    notBeforeMs: parsed.notBefore.getTime(),
    notAfterMs: parsed.notAfter.getTime(),
    subject: subjectOf(parsed.subjectName),
    authority:
      constraints === null
        ? null
        : { isAuthority: constraints.ca, pathLength: constraints.pathLength ?? null },
    extendedUsages: usagesOf(parsed),
    hasNameConstraints: extensions.some(({ type }) => type === NAME_CONSTRAINTS),
    hasAltNames: extensions.some(({ type }) => type === ALT_NAME),
    unknownCritical: extensions
      .filter(({ type, critical }) => critical && !READ.includes(type))
      .map(({ type }) => type),
    hash: hashOf(parsed.signatureAlgorithm),
  };
}

function usagesOf(parsed: x509.X509Certificate): readonly string[] | null {
  const usages = parsed.getExtension(x509.ExtendedKeyUsageExtension)?.usages;
  return usages?.map(String) ?? null;
}

/** Of several common names the last counts, as in Go. */
function subjectOf(name: x509.Name): Subject {
  return {
    commonName: name.getField("CN").at(-1) ?? "",
    organizations: name.getField("O"),
    uids: name.getField(UID),
  };
}

function hashOf(algorithm: object): string {
  const { hash } = algorithm as { readonly hash?: string | { readonly name?: string } };
  return typeof hash === "string" ? hash : (hash?.name ?? "");
}
