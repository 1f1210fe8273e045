//! One slot: requests in flight, when the last of them ended, the id and the lane's tag.

import {
  outLength,
  outPointer,
  receivedLength,
  receivedPointer,
} from "../../../sdk/assemblyscript/assembly/received";
import {
  proxy_get_shared_data,
  proxy_set_shared_data,
} from "../../../sdk/assemblyscript/assembly/abi";
import { Status } from "../../../sdk/assemblyscript/assembly/enums";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

/** How long an id is kept after its last request has ended. */
const TTL_MS: f64 = 60000;
/** u32 in flight, f64 ended at, u32 length of the id, the id, the tag. */
const HEAD_BYTES: usize = 16;
const CAS: usize = memory.data(4);

export class Entry {
  inFlight: u32 = 0;
  endedAtMs: f64 = 0;
  id: string = "";
  tag: string = "";
  /** Of the shared data: whoever writes must have read the newest. 0: there is none yet. */
  version: u32 = 0;

  isKnown(nowMs: f64): bool {
    if (this.version == 0 || this.id == "") return false;
    return this.inFlight > 0 || nowMs - this.endedAtMs < TTL_MS;
  }
}

export function loadEntry(group: string, slot: i32): Entry {
  const entry = new Entry();
  const key = keyOf(group, slot);
  store<u32>(CAS, 0);
  const status = proxy_get_shared_data(key.pointer, key.length, outPointer(), outLength(), CAS);
  if (status != Status.ok || receivedLength() < HEAD_BYTES) return entry;
  const bytes = receivedPointer();
  const idLength = <usize>load<u32>(bytes, 12);
  if (HEAD_BYTES + idLength > receivedLength()) return entry;
  entry.version = load<u32>(CAS);
  entry.inFlight = load<u32>(bytes);
  entry.endedAtMs = load<f64>(bytes, 4);
  entry.id = String.UTF8.decodeUnsafe(bytes + HEAD_BYTES, idLength);
  const tagLength = receivedLength() - HEAD_BYTES - idLength;
  entry.tag = String.UTF8.decodeUnsafe(bytes + HEAD_BYTES + idLength, tagLength);
  return entry;
}

/** False: another thread has written since it was read. */
export function storeEntry(group: string, slot: i32, entry: Entry): bool {
  const key = keyOf(group, slot);
  const id = new Utf8(entry.id);
  const tag = new Utf8(entry.tag);
  const length = HEAD_BYTES + id.length + tag.length;
  const block = new ArrayBuffer(<i32>length);
  const bytes = changetype<usize>(block);
  store<u32>(bytes, entry.inFlight);
  store<f64>(bytes, entry.endedAtMs, 4);
  store<u32>(bytes, <u32>id.length, 12);
  memory.copy(bytes + HEAD_BYTES, id.pointer, id.length);
  memory.copy(bytes + HEAD_BYTES + id.length, tag.pointer, tag.length);
  const status = proxy_set_shared_data(key.pointer, key.length, bytes, length, entry.version);
  return status == Status.ok;
}

function keyOf(group: string, slot: i32): Utf8 {
  return new Utf8(group + "/" + slot.toString());
}
