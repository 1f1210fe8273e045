//! The foreign functions that concern Envoy's filter state: declare_property, which says how a
//! property of set_property behaves, and set_envoy_filter_state, which stores one of Envoy's own
//! objects (`envoy-objects.ts`).

import { BYTES, DeclaredProperties } from "../declared-properties.ts";
import type { PropertyType } from "../declared-properties.ts";
import { LifeSpan, Status } from "../enums.ts";
import { latin1, utf8 } from "../field-text.ts";
import type { Vm } from "../vm.ts";
import { ENVOY_OBJECTS } from "../envoy-objects.ts";
import { decodeBytesFields, decodeVarintFields } from "./protobuf.ts";

const NOTHING = new Uint8Array(0);
const NAME_BYTES_MAX = 1024;
const VALUE_BYTES_MAX = 64 * 1024;

/** Of `DeclarePropertyArguments`. */
const DECLARED_NAME = 1;
const DECLARED_READ_ONLY = 2;
const DECLARED_TYPE = 3;
const DECLARED_SCHEMA = 4;
const DECLARED_LIFE_SPAN = 5;
const TYPE_TEXT = 1;
const TYPE_MESSAGE = 3;
/** Of `SetEnvoyFilterStateArguments`. */
const STATE_PATH = 1;
const STATE_VALUE = 2;
const STATE_LIFE_SPAN = 3;

/**
 * Of the context whose callback runs, whatever the effective one is. What a root context declares
 * holds in all its streams; what a stream declares has no effect, as in Envoy.
 */
export function declareProperty(vm: Vm, input: Uint8Array): Uint8Array | Status {
  const texts = decodeBytesFields(input);
  const numbers = decodeVarintFields(input);
  const context = vm.enteredStream ?? vm.enteredRoot;
  if (texts === null || numbers === null || context === null) return Status.badArgument;
  const name = texts.get(DECLARED_NAME) ?? NOTHING;
  if (name.length > NAME_BYTES_MAX) return Status.badArgument;
  context.declared ??= new DeclaredProperties();
  const isReadOnly = (numbers.get(DECLARED_READ_ONLY) ?? 0) !== 0;
  const lifeSpan = lifeSpanOf(numbers.get(DECLARED_LIFE_SPAN));
  const schema = texts.get(DECLARED_SCHEMA) ?? NOTHING;
  if (schema.length > NAME_BYTES_MAX) return Status.badArgument;
  const type = typeOf(numbers.get(DECLARED_TYPE), latin1(schema));
  const status = context.declared.declare(utf8(name), { isReadOnly, lifeSpan, type });
  return status === Status.ok ? NOTHING : status;
}

export function setEnvoyFilterState(vm: Vm, input: Uint8Array): Uint8Array | Status {
  const fields = decodeBytesFields(input);
  const numbers = decodeVarintFields(input);
  if (fields === null || numbers === null) return Status.badArgument;
  const path = utf8(fields.get(STATE_PATH) ?? NOTHING);
  const value = fields.get(STATE_VALUE) ?? NOTHING;
  const read = ENVOY_OBJECTS.get(path);
  if (read === undefined) return Status.notFound;
  if (value.length > VALUE_BYTES_MAX) return Status.internalFailure;
  const parts = read(value);
  if (parts === null) return Status.badArgument;
  const host = vm.stream?.host;
  if (host?.setFilterState === undefined) return Status.notFound;
  const lifeSpan = lifeSpanOf(numbers.get(STATE_LIFE_SPAN));
  for (const [part, bytes] of parts) {
    const status = host.setFilterState(path + part, bytes, lifeSpan);
    if (status !== Status.ok) return status;
  }
  return NOTHING;
}

/** Envoy's FlatBuffers (2), too, are only bytes here. */
function typeOf(number: number | undefined, schema: string): PropertyType {
  if (number === TYPE_TEXT) return { kind: "text" };
  return number === TYPE_MESSAGE ? { kind: "message", typeUrl: schema } : BYTES;
}

/** A number that Envoy does not know counts as the first. */
function lifeSpanOf(number: number | undefined): LifeSpan {
  return number === LifeSpan.request || number === LifeSpan.connection
    ? number
    : LifeSpan.filterChain;
}
