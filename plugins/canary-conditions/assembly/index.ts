//! Canary by conditions: a request that meets one group of conditions on its headers, query,
//! cookies, address and JSON body carries the tag of a lane.
//!
//! A condition on the body needs the headers held back while the body comes. That is Higress' ABI
//! 0.2.100; with 0.2.1 a plug-in that holds the headers gets no body.

import { proxy_get_buffer_bytes } from "../../../sdk/assemblyscript/assembly/abi";
import { configurationText } from "../../../sdk/assemblyscript/assembly/configuration";
import {
  HeadersAction,
  LogLevel,
  MapKind,
  Status,
} from "../../../sdk/assemblyscript/assembly/enums";
import { removeHeader, setHeader } from "../../../sdk/assemblyscript/assembly/headers";
import { log } from "../../../sdk/assemblyscript/assembly/log";
import { outLength, outPointer, receivedText } from "../../../sdk/assemblyscript/assembly/received";
import { Condition, Configuration, Place, readConfiguration } from "./configuration";
import { isInNetwork } from "./network";
import { bodyValue, cookieValue, headerValue, queryValue } from "./operands";

export { graylane_on_explain, malloc } from "../../../sdk/assemblyscript/assembly/exports";

/** Never called: its name tells the host which ABI this module speaks. */
export function proxy_abi_version_0_2_100(): void {}

const REQUEST_BODY: i32 = 0;
/** A longer body is not looked at: its conditions are not met. */
const BODY_BYTES_MAX: u32 = 65536;

namespace BodyAction {
  export const proceed: u32 = 0;
  export const buffer: u32 = 1;
}

let configuration: Configuration = new Configuration();
/** Exchanges whose headers are held back. */
let waiting: u32[] = [];

export function proxy_on_configure(_root: u32, size: u32): u32 {
  const errors: string[] = [];
  const read = readConfiguration(configurationText(size), errors);
  for (let index = 0; index < errors.length; index++) {
    log(LogLevel.error, "canary-conditions: " + errors[index]);
  }
  if (errors.length > 0) return 0;
  configuration = read;
  return 1;
}

export function proxy_on_request_headers(stream: u32, _count: u32, endOfStream: u32): u32 {
  const waits = endOfStream == 0 && configuration.readsBody && isJson();
  if (waits) waiting.push(stream);
  else decide("");
  __collect();
  return waits ? HeadersAction.stop : HeadersAction.proceed;
}

export function proxy_on_request_body(stream: u32, size: u32, endOfStream: u32): u32 {
  if (waiting.indexOf(stream) < 0) return BodyAction.proceed;
  if (endOfStream == 0 && size <= BODY_BYTES_MAX) return BodyAction.buffer;
  forget(stream);
  decide(size <= BODY_BYTES_MAX ? bodyText(size) : "");
  __collect();
  return BodyAction.proceed;
}

export function proxy_on_delete(stream: u32): void {
  forget(stream);
}

function forget(stream: u32): void {
  const index = waiting.indexOf(stream);
  if (index >= 0) waiting.splice(index, 1);
}

function isJson(): bool {
  const type = headerValue("content-type");
  return type !== null && type.toLowerCase().startsWith("application/json");
}

function bodyText(size: u32): string {
  const status = proxy_get_buffer_bytes(REQUEST_BODY, 0, size, outPointer(), outLength());
  return status == Status.ok ? receivedText() : "";
}

/** A tag that the client sent itself is removed. */
function decide(body: string): void {
  const groups = configuration.anyOf;
  for (let index = 0; index < groups.length; index++) {
    if (!meetsAll(groups[index], body)) continue;
    setHeader(MapKind.requestHeaders, configuration.tagHeader, configuration.tagValue);
    return;
  }
  removeHeader(MapKind.requestHeaders, configuration.tagHeader);
}

function meetsAll(conditions: Condition[], body: string): bool {
  for (let index = 0; index < conditions.length; index++) {
    if (!isMet(conditions[index], body)) return false;
  }
  return true;
}

function isMet(condition: Condition, body: string): bool {
  const value = valueOf(condition, body);
  if (value === null) return false;
  if (condition.values.length > 0) return condition.values.includes(value);
  if (condition.networks.length > 0) return isInNetwork(clientOf(value), condition.networks);
  return value.startsWith(condition.prefix);
}

function valueOf(condition: Condition, body: string): string | null {
  switch (condition.place) {
    case Place.header:
      return headerValue(condition.name);
    case Place.query:
      return queryValue(condition.name);
    case Place.cookie:
      return cookieValue(condition.name);
    default:
      return body == "" ? null : bodyValue(body, condition.name);
  }
}

/** Of a list of addresses the last but as many as there are proxies; `""` when there are fewer. */
function clientOf(list: string): string {
  const addresses = list.split(",");
  const index = addresses.length - 1 - configuration.trustedHops;
  return index < 0 ? "" : addresses[index].trim();
}
