//! Header fields as Latin-1 text: one character for each byte, whatever the bytes are.

import { proxy_add_header_map_value } from "../../../sdk/assemblyscript/assembly/abi";
import { MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { receiveHeader, removeHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { receiveProperty } from "../../../sdk/assemblyscript/assembly/properties";
import { receivedLength, receivedPointer } from "../../../sdk/assemblyscript/assembly/received";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

/** Of the fields read since `isManyChars` has said so. */
let charCount: usize = 0;

/** What is made of long fields is given back sooner. */
const CHARS_PER_COLLECTION: usize = 65536;

export function isManyChars(): bool {
  if (charCount < CHARS_PER_COLLECTION) return false;
  charCount = 0;
  return true;
}

/** Of several fields the first; null: there is none. */
export function fieldOf(name: Utf8): string | null {
  return receiveHeader(MapKind.requestHeaders, name) ? receivedField() : null;
}

/** Several fields as one list; null: there is none. `property` is the same as a property. */
export function listField(name: Utf8, property: Utf8): string | null {
  if (!receiveHeader(MapKind.requestHeaders, name)) return null;
  // Envoy joins the values of several fields there.
  if (!receiveProperty(property)) receiveHeader(MapKind.requestHeaders, name);
  return receivedField();
}

function receivedField(): string {
  const length = receivedLength();
  charCount += length;
  const text = changetype<string>(__new(length << 1, idof<string>()));
  const from = receivedPointer();
  for (let index: usize = 0; index < length; index++) {
    store<u16>(changetype<usize>(text) + (index << 1), load<u8>(from + index));
  }
  return text;
}

/** In the place of all fields of that name. */
export function setField(name: Utf8, text: string): void {
  const bytes = new StaticArray<u8>(text.length);
  for (let index = 0; index < text.length; index++) {
    bytes[index] = <u8>text.charCodeAt(index);
  }
  removeHeader(MapKind.requestHeaders, name);
  proxy_add_header_map_value(
    MapKind.requestHeaders,
    name.pointer,
    name.length,
    changetype<usize>(bytes),
    bytes.length,
  );
}

export function removeField(name: Utf8): void {
  removeHeader(MapKind.requestHeaders, name);
}
