//! Envoy's foreign functions `sign` and `verify_signature`: arguments and results are messages of
//! Envoy's `sign.proto` and `verify_signature.proto`, keys are DER or PEM.

import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { Status } from "../enums.ts";
import { encodeUtf8 } from "../property-encoding.ts";
import { utf8 } from "../field-text.ts";
import type { Vm } from "../vm.ts";
import { decodeBytesFields, encodeFields } from "./protobuf.ts";

/** A signature takes time with the length of its key and text: one call may be given so much. */
const INPUT_BYTES_MAX = 1024 * 1024;
const KEY_BYTES_MAX = 8 * 1024;
const RSA_BITS_MAX = 4096;
/** Of a callback's budget: a signature takes as long as handing over so many bytes. */
const WORK_BYTES = 128 * 1024;
const HASHES: ReadonlySet<string> = new Set(["sha1", "sha224", "sha256", "sha384", "sha512"]);
const NOTHING = new Uint8Array(0);
/** The texts of errors are Envoy's. */
const NO_PRIVATE_KEY = "Invalid key type: private key required for signing operation.";

/** Field numbers of the arguments; 1 is the hash function in both. */
const SIGN = { key: 2, text: 3, pem: 4 } as const;
const VERIFY = { key: 2, signature: 3, text: 4, pem: 5 } as const;

type Fields = ReadonlyMap<number, Uint8Array>;

export function signText(vm: Vm, input: Uint8Array): Uint8Array | Status {
  vm.gauge.touch(WORK_BYTES);
  const fields = argumentsOf(input);
  if (fields === null || !hasOneKey(fields, SIGN)) return Status.badArgument;
  const hash = hashOf(fields);
  if (!HASHES.has(hash)) return failure(3, `${hash} is not supported.`);
  const key = keyOf(fields, SIGN, "private");
  if (key === null) return failure(3, NO_PRIVATE_KEY);
  try {
    return encodeFields([
      [1, true],
      [2, sign(hash, fields.get(SIGN.text) ?? NOTHING, key)],
    ]);
  } catch {
    return failure(3, "Failed to create signature.");
  }
}

export function verifySignature(vm: Vm, input: Uint8Array): Uint8Array | Status {
  vm.gauge.touch(WORK_BYTES);
  const fields = argumentsOf(input);
  if (fields === null || !hasOneKey(fields, VERIFY)) return Status.badArgument;
  const hash = hashOf(fields);
  if (!HASHES.has(hash)) return failure(2, `${hash} is not supported.`);
  const key = keyOf(fields, VERIFY, "public");
  if (key === null) return failure(2, "Failed to initialize digest verify.");
  const [text = NOTHING, signature = NOTHING] = [VERIFY.text, VERIFY.signature].map((number) =>
    fields.get(number),
  );
  let isValid = false;
  try {
    isValid = verify(hash, text, key, signature);
  } catch {
    // A key that cannot sign with this hash: nothing it could have signed.
  }
  return isValid ? encodeFields([[1, true]]) : failure(2, "Failed to verify digest. Error code: 0");
}

/** The call itself succeeds; its result says why there is nothing. */
function failure(field: number, message: string): Uint8Array {
  return encodeFields([[field, encodeUtf8(message)]]);
}

function argumentsOf(input: Uint8Array): Fields | null {
  return input.length > INPUT_BYTES_MAX ? null : decodeBytesFields(input);
}

function hashOf(fields: Fields): string {
  return utf8(fields.get(1) ?? NOTHING).toLowerCase();
}

function hasOneKey(fields: Fields, at: { readonly key: number; readonly pem: number }): boolean {
  const isGiven = (number: number): boolean => (fields.get(number)?.length ?? 0) > 0;
  return isGiven(at.key) !== isGiven(at.pem);
}

/** Null: not a key of that kind, or one so long that it would hold everybody up. */
function keyOf(
  fields: Fields,
  at: { readonly key: number; readonly pem: number },
  kind: "private" | "public",
): KeyObject | null {
  const pem = fields.get(at.pem) ?? NOTHING;
  const bytes = Buffer.from(pem.length > 0 ? pem : (fields.get(at.key) ?? NOTHING));
  if (bytes.length > KEY_BYTES_MAX) return null;
  // A public key is not taken out of a private one, as Node would.
  if (pem.length > 0 && !bytes.includes(kind === "public" ? "PUBLIC KEY" : "PRIVATE KEY")) {
    return null;
  }
  const format = pem.length > 0 ? ({ format: "pem" } as const) : null;
  try {
    const key =
      kind === "private"
        ? createPrivateKey({ key: bytes, ...(format ?? { format: "der", type: "pkcs8" }) })
        : createPublicKey({ key: bytes, ...(format ?? { format: "der", type: "spki" }) });
    return (key.asymmetricKeyDetails?.modulusLength ?? 0) > RSA_BITS_MAX ? null : key;
  } catch {
    return null;
  }
}
