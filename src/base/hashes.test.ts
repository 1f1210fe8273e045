import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { crc32 } from "./crc32.ts";
import { murmur3x86 } from "./murmur3.ts";
import { SeededPrng } from "./prng.ts";
import { sha256 } from "./sha256.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

// The vectors that implementations of MurmurHash3_x86_32 share.
const murmurVectors = [
  { data: Uint8Array.of(), seed: 0, hash: 0 },
  { data: Uint8Array.of(), seed: 1, hash: 0x514e28b7 },
  { data: Uint8Array.of(), seed: 0xffffffff, hash: 0x81f16f39 },
  { data: Uint8Array.of(0xff, 0xff, 0xff, 0xff), seed: 0, hash: 0x76293b50 },
  { data: Uint8Array.of(0x21, 0x43, 0x65, 0x87), seed: 0, hash: 0xf55b516b },
  { data: Uint8Array.of(0x21, 0x43, 0x65, 0x87), seed: 0x5082edee, hash: 0x2362f9de },
  { data: Uint8Array.of(0x21, 0x43, 0x65), seed: 0, hash: 0x7e4a8634 },
  { data: Uint8Array.of(0x21, 0x43), seed: 0, hash: 0xa0f7b07a },
  { data: Uint8Array.of(0x21), seed: 0, hash: 0x72661cf4 },
  { data: Uint8Array.of(0, 0, 0, 0), seed: 0, hash: 0x2362f9de },
  { data: Uint8Array.of(0, 0, 0), seed: 0, hash: 0x85f0b427 },
  { data: Uint8Array.of(0, 0), seed: 0, hash: 0x30f4c306 },
  { data: Uint8Array.of(0), seed: 0, hash: 0x514e28b7 },
  { data: bytes("Hello, world!"), seed: 0x9747b28c, hash: 0x24884cba },
  {
    data: bytes("The quick brown fox jumps over the lazy dog"),
    seed: 0x9747b28c,
    hash: 0x2fa826cd,
  },
  { data: bytes("ππππππππ"), seed: 0x9747b28c, hash: 0xd58063c1 },
];

for (const { data, seed, hash } of murmurVectors) {
  const hex = Buffer.from(data).toString("hex");
  test(`the published murmur3 vector of [${hex}] with seed ${seed} holds`, () => {
    assert.equal(murmur3x86(data, seed), hash);
  });
}

const crcVectors = [
  { text: "", hash: 0 },
  { text: "123456789", hash: 0xcbf43926 },
  { text: "The quick brown fox jumps over the lazy dog", hash: 0x414fa339 },
];

for (const { text, hash } of crcVectors) {
  test(`the published CRC-32 vector of "${text}" holds`, () => {
    assert.equal(crc32(bytes(text)), hash);
  });
}

const shaVectors = [
  { text: "", hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
  { text: "abc", hash: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
  {
    text: "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    hash: "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  },
];

for (const { text, hash } of shaVectors) {
  test(`the SHA-256 vector of "${text}" in FIPS 180-4's examples holds`, () => {
    assert.equal(Buffer.from(sha256(bytes(text))).toString("hex"), hash);
  });
}

test("SHA-256 agrees with node:crypto for every length around a block", () => {
  const prng = new SeededPrng(7);
  for (let length = 0; length < 200; length++) {
    const data = Uint8Array.from({ length }, () => prng.below(256));
    const want = createHash("sha256").update(data).digest("hex");
    assert.equal(Buffer.from(sha256(data)).toString("hex"), want, `${length} bytes`);
  }
});
