//! Properties that plug-ins read of a request and of its response (Envoy's attributes). What a
//! phase hides is null in its view.

import type { Headers } from "../../http/headers.ts";
import { versionText } from "../../http/request-parser.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import {
  encodeInteger,
  encodeLatin1,
  encodeMap,
  encodeTime,
} from "../../wasm/property-encoding.ts";
import { bytesOf } from "../../wasm/header-pairs.ts";
import type { HeaderMap } from "../../wasm/stream-host.ts";
import { codeDetailsOf, responseFlagsOf } from "./exchange-facts.ts";
import type { GatewayPass } from "./gateway-pass.ts";

/** An exchange as its plug-in may see it now. */
export interface PropertyView {
  readonly pass: GatewayPass;
  readonly requestHead: HeaderMap | null;
  readonly responseHead: HeaderMap | null;
  readonly responseTrailers: HeaderMap | null;
}

/** gRPC's status for an HTTP status, where a response has none of its own (grpc/doc/http-grpc). */
const GRPC_STATUS: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};
const GRPC_UNKNOWN = 2;

/** Of the request's fields that a plug-in may see now. */
export function requestProperty(view: PropertyView, path: readonly string[]): Uint8Array | null {
  const { request } = view.pass;
  const [, part = "", name] = path;
  if (part === "headers") {
    return name === undefined
      ? mapProperty(view.requestHead, undefined, null)
      : fieldProperty(request.headers, name);
  }
  const read = OF_HEAD.get(part);
  if (read !== undefined) return textOf(read(request));
  const field = FIELD_NAMES.get(part);
  if (field !== undefined) return fieldProperty(request.headers, field);
  return OF_REQUEST.get(part)?.(view) ?? null;
}

type Read = (view: PropertyView) => Uint8Array | null;

const OF_REQUEST: ReadonlyMap<string, Read> = new Map<string, Read>([
  ["time", ({ pass: { owner } }) => encodeTime(owner.facts?.startedAtMs ?? owner.nowMs())],
  ["duration", ({ pass }) => durationOf(pass.owner.facts?.durationMs)],
  ["size", requestSize],
  ["total_size", (view) => encodeInteger(requestBytes(view) + sizeOf(view.requestHead))],
  ["headers_bytes", (view) => encodeInteger(sizeOf(view.requestHead))],
  ["scheme", (view) => encodeLatin1(view.requestHead?.get(":scheme") ?? "")],
]);

function requestBytes({ pass }: PropertyView): number {
  return pass.owner.facts?.requestBytes ?? 0;
}

/** Null: a plug-in has removed it. */
function textOf(text: string | null): Uint8Array | null {
  return text === null ? null : encodeLatin1(text);
}

/** As announced, as long as the plug-in can see that; then what has come. */
function requestSize(view: PropertyView): Uint8Array | null {
  const announced = view.requestHead?.get("content-length");
  if (announced === undefined) return encodeInteger(requestBytes(view));
  return /^\d{1,15}$/.test(announced) ? encodeInteger(Number(announced)) : null;
}

function durationOf(ms: number | null | undefined): Uint8Array | null {
  return ms === null || ms === undefined ? null : encodeTime(ms);
}

function sizeOf(map: HeaderMap | null): number {
  return map === null ? 0 : bytesOf(map);
}

export function responseProperty(view: PropertyView, path: readonly string[]): Uint8Array | null {
  const [, part = "", name] = path;
  if (part === "headers") return mapProperty(view.responseHead, name, null);
  if (part === "trailers") return mapProperty(view.responseTrailers, name, NO_FIELDS);
  return OF_RESPONSE.get(part)?.(view) ?? null;
}

const NO_FIELDS = encodeMap([]);

