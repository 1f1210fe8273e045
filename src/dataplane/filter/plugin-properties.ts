//! Properties that plug-ins read of a response and of the client's connection (Envoy's attributes).

import type { Headers } from "../../http/headers.ts";
import {
  encodeBoolean,
  encodeInteger,
  encodeLatin1,
  encodeMap,
} from "../../wasm/property-encoding.ts";
import type { ResponseDraft } from "../exchange/handler.ts";

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

/** All values of a field, as Envoy joins them; null when it is absent. */
export function fieldProperty(headers: Headers, name: string): Uint8Array | null {
  const values = headers.getAll(name.toLowerCase());
  return values.length === 0 ? null : encodeLatin1(values.join(","));
}

/** `response` is null until there is one. */
export function responseProperty(
  response: ResponseDraft | null,
  path: readonly string[],
): Uint8Array | null {
  const part = path[1] ?? "";
  if (part === "flags") return encodeInteger(0);
  if (part === "trailers" && path.length === 2) return encodeMap([]);
  if (response === null) return null;
  switch (part) {
    case "code":
      return encodeInteger(response.status);
    case "code_details":
      return response.local ? null : encodeLatin1("via_upstream");
    case "grpc_status":
      return encodeInteger(grpcStatusOf(response));
    case "headers":
      return path[2] === undefined ? null : fieldProperty(response.headers, path[2]);
    default:
      return null;
  }
}

function grpcStatusOf({ status, headers }: ResponseDraft): number {
  const own = headers.get("grpc-status");
  if (own !== undefined && /^\d{1,2}$/.test(own)) return Number(own);
  return grpcStatusFor(status);
}

/** gRPC's status for an HTTP status. */
export function grpcStatusFor(status: number): number {
  return GRPC_STATUS[status] ?? GRPC_UNKNOWN;
}

/** Clients of plug-ins' listeners speak in clear here. */
export const CONNECTION_PROPERTIES: Readonly<Record<string, () => Uint8Array>> = {
  mtls: () => encodeBoolean(false),
  requested_server_name: () => encodeLatin1(""),
};
