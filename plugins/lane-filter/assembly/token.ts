//! The token (JWT) of a request, handed to Envoy's own filter that verifies signatures
//! (`envoy.filters.http.jwt_authn`): which one it is, and whether it is handed over at all, is decided
//! here as the embedded gateway decides it.

import { proxy_replace_header_map_value } from "../../../sdk/assemblyscript/assembly/abi";
import { MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { listOf, numberOf, textOf } from "../../../sdk/assemblyscript/assembly/fields";
import { removeHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { decodeBase64url, decodedLength } from "./base64url";
import { nextField, receiveHead, rewind } from "./head";
import { JsonPaths } from "./json-paths";
import { findPlaces } from "./json-scan";
import { QUOTE, writeValue } from "./json-text";
import { Operand, OperandKind, operandKindOf } from "./operand";
import { Output } from "./output";

const AUTHORIZATION = "authorization";
const BEARER = new Utf8("bearer");
const SPACE: u8 = 0x20;
const DOT: u8 = 0x2e;
const KEYS_MAX: i32 = 1000;
const ALGORITHMS_MAX: i32 = 100;
const CHARS_MAX: u32 = 65536;

class Key {
  constructor(
    /** Null: it has none. */
    readonly id: Utf8 | null,
    readonly algorithms: Utf8[],
    /** False: nothing can be verified with it. */
    readonly isUsable: bool,
  ) {}
}

export class TokenOffer {
  private readonly operand: Operand;
  private readonly field: Utf8;
  private readonly isHeader: bool;
  private readonly needsScheme: bool;
  private readonly charsMax: usize;
  /** Where the other filter finds the token, and where it writes the claims. */
  private readonly header: Utf8;
  private readonly claimsHeader: Utf8;
  private readonly keys: Key[] = [];
  private readonly paths: JsonPaths = new JsonPaths();
  private readonly algorithm: i32;
  private readonly keyId: i32;
  private readonly critical: i32;

  constructor(value: JsonValue, errors: string[]) {
    const kind = operandKindOf(textOf(value, "kind", errors));
    const name = textOf(value, "name", errors);
    this.operand = new Operand(kind, name, 0);
    this.field = new Utf8(name);
    this.header = new Utf8(textOf(value, "header", errors));
    this.claimsHeader = new Utf8(textOf(value, "claimsHeader", errors));
    this.isHeader = kind == OperandKind.header;
    this.needsScheme = name == AUTHORIZATION;
    this.charsMax = <usize>numberOf(value, "charsMax", CHARS_MAX);
    this.algorithm = this.paths.slotOf(this.paths.memberOf(0, "alg"));
    this.keyId = this.paths.slotOf(this.paths.memberOf(0, "kid"));
    this.critical = this.paths.slotOf(this.paths.memberOf(0, "crit"));
    if (!this.isHeader && kind != OperandKind.cookie && kind != OperandKind.query) {
      errors.push("token.kind must be header, cookie or query");
    }
    const keys = listOf(value, "keys", KEYS_MAX, errors);
    for (let index = 0; index < keys.length; index++) this.keys.push(keyOf(keys[index], errors));
  }

  /** What a client or another plug-in wrote there goes. */
  make(): void {
    if (!receiveHead(false)) return;
    const isOffered = this.isFound() && this.isAcceptable();
    if (isHere(this.claimsHeader)) removeHeader(MapKind.requestHeaders, this.claimsHeader);
    if (isOffered) {
      proxy_replace_header_map_value(
        MapKind.requestHeaders,
        this.header.pointer,
        this.header.length,
        start,
        length,
      );
    } else if (isHere(this.header)) removeHeader(MapKind.requestHeaders, this.header);
  }

  private isFound(): bool {
    const operand = this.operand;
    if (!operand.isThere()) return false;
    start = operand.start;
    length = operand.length;
    if (!this.isHeader) return true;
    // Of two nobody can say which one counts.
    if (isTwice(this.field)) return false;
    const hasScheme = isBearer(start, length);
    if (!hasScheme) return !this.needsScheme;
    const end = start + length;
    start += BEARER.length;
    while (start < end && load<u8>(start) == SPACE) start++;
    length = end - start;
    return true;
  }

  /** Three parts, signed in a way that is accepted, with the one key that it may be. */
  private isAcceptable(): bool {
    if (length > this.charsMax) return false;
    const end = start + length;
    const first = indexOfDot(start, end);
    const second = first < end ? indexOfDot(first + 1, end) : end;
    if (second >= end || second + 1 == end) return false;
    const bytes = decodedLength(start, first - start);
    if (bytes <= 0 || decodedLength(first + 1, second - first - 1) <= 0) return false;
    if (decodedLength(second + 1, end - second - 1) <= 0) return false;
    const head = heap.alloc(bytes);
    decodeBase64url(head, start, first - start);
    const isAccepted = findPlaces(head, bytes, this.paths) && this.hasKey();
    heap.free(head);
    return isAccepted;
  }

  private hasKey(): bool {
    if (this.paths.startOf(this.critical) != 0) return false;
    if (!this.readText(this.algorithm, algorithm)) return false;
    const hasId = this.paths.startOf(this.keyId) != 0;
    if (hasId && !this.readText(this.keyId, keyId)) return false;
    let found: Key | null = null;
    for (let index = 0; index < this.keys.length; index++) {
      const key = this.keys[index];
      if (hasId && !isIn(keyId, key.id)) continue;
      if (!isAmong(algorithm, key.algorithms)) continue;
      if (found !== null) return false;
      found = key;
    }
    return found !== null && found.isUsable;
  }

  private readText(slot: i32, output: Output): bool {
    const at = this.paths.startOf(slot);
    if (at == 0 || load<u8>(at) != QUOTE) return false;
    return writeValue(at, this.paths.endOf(slot), output);
  }
}

/** Of the token. */
let start: usize = 0;
let length: usize = 0;
const algorithm = new Output();
const keyId = new Output();

function keyOf(value: JsonValue, errors: string[]): Key {
  const id = value.get("kid");
  const list = listOf(value, "algorithms", ALGORITHMS_MAX, errors);
  const algorithms: Utf8[] = [];
  for (let index = 0; index < list.length; index++) algorithms.push(new Utf8(list[index].string));
  const isUsable = value.get("isUsable");
  return new Key(
    id === null ? null : new Utf8(id.string),
    algorithms,
    isUsable !== null && isUsable.boolean,
  );
}

function isHere(name: Utf8): bool {
  rewind();
  return nextField(name);
}

function isTwice(name: Utf8): bool {
  return isHere(name) && nextField(name);
}

function isBearer(at: usize, count: usize): bool {
  if (count <= BEARER.length || load<u8>(at + BEARER.length) != SPACE) return false;
  for (let index: usize = 0; index < BEARER.length; index++) {
    if ((load<u8>(at + index) | 0x20) != load<u8>(BEARER.pointer + index)) return false;
  }
  return true;
}

function indexOfDot(from: usize, end: usize): usize {
  let at = from;
  while (at < end && load<u8>(at) != DOT) at++;
  return at;
}

function isAmong(text: Output, values: Utf8[]): bool {
  for (let index = 0; index < values.length; index++) {
    if (isIn(text, values[index])) return true;
  }
  return false;
}

export function isIn(text: Output, value: Utf8 | null): bool {
  if (value === null || value.length != text.length) return false;
  return memory.compare(value.pointer, text.start, text.length) == 0;
}