const OF_RESPONSE: ReadonlyMap<string, Read> = new Map<string, Read>([
  ["code", codeProperty],
  ["code_details", detailsProperty],
  ["flags", ({ pass: { owner } }) => encodeInteger(owner.facts ? responseFlagsOf(owner.facts) : 0)],
  ["grpc_status", grpcProperty],
  ["size", (view) => encodeInteger(responseBytes(view))],
  ["total_size", (view) => encodeInteger(responseBytes(view) + headBytes(view))],
  ["headers_bytes", (view) => encodeInteger(sizeOf(view.responseHead))],
  ["backend_latency", ({ pass }) => durationOf(pass.owner.facts?.backendMs)],
]);

function responseBytes({ pass }: PropertyView): number {
  return pass.owner.facts?.responseBytes ?? 0;
}

function headBytes(view: PropertyView): number {
  return sizeOf(view.responseHead) + sizeOf(view.responseTrailers);
}

function codeProperty({ pass }: PropertyView): Uint8Array | null {
  const status = statusOf(pass);
  return status === 0 ? null : encodeInteger(status);
}

function detailsProperty({ pass }: PropertyView): Uint8Array | null {
  const { facts } = pass.owner;
  return facts === null ? null : textOf(codeDetailsOf(facts, pass.response));
}

/** 0: there is none yet. What has been sent is what counts. */
function statusOf({ owner, response }: GatewayPass): number {
  const sent = owner.facts?.status ?? 0;
  return sent === 0 ? (response?.status ?? 0) : sent;
}

function grpcProperty({ pass, responseHead, responseTrailers }: PropertyView): Uint8Array | null {
  const status = statusOf(pass);
  if (status === 0) return null;
  const own = responseTrailers?.get("grpc-status") ?? responseHead?.get("grpc-status");
  const isNumber = own !== undefined && /^\d{1,2}$/.test(own);
  return encodeInteger(isNumber ? Number(own) : grpcStatusFor(status));
}

/** gRPC's status for an HTTP status. */
export function grpcStatusFor(status: number): number {
  return GRPC_STATUS[status] ?? GRPC_UNKNOWN;
}

/** All of a map, or the values of one field. `absent`: of a map that is hidden. */
function mapProperty(
  map: HeaderMap | null,
  name: string | undefined,
  absent: Uint8Array | null,
): Uint8Array | null {
  if (map === null) return name === undefined ? absent : null;
  if (name === undefined) return fieldsProperty(map);
  const wanted = name.toLowerCase();
  const values: string[] = [];
  map.forEach((field, value) => {
    if (field === wanted) values.push(value);
  });
  return values.length === 0 ? null : encodeLatin1(values.join(","));
}

/** All values of a field, as Envoy joins them; null when it is absent. */
function fieldProperty(headers: Headers, name: string): Uint8Array | null {
  const values = headers.getAll(name.toLowerCase());
  return values.length === 0 ? null : encodeLatin1(values.join(","));
}

/** All fields of a head, each with its values joined. */
function fieldsProperty(head: HeaderMap): Uint8Array {
  const values = new Map<string, string>();
  head.forEach((name, value) => {
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  });
  return encodeMap([...values]);
}

function pathLength(target: string): number {
  const query = target.indexOf("?");
  return query === -1 ? target.length : query;
}

const OF_HEAD: ReadonlyMap<string, (head: RequestHead) => string | null> = new Map([
  ["path", ({ target }: RequestHead) => (target === "" ? null : target)],
  ["url_path", ({ target }: RequestHead) => target.slice(0, pathLength(target))],
  ["query", ({ target }: RequestHead) => target.slice(pathLength(target) + 1)],
  ["host", ({ authority }: RequestHead) => (authority === "" ? null : authority)],
  ["method", ({ method }: RequestHead) => (method === "" ? null : method)],
  ["protocol", versionText],
]);

/** Properties that are a field of the request under another name. */
const FIELD_NAMES: ReadonlyMap<string, string> = new Map([
  ["id", "x-request-id"],
  ["referer", "referer"],
  ["useragent", "user-agent"],
]);
