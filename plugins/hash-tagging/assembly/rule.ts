//! One rule: a hash of a header's value, modulo a number, falls below one of the policies' bounds.

import { MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { explain } from "../../../sdk/assemblyscript/assembly/explain";
import { receiveHeader, setHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { quote } from "../../../sdk/assemblyscript/assembly/json";
import {
  receivedLength,
  receivedPointer,
} from "../../../sdk/assemblyscript/assembly/received";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";

const OFFSET_BASIS: u32 = 0x811c9dc5;
const PRIME: u32 = 0x01000193;
/** A report shows at most this much of a header value. */
const SHOWN_BYTES_MAX: usize = 256;

/** Bounds are cumulative: the first policy whose range is above the bucket wins. */
export class Policy {
  constructor(
    readonly range: u32,
    readonly tagValue: string,
    readonly tagBytes: Utf8,
  ) {}
}

export class Rule {
  private readonly headerBytes: Utf8;
  private readonly tagHeaderBytes: Utf8;

  constructor(
    readonly header: string,
    readonly modulo: u32,
    readonly tagHeader: string,
    readonly policies: Policy[],
  ) {
    this.headerBytes = new Utf8(header);
    this.tagHeaderBytes = new Utf8(tagHeader);
  }

  /** Sets the tag header, or leaves it alone when the header is missing or no policy matches. */
  apply(index: i32, isExplained: bool): void {
    if (!receiveHeader(MapKind.requestHeaders, this.headerBytes)) {
      if (isExplained) this.report(index, null, 0, null);
      return;
    }
    const hash = fnv1a32(receivedPointer(), receivedLength());
    const policy = this.choose(hash % this.modulo);
    if (policy !== null) setHeader(MapKind.requestHeaders, this.tagHeaderBytes, policy.tagBytes);
    if (isExplained) this.report(index, shownValue(), hash, policy);
  }

  private choose(bucket: u32): Policy | null {
    const policies = this.policies;
    for (let index = 0; index < policies.length; index++) {
      const policy = unchecked(policies[index]);
      if (bucket < policy.range) return policy;
    }
    return null;
  }

  private report(index: i32, value: string | null, hash: u32, policy: Policy | null): void {
    let json = '{"plugin":"hash-tagging","rule":' + index.toString();
    json += ',"header":' + quote(this.header);
    if (value !== null) {
      json += ',"value":' + quote(value);
      json += ',"hash":"fnv1a-32","hashValue":' + hash.toString();
      json += ',"modulo":' + this.modulo.toString();
      json += ',"bucket":' + (hash % this.modulo).toString();
    }
    json += ',"tagHeader":' + quote(this.tagHeader);
    if (policy !== null) {
      json += ',"limit":' + policy.range.toString();
      json += ',"tagValue":' + quote(policy.tagValue);
    } else {
      const reason = value === null ? "no such header" : "no policy matches";
      json += ',"tagValue":null,"reason":' + quote(reason);
    }
    explain(json + "}");
  }
}

/** The header's value: what was received last. */
function shownValue(): string {
  return String.UTF8.decodeUnsafe(receivedPointer(), min(receivedLength(), SHOWN_BYTES_MAX));
}

/** FNV-1a, 32 bit, of bytes in memory. */
function fnv1a32(pointer: usize, length: usize): u32 {
  let hash = OFFSET_BASIS;
  const end = pointer + length;
  for (let at = pointer; at < end; at++) hash = (hash ^ load<u8>(at)) * PRIME;
  return hash;
}
