//! Lane contexts that are signed: opened where a request comes in, sealed where it goes out.
//!
//! Between the two a gateway sees plain tags, so that plug-ins, rules and VirtualServices mean the
//! same in a group that signs and in one that does not. A sidecar checks, and lets its app carry on
//! what was checked. Tags that cannot be believed are taken away, never passed on.

import type { Headers } from "../../http/headers.ts";
import { contextTag } from "../../lane/context.ts";
import type { PreparedLaneGroup } from "../../lane/decide.ts";
import { TagSigner } from "../../lane/signed-tag.ts";
import type { Refusal } from "../../lane/signed-tag.ts";
import { contextLookup, removeContext, writeContext } from "./lane-context.ts";

export interface SignedGroup {
  readonly group: PreparedLaneGroup;
  readonly signer: TagSigner;
}

/** By the group's name. */
export type SignedGroups = ReadonlyMap<string, SignedGroup>;

/** Hears of a context that was taken away. */
export type OnRefused = (group: string, refusal: Refusal) => void;

/** A signer whose keys have not changed is taken over, with what it remembers. */
export function prepareSigned(
  groups: Iterable<PreparedLaneGroup>,
  previous: SignedGroups | undefined,
): SignedGroups {
  const signed = new Map<string, SignedGroup>();
  for (const group of groups) {
    const { signature } = group.group;
    if (signature === undefined) continue;
    const old = previous?.get(group.name)?.signer;
    const signer = old?.signature === signature ? old : new TagSigner(group.name, signature);
    signed.set(group.name, { group, signer });
  }
  return signed;
}

/** At a gateway, before anything reads the request: what is believed becomes a plain tag. */
export function openContexts(
  headers: Headers,
  signed: readonly SignedGroup[],
  nowMs: number,
  onRefused: OnRefused,
): void {
  for (const each of signed) {
    const { group } = each;
    const text = contextTag(group, contextLookup(headers));
    removeContext(headers, [group]);
    if (text === undefined) continue;
    const checked = each.signer.check(text, nowMs);
    if ("tag" in checked) headers.set(group.routeHeader, checked.tag);
    else onRefused(group.name, checked.refusal);
  }
}

/**
 * At a gateway, when nothing reads the request any more: its plain tag is signed. Returns how many
 * members of others were dropped to keep the limits of baggage.
 */
export function sealContext(headers: Headers, signed: SignedGroup, nowMs: number): number {
  const tag = contextTag(signed.group, contextLookup(headers));
  return tag === undefined ? 0 : writeSigned(headers, signed, tag, nowMs);
}

/** As `writeContext`, signed. Without a key nothing is written, and what stands there goes. */
export function writeSigned(
  headers: Headers,
  { group, signer }: SignedGroup,
  tag: string,
  nowMs: number,
): number {
  const text = signer.sign(tag, nowMs);
  if (text !== null) return writeContext(headers, group, text);
  removeContext(headers, [group]);
  return 0;
}

/** At a sidecar: the tag that `text` carries. Undefined: refused, and gone from the headers. */
export function believedTag(
  headers: Headers,
  { group, signer }: SignedGroup,
  text: string,
  { nowMs, onRefused }: { readonly nowMs: number; readonly onRefused: OnRefused },
): string | undefined {
  const checked = signer.check(text, nowMs);
  if ("tag" in checked) return checked.tag;
  removeContext(headers, [group]);
  onRefused(group.name, checked.refusal);
  return undefined;
}
