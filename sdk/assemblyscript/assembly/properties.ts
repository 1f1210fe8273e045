//! Properties of the exchange. Parts of a path are joined by "\0": `request\0path`.

import { proxy_get_property, proxy_set_property } from "./abi";
import { Status } from "./enums";
import { outLength, outPointer, receivedText } from "./received";
import { Utf8 } from "./text";

/** Receives a property's bytes (see received.ts). False: it is not known here. */
export function receiveProperty(path: Utf8): bool {
  return proxy_get_property(path.pointer, path.length, outPointer(), outLength()) == Status.ok;
}

/** A property as text, or null. */
export function getProperty(path: string): string | null {
  return receiveProperty(new Utf8(path)) ? receivedText() : null;
}

export function setProperty(name: string, value: string): bool {
  const nameBytes = new Utf8(name);
  const valueBytes = new Utf8(value);
  const status = proxy_set_property(
    nameBytes.pointer,
    nameBytes.length,
    valueBytes.pointer,
    valueBytes.length,
  );
  return status == Status.ok;
}
