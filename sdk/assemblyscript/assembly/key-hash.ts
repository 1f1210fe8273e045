//! From a key to its bucket in [0, 1,000,000), as `src/lane/key-hash.ts` has it.

import { sha256Remainder } from "./sha256";
import { Utf8 } from "./text";

const PPM_TOTAL: u32 = 1000000;
const KEY_WORDS: i32 = 2;
const SALT_LENGTH_BYTES: usize = 4;
const COLON: u8 = 0x3a;

export enum HashKind {
  none,
  murmur3,
  fnv1a,
  sha256,
  trafficTag,
  frontendGray,
  unleash,
}

export function hashKindOf(name: string): HashKind {
  if (name == "murmur3") return HashKind.murmur3;
  if (name == "fnv1a") return HashKind.fnv1a;
  if (name == "sha256") return HashKind.sha256;
  if (name == "traffic-tag") return HashKind.trafficTag;
  if (name == "frontend-gray") return HashKind.frontendGray;
  return name == "unleash" ? HashKind.unleash : HashKind.none;
}

/** What stands before the key in what is hashed. */
export function prefixOf(kind: HashKind, salt: string): ArrayBuffer {
  const text = new Utf8(salt);
  if (kind == HashKind.murmur3) {
    const prefix = new ArrayBuffer(<i32>(SALT_LENGTH_BYTES + text.length));
    store<u32>(changetype<usize>(prefix), <u32>text.length);
    memory.copy(changetype<usize>(prefix) + SALT_LENGTH_BYTES, text.pointer, text.length);
    return prefix;
  }
  if (kind != HashKind.unleash) return new ArrayBuffer(0);
  const prefix = new ArrayBuffer(<i32>text.length + 1);
  memory.copy(changetype<usize>(prefix), text.pointer, text.length);
  store<u8>(changetype<usize>(prefix) + text.length, COLON);
  return prefix;
}

/** `bytes`: the prefix and the key. */
export function bucketOf(kind: HashKind, bytes: usize, length: usize, modulo: u32): u32 {
  if (kind == HashKind.murmur3) {
    return <u32>((<u64>murmur3(bytes, length) * PPM_TOTAL) >> 32);
  }
  return remainderOf(kind, bytes, length, modulo) * (PPM_TOTAL / modulo);
}

function remainderOf(kind: HashKind, bytes: usize, length: usize, modulo: u32): u32 {
  if (kind == HashKind.sha256) return sha256Remainder(bytes, length, modulo);
  if (kind == HashKind.trafficTag) return sha256Remainder(bytes, length, modulo, KEY_WORDS);
  if (kind == HashKind.fnv1a) return fnv1a(bytes, length) % modulo;
  if (kind == HashKind.frontendGray) return crc32(bytes, length) % modulo;
  return murmur3(bytes, length) % modulo;
}

/** MurmurHash3, x86, 32 bit, seed 0 (Austin Appleby, public domain). */
function murmur3(bytes: usize, length: usize): u32 {
  let hash: u32 = 0;
  const whole = length & ~3;
  for (let at: usize = 0; at < whole; at += 4) {
    hash ^= scrambled(load<u32>(bytes + at));
    hash = rotl<u32>(hash, 13) * 5 + 0xe6546b64;
  }
  let last: u32 = 0;
  for (let at = whole; at < length; at++) {
    last |= <u32>load<u8>(bytes + at) << (8 * <u32>(at - whole));
  }
  if (whole < length) hash ^= scrambled(last);
  hash ^= <u32>length;
  hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
  return hash ^ (hash >> 16);
}

function scrambled(word: u32): u32 {
  return rotl<u32>(word * 0xcc9e2d51, 15) * 0x1b873593;
}

function fnv1a(bytes: usize, length: usize): u32 {
  let hash: u32 = 0x811c9dc5;
  for (let at: usize = 0; at < length; at++) hash = (hash ^ load<u8>(bytes + at)) * 0x01000193;
  return hash;
}

/** Of Ethernet and zlib: keys are short, a table would not pay. */
function crc32(bytes: usize, length: usize): u32 {
  let sum: u32 = 0xffffffff;
  for (let at: usize = 0; at < length; at++) {
    sum ^= load<u8>(bytes + at);
    for (let bit = 0; bit < 8; bit++) sum = (sum & 1) == 0 ? sum >> 1 : (sum >> 1) ^ 0xedb88320;
  }
  return ~sum;
}
