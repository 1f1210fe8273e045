//! Sticky percentage: the users whose hash falls under a ratio carry `x-mse-tag: gray`.
//!
//! Compares with `<=`, as the published plug-in does: a ratio of 0 still takes one bucket.

import { configurationText } from "../../../sdk/assemblyscript/assembly/configuration";
import { HeadersAction, LogLevel, MapKind } from "../../../sdk/assemblyscript/assembly/enums";
import { addHeader, receiveHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { log } from "../../../sdk/assemblyscript/assembly/log";
import { receivedPointer, receivedLength } from "../../../sdk/assemblyscript/assembly/received";
import { Utf8 } from "../../../sdk/assemblyscript/assembly/text";
import { Configuration, readConfiguration } from "./configuration";
import { sha256Remainder } from "../../../sdk/assemblyscript/assembly/sha256";

export {
  graylane_on_explain,
  malloc,
  proxy_abi_version_0_2_1,
} from "../../../sdk/assemblyscript/assembly/exports";

const TAG_HEADER = new Utf8("x-mse-tag");
const TAG_VALUE = new Utf8("gray");

let configuration: Configuration = new Configuration();

export function proxy_on_configure(_root: u32, size: u32): u32 {
  const errors: string[] = [];
  const read = readConfiguration(configurationText(size), errors);
  for (let index = 0; index < errors.length; index++) {
    log(LogLevel.error, "params-random: " + errors[index]);
  }
  if (errors.length > 0) return 0;
  configuration = read;
  return 1;
}

export function proxy_on_request_headers(_stream: u32, _count: u32, _endOfStream: u32): u32 {
  if (matchesAny() || isInRatio()) addHeader(MapKind.requestHeaders, TAG_HEADER, TAG_VALUE);
  return HeadersAction.proceed;
}

/** One header that has the wanted value is enough. */
function matchesAny(): bool {
  const conditions = configuration.anyOf;
  for (let index = 0; index < conditions.length; index++) {
    const condition = unchecked(conditions[index]);
    if (!receiveHeader(MapKind.requestHeaders, condition.header)) continue;
    const value = condition.value;
    if (receivedLength() != value.length) continue;
    if (memory.compare(receivedPointer(), value.pointer, value.length) == 0) return true;
  }
  return false;
}

/** A request without the header is never in the canary. */
function isInRatio(): bool {
  if (!configuration.isEnabled) return false;
  if (!receiveHeader(MapKind.requestHeaders, configuration.header)) return false;
  const bucket = sha256Remainder(receivedPointer(), receivedLength(), configuration.modulo);
  return bucket <= configuration.ratio;
}
