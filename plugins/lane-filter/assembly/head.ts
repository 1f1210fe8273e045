//! The head of the request at hand, received once: all of its fields, and the address of the
//! connection. Valid until a host function returns another value.

import { proxy_get_header_map_pairs } from "../../../sdk/assemblyscript/assembly/abi";
import { MapKind, Status } from "../../../sdk/assemblyscript/assembly/enums";
import { receiveProperty } from "../../../sdk/assemblyscript/assembly/properties";
import {
  outLength,
  outPointer,
  receivedLength,
  receivedPointer,
} from "../../../sdk/assemblyscript/assembly/received";
import { addressKey, foundLength, foundStart } from "../../../sdk/assemblyscript/assembly/request-key";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

const SOURCE_ADDRESS = new Utf8("source\0address");
/** The longest address is IPv6's with a zone. */
const ADDRESS_BYTES_MAX: usize = 128;
const ADDRESS: usize = memory.data(128);
const WORD: usize = 4;

let request: u32 = 0;
let block: usize = 0;
let count: u32 = 0;
let addressLength: usize = 0;

/** Another one for each request. */
export function requestNumber(): u32 {
  return request;
}

/** False: the host gives nothing. */
export function receiveHead(needsAddress: bool): bool {
  request += 1;
  addressLength = 0;
  if (needsAddress && receiveProperty(SOURCE_ADDRESS)) {
    if (addressKey(receivedPointer(), receivedLength()) && foundLength() <= ADDRESS_BYTES_MAX) {
      addressLength = foundLength();
      memory.copy(ADDRESS, foundStart(), addressLength);
    }
  }
  const status = proxy_get_header_map_pairs(MapKind.requestHeaders, outPointer(), outLength());
  if (status != Status.ok || receivedLength() < WORD) return false;
  block = receivedPointer();
  count = load<u32>(block);
  return true;
}

export function addressStart(): usize {
  return ADDRESS;
}

/** 0: it is not known. */
export function addressBytes(): usize {
  return addressLength;
}

let at: u32 = 0;
let data: usize = 0;
let valueStart: usize = 0;
let valueLength: usize = 0;

/** Begins to look for the fields of a name. */
export function rewind(): void {
  at = 0;
  data = block + WORD + (<usize>count) * 2 * WORD;
}

/** Goes on to the next field of that name (lower-case). False: there is no further one. */
export function nextField(name: Utf8): bool {
  while (at < count) {
    const sizes = block + WORD + <usize>at * 2 * WORD;
    const nameLength = <usize>load<u32>(sizes);
    const start = data;
    valueStart = start + nameLength + 1;
    valueLength = <usize>load<u32>(sizes, WORD);
    data = valueStart + valueLength + 1;
    at += 1;
    if (nameLength == name.length && memory.compare(start, name.pointer, nameLength) == 0) {
      return true;
    }
  }
  return false;
}

export function fieldStart(): usize {
  return valueStart;
}

export function fieldLength(): usize {
  return valueLength;
}
