import assert from "node:assert/strict";
import { test } from "node:test";
import { murmur3x86 } from "../base/murmur3.ts";
import type { KeyHashName } from "../snapshot/cohort.ts";
import { makeKeyHash, PPM_TOTAL, toWireText } from "./key-hash.ts";

interface Vector {
  readonly hash: KeyHashName;
  readonly salt?: string;
  readonly modulo?: number;
  readonly key: string;
  readonly bucketPpm: number;
  readonly from: string;
}

/** Remainders modulo 100 are 10,000 ppm each. */
const vectors: readonly Vector[] = [
  ...Object.entries({
    jason: 76,
    bob: 44,
    stacy: 25,
    jessie: 16,
    vance: 54,
    jack: 2,
    "111": 2,
  }).map(([key, remainder]): Vector => ({
    hash: "fnv1a",
    key,
    bucketPpm: remainder * 10_000,
    from: "ASM's walk-through, and MSE's 10 % that 111 is in",
  })),
  { hash: "fnv1a", modulo: 1_000, key: "a", bucketPpm: 220_000, from: "0xe40c292c % 1000 = 220" },
  { hash: "sha256", key: "1", bucketPpm: 150_000, from: "the example plug-in: 1 -> 15" },
  { hash: "sha256", key: "11", bucketPpm: 480_000, from: "the example plug-in: 11 -> 48" },
  {
    hash: "traffic-tag",
    key: "abc",
    bucketPpm: Number(0xba7816bf8f01cfean % 100n) * 10_000,
    from: "FIPS 180-4's digest of abc, its first 8 bytes",
  },
  { hash: "frontend-gray", key: "123456789", bucketPpm: 620_000, from: "CRC-32 0xcbf43926" },
  {
    hash: "unleash",
    salt: "gr1",
    key: "123",
    bucketPpm: 720_000,
    from: "Unleash's specification: 73 of 1 to 100",
  },
  {
    hash: "unleash",
    salt: "groupX",
    key: "999",
    bucketPpm: 240_000,
    from: "Unleash's specification: 25 of 1 to 100",
  },
];

for (const { hash, salt = "", modulo = 100, key, bucketPpm, from } of vectors) {
  test(`${hash} of "${key}" is the published one (${from})`, () => {
    const keyHash = makeKeyHash({ hash, salt, modulo });
    assert.equal(keyHash.bucketOf(key), bucketPpm);
    assert.equal(keyHash.explain(key).bucketPpm, bucketPpm);
  });
}

// Ours: committed so that no version of Graylane deals users anew.
const ours = [
  { salt: "", key: "", bucketPpm: 138_229 },
  { salt: "", key: "4711", bucketPpm: 582_986 },
  { salt: "default/shop", key: "4711", bucketPpm: 680_202 },
  { salt: "spring", key: "4711", bucketPpm: 941_561 },
  { salt: "spring", key: toWireText("小明"), bucketPpm: 139_942 },
  { salt: "盐", key: "xiaoming", bucketPpm: 818_949 },
];

for (const { salt, key, bucketPpm } of ours) {
  test(`murmur3 of "${key}" with the salt "${salt}" stays where it is`, () => {
    const keyHash = makeKeyHash({ hash: "murmur3", salt, modulo: 100 });
    assert.equal(keyHash.bucketOf(key), bucketPpm);
  });
}

test("the salt's length is hashed, so that salt and key cannot run into each other", () => {
  const bytes = Uint8Array.of(2, 0, 0, 0, 0x61, 0x62, 0x63);
  const want = Math.floor((murmur3x86(bytes) * PPM_TOTAL) / 2 ** 32);
  assert.equal(makeKeyHash({ hash: "murmur3", salt: "ab", modulo: 100 }).bucketOf("c"), want);
  const other = makeKeyHash({ hash: "murmur3", salt: "a", modulo: 100 }).bucketOf("bc");
  assert.notEqual(other, want);
});

test("a key longer than the buffer is hashed whole, and the shorter ones after it too", () => {
  const keyHash = makeKeyHash({ hash: "murmur3", salt: "spring", modulo: 100 });
  const short = keyHash.bucketOf("4711");
  const long = "x".repeat(10_000);
  const fresh = makeKeyHash({ hash: "murmur3", salt: "spring", modulo: 100 });
  assert.equal(keyHash.bucketOf(long), fresh.bucketOf(long));
  assert.notEqual(keyHash.bucketOf(long), keyHash.bucketOf(`${long}x`));
  assert.equal(keyHash.bucketOf("4711"), short);
});

test("of 1,000,000 keys 1 ‰ (896 to 1,104) are in the first 1,000 buckets", () => {
  const keyHash = makeKeyHash({ hash: "murmur3", salt: "default/shop", modulo: 100 });
  let inside = 0;
  for (let user = 0; user < 1_000_000; user++) {
    if (keyHash.bucketOf(`user-${user}`) < 1_000) inside += 1;
  }
  assert.ok(inside >= 896 && inside <= 1_104, `${inside} keys`);
});
