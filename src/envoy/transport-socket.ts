//! `transport_socket`, of filter chains and clusters: TLS, or in clear.

import type { Cursor } from "../resources/cursor.ts";
import { unsupported, unwrap } from "./common.ts";

const TLS = "envoy.extensions.transport_sockets.tls.v3";
const RAW_BUFFER = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/** The context of TLS, its fields checked. Undefined: in clear, or what is there is wrong. */
export function readTlsContext(
  owner: Cursor,
  message: "DownstreamTlsContext" | "UpstreamTlsContext",
  known: readonly string[],
): Cursor | undefined {
  const socket = owner.at("transport_socket");
  if (socket.isAbsent || !socket.isMap(["name", "typed_config"])) return undefined;
  const { type, config, fields } = unwrap(socket.at("typed_config"));
  if (type === RAW_BUFFER) return undefined;
  if (type !== `${TLS}.${message}`) {
    unsupported(socket, `the transport socket ${type || socket.at("name").text()}`);
    return undefined;
  }
  return config.isMap([...fields, ...known]) ? config : undefined;
}
