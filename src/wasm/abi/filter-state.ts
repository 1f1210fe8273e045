//! The foreign functions that concern Envoy's filter state: declare_property, which says how a
//! property of set_property behaves, and set_envoy_filter_state, which stores one of Envoy's own
//! objects. Those objects are kept and can be read back; nothing else here looks at them.

import { DeclaredProperties } from "../declared-properties.ts";
import { Status } from "../enums.ts";
import { latin1, utf8 } from "../field-text.ts";
import type { Vm } from "../vm.ts";
import { decodeBytesFields, decodeVarintFields } from "./protobuf.ts";

const NOTHING = new Uint8Array(0);
const NAME_BYTES_MAX = 1024;
const VALUE_BYTES_MAX = 64 * 1024;

/** Of `DeclarePropertyArguments`. Type, schema and life span change nothing that can be read. */
const DECLARED_NAME = 1;
const DECLARED_READ_ONLY = 2;
/** Of `SetEnvoyFilterStateArguments`. */
const STATE_PATH = 1;
const STATE_VALUE = 2;

/** What is stored of a value; null: it cannot be this object. A copy, for guest memory changes. */
type Reader = (value: Uint8Array) => Uint8Array | null;

const asText: Reader = (value) => value.slice();

const asUint32: Reader = (value) => {
  const text = latin1(value);
  const isUint32 = /^\d{1,10}$/.test(text) && Number(text) <= 0xffff_ffff;
  return isUint32 ? Buffer.from(String(Number(text))) : null;
};

/** The objects of Envoy that plug-ins may store here. */
const OBJECTS: ReadonlyMap<string, Reader> = new Map([
  ["envoy.string", asText],
  ["envoy.hashable_string", asText],
  ["envoy.network.upstream_server_name", asText],
  ["envoy.network.network_namespace", asText],
  ["envoy.tcp_proxy.cluster", asText],
  ["envoy.upstream.dynamic_host", asText],
  ["envoy.upstream.dynamic_port", asUint32],
  ["envoy.ratelimit.hits_addend", asUint32],
]);

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
  const status = context.declared.declare(utf8(name), isReadOnly);
  return status === Status.ok ? NOTHING : status;
}

export function setEnvoyFilterState(vm: Vm, input: Uint8Array): Uint8Array | Status {
  const fields = decodeBytesFields(input);
  if (fields === null) return Status.badArgument;
  const path = utf8(fields.get(STATE_PATH) ?? NOTHING);
  const value = fields.get(STATE_VALUE) ?? NOTHING;
  const read = OBJECTS.get(path);
  if (read === undefined) return Status.notFound;
  if (value.length > VALUE_BYTES_MAX) return Status.internalFailure;
  const stored = read(value);
  if (stored === null) return Status.badArgument;
  const host = vm.stream?.host;
  if (host?.setFilterState === undefined) return Status.notFound;
  host.setFilterState(path, stored);
  return NOTHING;
}
