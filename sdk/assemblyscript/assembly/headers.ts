//! Header maps. Names are given as `Utf8`, so that a plug-in encodes each name once.

import {
  proxy_add_header_map_value,
  proxy_get_header_map_value,
  proxy_remove_header_map_value,
  proxy_replace_header_map_value,
} from "./abi";
import { Status } from "./enums";
import { outLength, outPointer, receivedText } from "./received";
import { Utf8 } from "./text";

/** Receives the first value of a header (see received.ts). False: there is no such header. */
export function receiveHeader(kind: i32, name: Utf8): bool {
  const status = proxy_get_header_map_value(
    kind,
    name.pointer,
    name.length,
    outPointer(),
    outLength(),
  );
  return status == Status.ok;
}

/** The first value of a header as text, or null. */
export function getHeader(kind: i32, name: Utf8): string | null {
  return receiveHeader(kind, name) ? receivedText() : null;
}

/** Sets one value and drops the others of that name. */
export function setHeader(kind: i32, name: Utf8, value: Utf8): bool {
  const status = proxy_replace_header_map_value(
    kind,
    name.pointer,
    name.length,
    value.pointer,
    value.length,
  );
  return status == Status.ok;
}

export function addHeader(kind: i32, name: Utf8, value: Utf8): bool {
  const status = proxy_add_header_map_value(
    kind,
    name.pointer,
    name.length,
    value.pointer,
    value.length,
  );
  return status == Status.ok;
}

export function removeHeader(kind: i32, name: Utf8): bool {
  return proxy_remove_header_map_value(kind, name.pointer, name.length) == Status.ok;
}
