//! Signed tokens (JWT), good and bad, made from nothing but Node's own cryptography.

import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";

export interface TokenKey {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export const RSA: TokenKey = generateKeyPairSync("rsa", { modulusLength: 2_048 });
export const OTHER_RSA: TokenKey = generateKeyPairSync("rsa", { modulusLength: 2_048 });
export const SHORT_RSA: TokenKey = generateKeyPairSync("rsa", { modulusLength: 1_024 });
const P256: TokenKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
const P384: TokenKey = generateKeyPairSync("ec", { namedCurve: "P-384" });
const P521: TokenKey = generateKeyPairSync("ec", { namedCurve: "P-521" });
const ED: TokenKey = generateKeyPairSync("ed25519");
const PSS_PADDING = 6;

/** By algorithm: its key, and the name of that key. */
export const SIGNERS: Readonly<Record<string, readonly [key: TokenKey, kid: string]>> = {
  ...{ RS256: [RSA, "rsa"], RS384: [RSA, "rsa"], RS512: [RSA, "rsa"] },
  ...{ PS256: [RSA, "rsa"], PS384: [RSA, "rsa"], PS512: [RSA, "rsa"] },
  ...{ ES256: [P256, "p256"], ES384: [P384, "p384"], ES512: [P521, "p521"], EdDSA: [ED, "ed"] },
};

export function jwk({ publicKey }: TokenKey, more: object = {}): object {
  return { ...publicKey.export({ format: "jwk" }), ...more };
}

/** The keys of `SIGNERS`, by their names. */
export function keySet(...more: readonly object[]): string {
  const named = new Map(Object.values(SIGNERS).map(([key, kid]) => [kid, jwk(key, { kid })]));
  return JSON.stringify({ keys: [...named.values(), ...more] });
}

/** Text as it is; else as JSON. */
type Part = string | object;

export interface TokenParts {
  /** The keys beside `alg`, or all of it. */
  readonly header?: Part;
  readonly alg?: string;
  readonly key?: TokenKey;
}

export function token(claims: Part | Buffer, parts: TokenParts = {}): string {
  const { alg = "RS256" } = parts;
  const [own, kid] = SIGNERS[alg] ?? [RSA, "rsa"];
  const header = parts.header ?? { kid };
  const whole = typeof header === "string" ? header : JSON.stringify({ alg, ...header });
  const signed = `${encoded(whole)}.${encoded(claims)}`;
  return `${signed}.${signature(alg, Buffer.from(signed), parts.key ?? own).toString("base64url")}`;
}

function encoded(part: Part | Buffer): string {
  if (Buffer.isBuffer(part)) return part.toString("base64url");
  const text = typeof part === "string" ? part : JSON.stringify(part);
  return Buffer.from(text).toString("base64url");
}

function signature(alg: string, data: Buffer, { privateKey, publicKey }: TokenKey): Buffer {
  const bits = alg.slice(2);
  const hash = `sha${bits}`;
  switch (alg.slice(0, 2)) {
    case "HS":
      // The public key as a secret, which is what a confused verifier would take it for.
      return createHmac(hash, publicKey.export({ type: "spki", format: "pem" }))
        .update(data)
        .digest();
    case "PS":
      return sign(hash, data, {
        ...{ key: privateKey, padding: PSS_PADDING, saltLength: Number(bits) / 8 },
      });
    case "ES":
      return sign(hash, data, { key: privateKey, dsaEncoding: "ieee-p1363" });
    case "Ed":
      return sign(null, data, privateKey);
    default:
      return sign(hash, data, privateKey);
  }
}
