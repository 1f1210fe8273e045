//! The claims of the token that Envoy has verified (`envoy.filters.http.jwt_authn`), of which it has
//! checked the signature. What else makes a token good for here is checked as the embedded gateway
//! does: its times, its issuer and whom it is for.

import { proxy_get_current_time_nanoseconds } from "../../../sdk/assemblyscript/assembly/abi";
import { MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { listOf, textOf } from "../../../sdk/assemblyscript/assembly/fields";
import { receiveHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { JsonValue } from "../../../sdk/assemblyscript/assembly/json";
import { receiveProperty } from "../../../sdk/assemblyscript/assembly/properties";
import { receivedLength } from "../../../sdk/assemblyscript/assembly/received";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { decodeBase64url, decodedLength } from "./base64url";
import { fieldLength, fieldStart, nextField, requestNumber, rewind } from "./head";
import { JsonPaths } from "./json-paths";
import { findPlaces } from "./json-scan";
import { QUOTE, hasText, writeValue } from "./json-text";
import { Operand, OperandKind } from "./operand";
import { Output } from "./output";

/**
 * The other filter writes the header of the token that it has verified there, where nobody who sends
 * a request can. A chain without that filter has nothing there, whatever a request says.
 */
const PROOF = new Utf8("metadata\0filter_metadata\0envoy.filters.http.jwt_authn\0graylane\0alg");
const AUDIENCES_MAX: i32 = 1000;
const NANOSECONDS: u64 = 1000000000;
const TIME: usize = memory.data(8);

export class Claims {
  readonly paths: JsonPaths = new JsonPaths();
  /** Where the other filter writes the claims, in base64url. */
  private readonly header: Utf8;
  /** Null: any. */
  private readonly issuers: Utf8[] | null;
  private readonly audiences: Utf8[] | null;
  private readonly expiry: i32;
  private readonly begin: i32;
  private readonly issuedBy: i32;
  private readonly isFor: i32;
  private isProven: bool = false;
  private readAt: u32 = 0;
  private isGood: bool = false;
  private bytes: usize = 0;

  constructor(value: JsonValue, errors: string[]) {
    this.header = new Utf8(textOf(value, "header", errors));
    const issuer = value.get("issuer");
    this.issuers = issuer === null ? null : [new Utf8(issuer.string)];
    this.audiences = value.get("audiences") === null ? null : textsOf(value, errors);
    this.expiry = this.paths.slotOf(this.paths.memberOf(0, "exp"));
    this.begin = this.paths.slotOf(this.paths.memberOf(0, "nbf"));
    this.issuedBy = this.paths.slotOf(this.paths.memberOf(0, "iss"));
    this.isFor = this.paths.slotOf(this.paths.memberOf(0, "aud"));
  }

  /** Before the head is received: what is received here takes its place. */
  prove(): void {
    this.isProven =
      receiveHeader(MapKind.requestHeaders, this.header) &&
      receiveProperty(PROOF) &&
      receivedLength() > 0;
  }

  /** Of the request at hand. */
  areGood(): bool {
    if (this.readAt != requestNumber()) {
      this.readAt = requestNumber();
      this.isGood = this.isProven && this.read() && this.isFitting();
    }
    return this.isGood;
  }

  private read(): bool {
    rewind();
    if (!nextField(this.header)) return false;
    const size = decodedLength(fieldStart(), fieldLength());
    if (size <= 0) return false;
    if (this.bytes != 0) heap.free(this.bytes);
    this.bytes = heap.alloc(size);
    decodeBase64url(this.bytes, fieldStart(), fieldLength());
    return findPlaces(this.bytes, size, this.paths);
  }

  private isFitting(): bool {
    const now = seconds();
    if (this.isThere(this.expiry) && !(this.numberAt(this.expiry) > now)) return false;
    if (this.isThere(this.begin) && !(this.numberAt(this.begin) <= now)) return false;
    const issuers = this.issuers;
    if (issuers !== null) {
      const at = this.paths.startOf(this.issuedBy);
      if (at == 0 || load<u8>(at) != QUOTE) return false;
      if (!hasText(at, this.paths.endOf(this.issuedBy), issuers, output)) return false;
    }
    const audiences = this.audiences;
    if (audiences === null) return true;
    const at = this.paths.startOf(this.isFor);
    return at != 0 && hasText(at, this.paths.endOf(this.isFor), audiences, output);
  }

  private isThere(slot: i32): bool {
    return this.paths.startOf(slot) != 0;
  }

  /** Not a number where there is none. */
  private numberAt(slot: i32): f64 {
    const at = this.paths.startOf(slot);
    if (load<u8>(at) == QUOTE || !writeValue(at, this.paths.endOf(slot), output)) return NaN;
    return parseFloat(String.UTF8.decodeUnsafe(output.start, output.length));
  }
}

export class ClaimOperand extends Operand {
  private readonly output: Output = new Output();

  constructor(
    text: string,
    private readonly claims: Claims,
    private readonly slot: i32,
  ) {
    super(OperandKind.claim, text, 0);
  }

  protected read(): bool {
    if (!this.claims.areGood()) return false;
    const paths = this.claims.paths;
    const at = paths.startOf(this.slot);
    const output = this.output;
    if (at == 0 || !writeValue(at, paths.endOf(this.slot), output)) return false;
    this.start = output.start;
    this.length = output.length;
    return true;
  }
}

const output = new Output();

function textsOf(value: JsonValue, errors: string[]): Utf8[] {
  const list = listOf(value, "audiences", AUDIENCES_MAX, errors);
  const texts: Utf8[] = [];
  for (let index = 0; index < list.length; index++) texts.push(new Utf8(list[index].string));
  return texts;
}

/** Whole ones, since 1970. */
function seconds(): f64 {
  proxy_get_current_time_nanoseconds(TIME);
  return <f64>(load<u64>(TIME) / NANOSECONDS);
}
