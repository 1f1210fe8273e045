//! The bucket of a sticky share whose users a claim tells apart: as plugins/lane-bucket writes that of
//! the other keys, of what only this plug-in reads.

import { MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { numberOf, textOf } from "../../../sdk/assemblyscript/assembly/fields";
import { removeHeader, setHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import {
  HashKind,
  bucketOf,
  hashKindOf,
  prefixOf,
} from "../../../sdk/assemblyscript/assembly/key-hash";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { Operand } from "./operand";

const PPM_TOTAL: u32 = 1000000;

export class Bucket {
  private readonly header: Utf8;
  private readonly hash: HashKind;
  private readonly prefix: ArrayBuffer;
  private readonly modulo: u32;

  constructor(
    value: JsonValue,
    private readonly key: Operand,
    errors: string[],
  ) {
    const salt = value.get("salt");
    const name = textOf(value, "hash", errors);
    const modulo = numberOf(value, "modulo", PPM_TOTAL);
    const isDivisor = modulo > 0 && PPM_TOTAL % modulo == 0;
    this.header = new Utf8(textOf(value, "header", errors));
    this.hash = hashKindOf(name);
    this.prefix = prefixOf(hashKindOf(name), salt === null ? "" : salt.string);
    this.modulo = isDivisor ? modulo : 1;
    if (this.hash == HashKind.none) errors.push("hash " + name + " is not known");
    if (!isDivisor) errors.push("modulo must divide 1000000");
  }

  /** Nobody else's bucket counts. */
  mark(isHeadThere: bool): void {
    const key = this.key;
    if (!isHeadThere || !key.isThere() || key.length == 0) {
      removeHeader(MapKind.requestHeaders, this.header);
      return;
    }
    const before = <usize>this.prefix.byteLength;
    const bytes = heap.alloc(before + key.length);
    memory.copy(bytes, changetype<usize>(this.prefix), before);
    memory.copy(bytes + before, key.start, key.length);
    const bucket = bucketOf(this.hash, bytes, before + key.length, this.modulo);
    heap.free(bytes);
    setHeader(MapKind.requestHeaders, this.header, new Utf8(bucket.toString()));
  }
}
