//! The authorities that this machine trusts, as its other programs do: Node has a list of its own.

import { readFileSync } from "node:fs";

/** Debian and Ubuntu, Red Hat, SUSE, Alpine and macOS. */
const BUNDLES: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** Of a list of authorities in PEM. */
export interface AuthoritiesFile {
  readonly path: string;
  readonly text: string;
}

let known: { readonly text: string | null } | null = null;

/** PEM, read once; null: the machine has no list, and Node's own is used. */
export function systemAuthorities(): string | null {
  known ??= { text: systemAuthoritiesFile()?.text ?? null };
  return known.text;
}

export function systemAuthoritiesFile(): AuthoritiesFile | null {
  return readFirst([process.env["SSL_CERT_FILE"] ?? "", ...BUNDLES]);
}

function readFirst(paths: readonly string[]): AuthoritiesFile | null {
  for (const path of paths) {
    if (path === "") continue;
    try {
      const text = readFileSync(path, "latin1");
      if (text.includes("-----BEGIN CERTIFICATE-----")) return { path, text };
    } catch {
      // The next one, then.
    }
  }
  return null;
}
