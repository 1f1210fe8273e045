//! From a key (a user id, a cookie) to its bucket in [0, 1,000,000): which hash, with which salt.
//!
//! `murmur3` is ours. The others give the very buckets of other systems, so that a team can move to
//! Graylane without moving a user; they know no salt but Unleash's group id. Keys are *wire texts*:
//! one character for each byte, as the HTTP codec gives header values.

import { assert } from "../base/assert.ts";
import { crc32 } from "../base/crc32.ts";
import { fnv1a32 } from "../base/fnv1a.ts";
import { murmur3x86 } from "../base/murmur3.ts";
import { sha256 } from "../base/sha256.ts";
import type { KeyHashName } from "../snapshot/cohort.ts";

/** Parts per million: the size of the space that keys are hashed into. */
export const PPM_TOTAL = 1_000_000;
/** What `hash % modulo` of another system is taken by, unless said otherwise. */
export const MODULO_DEFAULT = 100;

export interface KeyHashSpec {
  readonly hash: KeyHashName;
  /** Any text; `""` where the hash knows none. */
  readonly salt: string;
  /** For all but `murmur3`: a divisor of 1,000,000. */
  readonly modulo: number;
}

export interface HashedKey {
  /** The hash, or what the other system takes the remainder of; decimal. */
  readonly hash: string;
  /** In [0, 1,000,000). */
  readonly bucketPpm: number;
}

export interface KeyHash {
  readonly bucketOf: (wireKey: string) => number;
  /** The same with the number in between, for explain. */
  readonly explain: (wireKey: string) => HashedKey;
}

/** Makes the function once, at prepare time: what the salt needs is worked out here. */
export function makeKeyHash(spec: KeyHashSpec): KeyHash {
  if (spec.hash === "murmur3") return saltedMurmur(spec.salt);
  assert(PPM_TOTAL % spec.modulo === 0, "a compatibility modulo divides 1,000,000");
  const hashOf = COMPATIBLE[spec.hash];
  const stepPpm = PPM_TOTAL / spec.modulo;
  const explain = (wireKey: string): HashedKey => {
    const hash = hashOf(wireKey, spec.salt);
    const remainder = Number(BigInt(hash) % BigInt(spec.modulo));
    return { hash: String(hash), bucketPpm: remainder * stepPpm };
  };
  return { explain, bucketOf: (wireKey) => explain(wireKey).bucketPpm };
}

/** The bytes of a text, one character for each: what the same text is in a header. */
export function toWireText(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** u32le(length of salt), salt, key; the bucket is floor(hash x 1,000,000 / 2^32). */
function saltedMurmur(salt: string): KeyHash {
  const saltBytes = new TextEncoder().encode(salt);
  const prefixLength = 4 + saltBytes.length;
  let buffer = new Uint8Array(prefixLength + 256);
  new DataView(buffer.buffer).setUint32(0, saltBytes.length, true);
  buffer.set(saltBytes, 4);
  const hashOf = (wireKey: string): number => {
    const length = prefixLength + wireKey.length;
    if (length > buffer.length) {
      const larger = new Uint8Array(2 * length);
      larger.set(buffer.subarray(0, prefixLength));
      buffer = larger;
    }
    for (let at = 0; at < wireKey.length; at++) {
      buffer[prefixLength + at] = wireKey.charCodeAt(at);
    }
    return murmur3x86(buffer, 0, length);
  };
  const bucketOf = (wireKey: string): number => bucketOfHash(hashOf(wireKey));
  return {
    bucketOf,
    explain: (wireKey) => ({ hash: String(hashOf(wireKey)), bucketPpm: bucketOf(wireKey) }),
  };
}

/** floor(hash x 1,000,000 / 2^32): exact, since the product stays below 2^53. */
function bucketOfHash(hash: number): number {
  return Math.floor((hash * PPM_TOTAL) / 0x1_0000_0000);
}

const COMPATIBLE: Readonly<
  Record<Exclude<KeyHashName, "murmur3">, (wireKey: string, salt: string) => number | bigint>
> = {
  /** ASM's hash-tagging plug-in, and MSE's percentage condition as far as it is known. */
  fnv1a: (key) => fnv1a32(wireBytes(key)),
  /** The published example plug-in: the whole digest as one big-endian integer. */
  sha256: (key) => bigEndian(sha256(wireBytes(key))),
  /** Higress' traffic-tag. */
  "traffic-tag": (key) => bigEndian(sha256(wireBytes(key)).subarray(0, 8)),
  /** Higress' frontend-gray. */
  "frontend-gray": (key) => crc32(wireBytes(key)),
  /** Unleash, whose rollout compares `% 100 + 1 <=`; the salt is its group id. */
  unleash: (key, salt) => murmur3x86(wireBytes(`${toWireText(salt)}:${key}`)),
};

function wireBytes(wireKey: string): Uint8Array {
  return Uint8Array.from(wireKey, (character) => character.charCodeAt(0));
}

function bigEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return value;
}
