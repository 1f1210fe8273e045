//! Commands of access log formats that ask for more than a line of ours has: connections, TLS,
//! fields of responses.

import { hostname } from "node:os";
import type { AccessLogDetails } from "./access-log.ts";

type Read = (details: AccessLogDetails) => string | number | null;

/** `NAME`, `NAME_WITHOUT_PORT` and the port alone, of an `address:port`. */
function addressCommands(
  name: string,
  read: (details: AccessLogDetails) => string,
): [string, Read][] {
  const part = (at: 0 | 1): Read => {
    return (details) => splitAddress(read(details))[at];
  };
  const portName = name.replace(/ADDRESS$/, "PORT");
  return [
    [name, (details) => textOrNull(read(details))],
    [`${name}_WITHOUT_PORT`, part(0)],
    [portName, part(1)],
  ];
}

/** Of `[::1]:80` and `127.0.0.1:80`; a path of a Unix socket has no port. */
export function splitAddress(text: string): [string | null, number | null] {
  const parts = /^(.*):(\d+)$/.exec(text);
  if (parts === null) return [textOrNull(text), null];
  const [, address = "", port = ""] = parts;
  return [address.replace(/^\[(.*)\]$/, "$1"), Number(port)];
}

const HOSTNAME = hostname();

export const DETAIL_COMMANDS: Readonly<Record<string, Read>> = Object.fromEntries<Read>([
  ...addressCommands("DOWNSTREAM_REMOTE_ADDRESS", ({ client }) => client),
  ...addressCommands("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", ({ peer }) => peer),
  ...addressCommands("DOWNSTREAM_LOCAL_ADDRESS", ({ local }) => local),
  ...addressCommands("UPSTREAM_LOCAL_ADDRESS", ({ upstreamLocal }) => upstreamLocal),
  ["CONNECTION_ID", ({ connectionId }) => connectionId],
  ["REQUESTED_SERVER_NAME", ({ serverName }) => textOrNull(serverName)],
  ["DOWNSTREAM_TLS_VERSION", ({ tlsVersion }) => textOrNull(tlsVersion)],
  ["DOWNSTREAM_PEER_SUBJECT", ({ certificate }) => textOrNull(certificate?.subject ?? "")],
  ["DOWNSTREAM_PEER_URI_SAN", ({ certificate }) => certificate?.uri ?? null],
  ["DOWNSTREAM_PEER_DNS_SAN", ({ certificate }) => certificate?.dnsName ?? null],
  ["DOWNSTREAM_PEER_FINGERPRINT_256", ({ certificate }) => certificate?.sha256 ?? null],
  ["UPSTREAM_TRANSPORT_FAILURE_REASON", ({ upstreamFailure }) => textOrNull(upstreamFailure)],
  ["UPSTREAM_REQUEST_ATTEMPT_COUNT", ({ attempts }) => attempts],
  ["GRPC_STATUS", (details) => grpcName(grpcStatus(details))],
  ["GRPC_STATUS_NUMBER", grpcStatus],
  // Envoy says it of connections that it has ended for a reason of its own; ours is the flag.
  ["CONNECTION_TERMINATION_DETAILS", () => null],
  ["HOSTNAME", () => HOSTNAME],
]);

const GRPC_NAMES: readonly string[] = [
  ...["OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound"],
  ...["AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted"],
  ...["OutOfRange", "Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"],
];

/** Of the trailers, or of a response that is trailers alone. */
function grpcStatus({ responseField, responseTrailer }: AccessLogDetails): number | null {
  const status = responseTrailer("grpc-status") ?? responseField("grpc-status");
  return status !== null && /^\d{1,10}$/.test(status) ? Number(status) : null;
}

function grpcName(status: number | null): string | null {
  return status === null ? null : (GRPC_NAMES[status] ?? String(status));
}

function textOrNull(text: string): string | null {
  return text === "" ? null : text;
}
