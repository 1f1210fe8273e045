//! The lane's tag as it travels in a signed group: who has no key cannot write it, and what is old
//! is not believed.
//!
//! `TAG~KEY~EPOCH~EXPIRES~MAC`: the tag percent-encoded, the key's name, the group's epoch, the
//! second since the Unix epoch at which it expires, and HMAC-SHA-256 in base64url over all of that
//! and the group's name. Only characters that a header, a member of W3C baggage and a URL carry
//! without an escape, so that no agent on the way writes it in another form.

import { createHmac, timingSafeEqual } from "node:crypto";
import type { LaneSignature } from "../snapshot/lane.ts";

/** By how much the clocks of two nodes may differ: so long a tag is believed after its end. */
export const CLOCK_SKEW_MS = 5_000;
/** One signed tag serves all requests of its lane for so long, and is good for that much longer. */
export const RENEW_MS = 5_000;
/** Signed tags remembered by a group's signer, of those it wrote and of those it has checked. */
export const SIGNED_TAGS_MAX = 1_024;
/** A longer one is checked each time that it comes: what is remembered stays bounded. */
export const REMEMBERED_CHARS_MAX = 512;

const SIGNED = /^(.*)~([-._a-zA-Z0-9]+)~(\d{1,10})~(\d{1,12})~([-_a-zA-Z0-9]{43})$/;
/** Half of a pair of UTF-16: percent-encoding has no form for it. */
const LONE_SURROGATE = /\p{Surrogate}/u;
const PURPOSE = "graylane-lane-tag-1";
const MS_PER_SECOND = 1_000;

/** Why a tag is not believed. These words are in the metric and in explain. */
export type Refusal =
  /** It has not the form of a signed tag. */
  | "unsigned"
  /** The group has no key of that name (any more). */
  | "unknown-key"
  | "forged"
  | "old-epoch"
  | "expired";

export type CheckedTag = { readonly tag: string } | { readonly refusal: Refusal };

interface Checked {
  readonly checked: { readonly tag: string };
  readonly expiresMs: number;
}

interface Written {
  readonly text: string;
  readonly writtenMs: number;
}

/** Writes and checks the signed tags of one lane group. All times are wall time. */
export class TagSigner {
  readonly signature: LaneSignature;
  readonly #group: string;
  readonly #keys: ReadonlyMap<string, Buffer>;
  readonly #checked = new Map<string, Checked>();
  readonly #written = new Map<string, Written>();

  constructor(group: string, signature: LaneSignature) {
    this.signature = signature;
    this.#group = group;
    this.#keys = new Map(
      signature.keys.map(({ id, signingSecret }) => [id, Buffer.from(signingSecret, "base64")]),
    );
  }

  /** Null: the group has no key, or the tag is no Unicode text, so that nothing can be signed. */
  sign(tag: string, nowMs: number): string | null {
    const known = this.#written.get(tag);
    const ageMs = known === undefined ? RENEW_MS : nowMs - known.writtenMs;
    // Wall time may jump back.
    if (known !== undefined && ageMs >= 0 && ageMs < RENEW_MS) return known.text;
    const text = this.#write(tag, nowMs + this.signature.lifetimeMs + RENEW_MS);
    if (text === null) return null;
    this.#written.delete(tag);
    remember(this.#written, tag, { text, writtenMs: nowMs });
    return text;
  }

  check(text: string, nowMs: number): CheckedTag {
    const known = this.#checked.get(text);
    if (known === undefined) return this.#checkAnew(text, nowMs);
    if (!isOver(known.expiresMs, nowMs)) return known.checked;
    this.#checked.delete(text);
    return { refusal: "expired" };
  }

  #write(tag: string, expiresMs: number): string | null {
    const id = this.signature.keys[0]?.id ?? "";
    const key = this.#keys.get(id);
    if (key === undefined || LONE_SURROGATE.test(tag)) return null;
    const expires = Math.ceil(expiresMs / MS_PER_SECOND);
    const payload = `${encodeURIComponent(tag)}~${id}~${this.signature.epoch}~${expires}`;
    return `${payload}~${this.#mac(key, payload).toString("base64url")}`;
  }

  #checkAnew(text: string, nowMs: number): CheckedTag {
    const parts = SIGNED.exec(text);
    if (parts === null) return { refusal: "unsigned" };
    const [, tag = "", id = "", epoch, expires, mac = ""] = parts;
    const key = this.#keys.get(id);
    if (key === undefined) return { refusal: "unknown-key" };
    const payload = text.slice(0, text.lastIndexOf("~"));
    if (!isEqual(this.#mac(key, payload), mac)) return { refusal: "forged" };
    // Only now is the rest known to be ours.
    if (Number(epoch) !== this.signature.epoch) return { refusal: "old-epoch" };
    const expiresMs = Number(expires) * MS_PER_SECOND;
    if (isOver(expiresMs, nowMs)) return { refusal: "expired" };
    const decoded = decodedTag(tag);
    if (decoded === null) return { refusal: "unsigned" };
    const checked = { tag: decoded };
    if (text.length <= REMEMBERED_CHARS_MAX) {
      remember(this.#checked, ownText(text), { checked, expiresMs });
    }
    return checked;
  }

  #mac(key: Buffer, payload: string): Buffer {
    return createHmac("sha256", key).update(`${PURPOSE}\n${this.#group}\n${payload}`).digest();
  }
}

/** Null: broken escapes. Another holder of the key may have signed them. */
function decodedTag(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

/** In a time that does not tell how much of it is right. */
function isEqual(want: Buffer, mac: string): boolean {
  const have = Buffer.from(mac, "base64url");
  return have.length === want.length && timingSafeEqual(have, want);
}

function isOver(expiresMs: number, nowMs: number): boolean {
  return nowMs > expiresMs + CLOCK_SKEW_MS;
}

/** The one that was put in first goes: signed tags of one age expire together anyhow. */
function remember<Entry>(map: Map<string, Entry>, key: string, entry: Entry): void {
  if (map.size >= SIGNED_TAGS_MAX) {
    for (const oldest of map.keys()) {
      map.delete(oldest);
      break;
    }
  }
  map.set(key, entry);
}

/** A copy: a field's value may be a slice that keeps its whole message's text alive. */
function ownText(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
