//! Takes what a socket reads without the machinery of streams in between.
//!
//! A socket hands each read to its own `push`, which keeps a buffer, emits `data` and plans another
//! look for the next tick. While somebody reads at once and nothing is kept, none of it is needed.

import { Socket } from "node:net";
import { TLSSocket } from "node:tls";

/** One of Node's own, with the system's socket or TLS behind it. */
export function isNative({ constructor }: Socket): boolean {
  return constructor === Socket || constructor === TLSSocket;
}

/**
 * Calls `onChunk` with what `socket` reads. What comes while it is paused, and the end, go the
 * stream's way. Only Node's own sockets take the short way: they read on by
 * themselves, where the `_read` of other streams waits for the stream to ask.
 */
export function readDirectly(socket: Socket, onChunk: (chunk: Buffer) => void): void {
  socket.on("data", onChunk);
  if (isNative(socket)) socket.push = pushTo(socket, onChunk);
}

function pushTo(socket: Socket, onChunk: (chunk: Buffer) => void): Socket["push"] {
  const push = socket.push.bind(socket);
  return (chunk: unknown, encoding?: BufferEncoding): boolean => {
    const isKept = socket.readableFlowing !== true || socket.readableLength > 0;
    if (isKept || !Buffer.isBuffer(chunk)) return push(chunk, encoding);
    onChunk(chunk);
    return true;
  };
}
