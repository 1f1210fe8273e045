//! The API's own certificate: kubectl sends its token over TLS only.
//!
//! Self-signed for the loopback names, made once for a state directory and made again in time.

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { generate } from "selfsigned";
import type { Clock } from "../base/clock.ts";
import { writePrivate } from "./credentials.ts";

/** PEM texts. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const CERT_FILE = "api.crt";
const KEY_FILE = "api.key";
/** They are made for 365 days; one that is older than this is made anew at the next start. */
const AGE_MAX_MS = 300 * 24 * 3_600_000;

export async function ensureCertificate(
  stateDirectory: string,
  clock: Clock,
): Promise<Certificate> {
  const known = readCertificate(stateDirectory, clock.nowMs());
  if (known !== null) return known;
  const made = await makeCertificate();
  writePrivate(stateDirectory, KEY_FILE, made.key);
  writePrivate(stateDirectory, CERT_FILE, made.cert);
  return made;
}

async function makeCertificate(): Promise<Certificate> {
  const { cert, private: key } = await generate([{ name: "commonName", value: "graylane" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true },
      { name: "keyUsage", keyCertSign: true, digitalSignature: true },
      { name: "extKeyUsage", serverAuth: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: "localhost" },
          { type: 7, ip: "127.0.0.1" },
          { type: 7, ip: "::1" },
        ],
      },
    ],
  });
  return { cert, key };
}

/** Both files whole and of a pair, and not too old. */
function readCertificate(directory: string, nowMs: number): Certificate | null {
  const file = join(directory, CERT_FILE);
  try {
    const found = {
      cert: readFileSync(file, "utf8"),
      key: readFileSync(join(directory, KEY_FILE), "utf8"),
    };
    createSecureContext(found);
    return nowMs - statSync(file).mtimeMs < AGE_MAX_MS ? found : null;
  } catch {
    return null;
  }
}
