//! What a signed lane tag costs at one hop: remembered, checked anew, and refused.
//! Run: `npx tsx bench/micro/signed-tags.ts`.

import { TagSigner } from "../../src/lane/signed-tag.ts";
import type { LaneSignature } from "../../src/snapshot/snapshot.ts";

const ROUNDS = 5;
const CALLS = 100_000;
const NOW_MS = 1_800_000_000_000;
const SIGNATURE: LaneSignature = {
  keys: [{ id: "2026-11", signingSecret: Buffer.alloc(32, 1).toString("base64") }],
  epoch: 1,
  lifetimeMs: 300_000,
};

function signer(): TagSigner {
  return new TagSigner("default/shop", SIGNATURE);
}

/** Signed tags that differ, so that none of them is remembered. */
function manyTexts(): string[] {
  const by = signer();
  return Array.from({ length: CALLS }, (_none, at) => by.sign(`gray-${at}`, NOW_MS) ?? "");
}

/** A field's value comes out of a message's bytes, so it is a new string each time. */
function fresh(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

function bestNs(run: () => void): number {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round += 1) {
    const start = process.hrtime.bigint();
    run();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / CALLS);
  }
  return best;
}

const texts = manyTexts();
const one = texts[0] ?? "";
const copies = texts.map(() => fresh(one));
const forged = texts.map((text) => `${text.slice(0, -2)}AA`);
const known = signer();
const figures: Readonly<Record<string, () => void>> = {
  "check, remembered": () => {
    for (const text of copies) known.check(text, NOW_MS);
  },
  "check, seen for the first time": () => {
    for (const text of texts) known.check(text, NOW_MS);
  },
  "check, forged": () => {
    for (const text of forged) known.check(text, NOW_MS);
  },
  "check, a plain tag": () => {
    for (const text of texts) known.check(text.slice(0, 4), NOW_MS);
  },
  "sign, remembered": () => {
    for (let at = 0; at < CALLS; at += 1) known.sign("gray", NOW_MS);
  },
  "sign, another tag each time": () => {
    for (let at = 0; at < CALLS; at += 1) known.sign(`blue-${at}`, NOW_MS);
  },
};
for (const [name, run] of Object.entries(figures)) {
  process.stdout.write(`${name}: ${bestNs(run).toFixed(0)} ns\n`);
}
