//! Opens the connection of a pool: in clear or in TLS, perhaps with a PROXY header before anything.

import { connect } from "node:net";
import type { OnReadOpts, Socket } from "node:net";
import { dialled } from "./upstream.ts";
import type { PoolEndpoint } from "./upstream.ts";

/** `onread`: takes what is read in clear, in place of the event `data`. */
export function openSocket(
  endpoint: PoolEndpoint,
  protocol: "http/1.1" | "h2",
  onread?: OnReadOpts,
): Socket {
  const { address, port, tls, proxyHeader } = endpoint;
  if (tls !== null && proxyHeader === null) return tls.connect(address, port, protocol);
  // A tunnel's two sides end one after the other; the connection's user closes everything else.
  const allowHalfOpen = protocol === "http/1.1";
  const readOptions = tls !== null || onread === undefined ? {} : { onread };
  const socket = connect({ ...dialled(endpoint), allowHalfOpen, ...readOptions });
  if (proxyHeader === null) return socket;
  // Kept until the connection is there, and then written before what TLS and HTTP/2 write.
  socket.write(proxyHeader);
  if (tls === null) return socket;
  const secure = tls.connectOver(socket, protocol);
  socket.on("error", (error) => secure.destroy(error));
  return secure;
}
