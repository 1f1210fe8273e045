import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import type { LaneSignature } from "../snapshot/lane.ts";
import { CLOCK_SKEW_MS, RENEW_MS, SIGNED_TAGS_MAX, TagSigner } from "./signed-tag.ts";

const NOW = 1_800_000_000_000;
const KEY = (fill: number): string => Buffer.alloc(32, fill).toString("base64");
const SIGNATURE: LaneSignature = {
  keys: [{ id: "k1", signingSecret: KEY(1) }],
  epoch: 3,
  lifetimeMs: 60_000,
};
const LIFETIME_MS = SIGNATURE.lifetimeMs;

function signer(changes: Partial<LaneSignature> = {}, group = "default/shop"): TagSigner {
  return new TagSigner(group, { ...SIGNATURE, ...changes });
}

function signed(tag = "gray", by: TagSigner = signer(), nowMs = NOW): string {
  return by.sign(tag, nowMs) ?? "";
}

describe("a signed tag", () => {
  test("begins with the tag, and its last part is HMAC-SHA-256 by the documented text", () => {
    const text = signed();
    assert.match(text, /^gray~k1~3~1800000065~[-_a-zA-Z0-9]{43}$/);
    // By OpenSSL 3: printf 'graylane-lane-tag-1\ndefault/shop\ngray~k1~3~1800000065' |
    //   openssl dgst -sha256 -mac HMAC -macopt hexkey:0101...01 -binary | base64
    assert.equal(
      text.slice(text.lastIndexOf("~") + 1),
      "fSA-rNffkW7iVFh3Vzn-XEGzcMJgiTESOu7nq9Kl0ag",
    );
  });

  const tags = ["gray", "v2.1", "a~b", "a,b", "a b;c=d", "blå", "100%", ""];
  for (const tag of tags) {
    test(`carries the tag '${tag}' in characters that need no escape`, () => {
      const text = signed(tag);
      assert.match(text, /^[-_.!~*'()%a-zA-Z0-9]+$/);
      assert.deepEqual(signer().check(text, NOW), { tag });
    });
  }

  const text = signed();
  const [, , , expires = "", mac = ""] = text.split("~");
  const forged = [
    { name: "a plain tag", text: "gray", want: "unsigned" },
    { name: "an empty text", text: "", want: "unsigned" },
    { name: "a MAC that was cut", text: text.slice(0, -1), want: "unsigned" },
    { name: "a MAC of another tag", text: `blue~k1~3~${expires}~${mac}`, want: "forged" },
    { name: "a later end", text: `gray~k1~3~9${expires}~${mac}`, want: "forged" },
    { name: "another epoch", text: `gray~k1~4~${expires}~${mac}`, want: "forged" },
    { name: "a guessed MAC", text: `gray~k1~3~${expires}~${"A".repeat(43)}`, want: "forged" },
    { name: "a broken escape", text: `%zz~k1~3~${expires}~${mac}`, want: "forged" },
    { name: "a key that nobody has", text: text.replace("k1", "k2"), want: "unknown-key" },
    {
      name: "one that was signed for another group",
      text: signed("gray", signer({}, "default/other")),
      want: "forged",
    },
    {
      name: "one that was signed by another key of that name",
      text: signed("gray", signer({ keys: [{ id: "k1", signingSecret: KEY(2) }] })),
      want: "forged",
    },
    {
      name: "one of an earlier epoch",
      text: signed("gray", signer({ epoch: 2 })),
      want: "old-epoch",
    },
  ];
  for (const { name, text: given, want } of forged) {
    test(`is not believed: ${name}`, () => {
      const by = signer();
      assert.deepEqual(by.check(given, NOW), { refusal: want });
      assert.deepEqual(by.check(given, NOW), { refusal: want }, "nor when it comes again");
    });
  }

  test("is good for the lifetime and the skew, and then never again", () => {
    const endMs = NOW + LIFETIME_MS + RENEW_MS + CLOCK_SKEW_MS;
    const fresh = signer();
    assert.deepEqual(fresh.check(text, endMs), { tag: "gray" });
    assert.deepEqual(fresh.check(text, endMs + 1), { refusal: "expired" }, "remembered");
    assert.deepEqual(fresh.check(text, endMs + 1), { refusal: "expired" });
    assert.deepEqual(signer().check(text, endMs + 1), { refusal: "expired" }, "checked anew");
  });
});

test("keys rotate: the first signs, and what any of them has signed is believed", () => {
  const old = { id: "k1", signingSecret: KEY(1) };
  const next = { id: "k2", signingSecret: KEY(2) };
  const before = signer();
  const both = signer({ keys: [next, old] });
  const after = signer({ keys: [next] });
  assert.deepEqual(both.check(signed("gray", before), NOW), { tag: "gray" });
  assert.deepEqual(after.check(signed("gray", both), NOW), { tag: "gray" });
  assert.deepEqual(after.check(signed("gray", before), NOW), { refusal: "unknown-key" });
});

test("without a key nothing is signed and nothing believed", () => {
  const none = signer({ keys: [] });
  assert.equal(none.sign("gray", NOW), null);
  assert.deepEqual(none.check(signed(), NOW), { refusal: "unknown-key" });
});

for (const { name, tag } of [
  { name: "the first half", tag: "gr\ud83day" },
  { name: "the second half", tag: "\udc00" },
]) {
  test(`${name} of a UTF-16 pair alone is no text: not signed, and nothing is thrown`, () => {
    const by = signer();
    assert.equal(by.sign(tag, NOW), null);
    assert.equal(by.sign(tag, NOW), null, "nor when it comes again");
    assert.notEqual(by.sign("gray", NOW), null);
  });
}

test("a whole pair of UTF-16 is signed as the character that it is", () => {
  assert.deepEqual(signer().check(signed("\u{1f680}"), NOW), { tag: "\u{1f680}" });
});

test("broken escapes under a good signature are not believed, and nothing is thrown", () => {
  const payload = "%zz~k1~3~1800000065";
  const mac = createHmac("sha256", Buffer.alloc(32, 1))
    .update(`graylane-lane-tag-1\ndefault/shop\n${payload}`)
    .digest("base64url");
  assert.deepEqual(signer().check(`${payload}~${mac}`, NOW), { refusal: "unsigned" });
});

test("one signed tag serves for a while, and a clock that jumps back makes another", () => {
  const by = signer();
  const first = by.sign("gray", NOW);
  assert.equal(by.sign("gray", NOW + RENEW_MS - 1), first);
  const second = by.sign("gray", NOW + RENEW_MS);
  assert.notEqual(second, first);
  assert.equal(by.sign("gray", NOW), first, "the clock jumped back");
});

test("what is remembered stays bounded, and what was forgotten is checked anew", () => {
  const by = signer();
  const texts = Array.from({ length: SIGNED_TAGS_MAX + 2 }, (_none, at) => signed(`t${at}`, by));
  for (const [at, text] of texts.entries()) {
    assert.deepEqual(by.check(text, NOW), { tag: `t${at}` });
  }
  assert.deepEqual(by.check(texts[0] ?? "", NOW), { tag: "t0" });
});
