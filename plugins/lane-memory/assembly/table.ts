//! Which lane the requests of a trace id travel in: a table in the VM's shared data, because a
//! request comes in on one of Envoy's threads and its calls may go out on another.
//!
//! Shared data has neither deletion nor expiry, so the slots are fixed: those of an id are WAYS in
//! a row from hash(id) on. One in flight is never evicted. The rules are those of
//! `src/lane/context.ts`.

import { Entry, loadEntry, storeEntry } from "./entry";

export const SLOTS: u32 = 16384;
export const WAYS: u32 = 8;
/** Another thread writes the same slot: as often as this the write is tried again. */
const TRIES_MAX: i32 = 64;

export namespace Outcome {
  export const recorded: i32 = 0;
  /** The id was in flight in another lane. */
  export const conflict: i32 = 1;
  /** Every slot of the id is in flight. */
  export const overflow: i32 = 2;
}

/** A request starts. After `overflow` `end` must not be called. */
export function begin(group: string, id: string, tag: string, nowMs: f64): i32 {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const slot = slotFor(group, id, nowMs);
    if (slot < 0) return Outcome.overflow;
    const entry = loadEntry(group, slot);
    const isSame = entry.id == id && entry.isKnown(nowMs);
    // Another thread has taken it since.
    if (!isSame && entry.inFlight > 0) continue;
    const isConflict = isSame && entry.inFlight > 0 && entry.tag != tag;
    entry.inFlight = isSame ? entry.inFlight + 1 : 1;
    entry.id = id;
    entry.tag = tag;
    if (storeEntry(group, slot, entry)) return isConflict ? Outcome.conflict : Outcome.recorded;
  }
  return Outcome.overflow;
}

/** The request that `begin` recorded has ended. */
export function end(group: string, id: string, nowMs: f64): void {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const slot = find(group, id, nowMs);
    if (slot < 0) return;
    const entry = loadEntry(group, slot);
    if (entry.id != id || entry.inFlight == 0) return;
    entry.inFlight -= 1;
    entry.endedAtMs = nowMs;
    if (storeEntry(group, slot, entry)) return;
  }
}

/** The tag of the id's newest request; `""`: it had none, or the id is not known. */
export function lookup(group: string, id: string, nowMs: f64): string {
  const slot = find(group, id, nowMs);
  if (slot < 0) return "";
  const entry = loadEntry(group, slot);
  return entry.id == id ? entry.tag : "";
}

function find(group: string, id: string, nowMs: f64): i32 {
  const first = hash(id);
  for (let way: u32 = 0; way < WAYS; way++) {
    const slot = <i32>((first + way) % SLOTS);
    const entry = loadEntry(group, slot);
    if (entry.id == id && entry.isKnown(nowMs)) return slot;
  }
  return -1;
}

/** Its own slot, else a free one, else that of the id that ended first; -1: all are in flight. */
function slotFor(group: string, id: string, nowMs: f64): i32 {
  const first = hash(id);
  let best = -1;
  let bestEndedAtMs: f64 = Infinity;
  for (let way: u32 = 0; way < WAYS; way++) {
    const slot = <i32>((first + way) % SLOTS);
    const entry = loadEntry(group, slot);
    const isKnown = entry.isKnown(nowMs);
    if (isKnown && entry.id == id) return slot;
    const endedAtMs = isKnown ? entry.endedAtMs : -1;
    if (entry.inFlight > 0 || endedAtMs >= bestEndedAtMs) continue;
    best = slot;
    bestEndedAtMs = endedAtMs;
  }
  return best;
}

/** FNV-1a 32 of the UTF-16 units. */
function hash(id: string): u32 {
  let value: u32 = 0x811c9dc5;
  for (let index = 0; index < id.length; index++) {
    value = (value ^ <u32>id.charCodeAt(index)) * 0x01000193;
  }
  return value;
}
