//! The public keys of tokens for Envoy: those that it may verify with, and what the plug-in
//! `plugins/lane-filter` needs to know to choose one as the embedded engine does
//! (`dataplane/runtime/token-verifier.ts`: of the keys that fit a token there must be one).

import { createPublicKey } from "node:crypto";
import type { JsonWebKey } from "node:crypto";
import type { JsonObject } from "../base/json.ts";
import { TOKEN_ALGORITHMS } from "../snapshot/snapshot.ts";
import { Inexpressible } from "./inexpressible.ts";

export interface EnvoyKeys {
  /** A key set for Envoy, as JSON text; null: there is no key that can be used. */
  readonly jwks: string | null;
  /** Of the plug-in: each with its `kid` and the algorithms that it is for. */
  readonly choices: readonly JsonObject[];
}

type Key = Readonly<Record<string, unknown>>;

/** Shorter keys of RSA verify nothing in the embedded engine. */
const RSA_BITS_MIN = 2_048;
const TYPE_OF: Readonly<Record<string, string>> = { RS: "RSA", PS: "RSA", ES: "EC", Ed: "OKP" };
const CURVES: Readonly<Record<string, readonly string[]>> = {
  ES256: ["P-256"],
  ES384: ["P-384"],
  ES512: ["P-521"],
  EdDSA: ["Ed25519", "Ed448"],
};

/** Throws `Inexpressible`. A text that is no key set has no keys. */
export function envoyKeys(text: string): EnvoyKeys {
  const keys = keysOf(text);
  const usable: JsonObject[] = [];
  const choices = keys.flatMap((key, index): JsonObject[] => {
    const algorithms = algorithmsOf(key);
    if (algorithms.length === 0) return [];
    const kid = typeof key["kid"] === "string" ? { kid: key["kid"] } : {};
    const forEnvoy = usableKey(key);
    if (forEnvoy !== null) usable.push({ ...forEnvoy, ...naming(key, index) });
    return [{ ...kid, algorithms, isUsable: forEnvoy !== null }];
  });
  return { jwks: usable.length === 0 ? null : JSON.stringify({ keys: usable }), choices };
}

function keysOf(text: string): readonly Key[] {
  try {
    const set = JSON.parse(text) as { readonly keys?: unknown } | null;
    const keys: unknown = set?.keys;
    return Array.isArray(keys) && keys.every(isKey) ? keys : [];
  } catch {
    return [];
  }
}

function isKey(key: unknown): key is Key {
  return typeof key === "object" && key !== null && !Array.isArray(key);
}

/** As the embedded engine's library chooses keys; RFC 7517, 4. */
function algorithmsOf(key: Key): string[] {
  const { kty, alg, use, key_ops: operations, crv } = key;
  if (typeof use === "string" && use !== "sig") return [];
  if (Array.isArray(operations) && !operations.includes("verify")) return [];
  return TOKEN_ALGORITHMS.filter((algorithm) => {
    if (TYPE_OF[algorithm.slice(0, 2)] !== kty) return false;
    if (typeof alg === "string" && alg !== algorithm) return false;
    const curves = CURVES[algorithm];
    return curves === undefined || curves.some((curve) => curve === crv);
  });
}

/** Null: it verifies nothing. */
function usableKey(key: Key): JsonObject | null {
  if ("d" in key) return null;
  try {
    const made = createPublicKey({ key: key as JsonWebKey, format: "jwk" });
    const bits = made.asymmetricKeyDetails?.modulusLength ?? RSA_BITS_MIN;
    if (bits < RSA_BITS_MIN) return null;
    if (made.asymmetricKeyType === "ed448") throw new Inexpressible("claims by a key of Ed448");
    return { ...(made.export({ format: "jwk" }) as JsonObject) };
  } catch (error) {
    if (error instanceof Inexpressible) throw error;
    return null;
  }
}

/** To Envoy a key without `kid` is one of any: it gets one that no token can choose. */
function naming({ kid, alg }: Key, index: number): JsonObject {
  const isNamed = typeof kid === "string" && kid !== "";
  return {
    kid: isNamed ? kid : `graylane-without-kid-${index}`,
    ...(typeof alg === "string" ? { alg } : {}),
  };
}
