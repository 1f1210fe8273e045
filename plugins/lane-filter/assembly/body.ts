//! The body of the request at hand, for the operands that read one. Its bytes are another's: they
//! are there while rules are asked.

import { BodyKind, bodyKindOf } from "./media-type";
import { fieldLength, fieldStart, nextField, rewind } from "./head";
import { isSame } from "./parameters";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

export const CONTENT_TYPE = new Utf8("content-type");
const CONTENT_ENCODING = new Utf8("content-encoding");
const IDENTITY = new Utf8("identity");

let start: usize = 0;
let length: usize = 0;
/** More than was held: nothing is read of it. */
let isCut: bool = false;

export function setBody(bytes: usize, count: usize, isTooLong: bool): void {
  start = bytes;
  length = count;
  isCut = isTooLong;
}

export function bodyStart(): usize {
  return start;
}

export function bodyBytes(): usize {
  return length;
}

/** `other` where it cannot be read. */
export function readableKind(bytesMax: usize): BodyKind {
  return isCut || length > bytesMax ? BodyKind.other : kindInHead();
}

/** By the head alone. */
export function kindInHead(): BodyKind {
  rewind();
  if (nextField(CONTENT_ENCODING) && fieldLength() > 0) {
    const isIdentity =
      fieldLength() == IDENTITY.length && isSame(fieldStart(), IDENTITY.pointer, IDENTITY.length);
    if (!isIdentity) return BodyKind.other;
  }
  rewind();
  return nextField(CONTENT_TYPE) ? bodyKindOf(fieldStart(), fieldLength()) : BodyKind.other;
}
