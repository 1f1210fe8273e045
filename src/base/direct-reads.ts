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
const PLACE = placeKeys();

/** Where a socket reads, and who is told of it. */
export interface ReadPlace {
  /** Asked after each read: where the next one goes. */
  readonly buffer: () => Buffer;
  readonly onRead: (byteCount: number, buffer: Buffer) => void;
  /** Of what had been read before. */
  readonly onChunk: (chunk: Buffer) => void;
}

/** The system's side of a socket, as Node has it. */
interface ReadHandle {
  useUserBuffer(buffer: Buffer): void;
}

/**
 * Reads into buffers of ours from now on, as the option `onread` of `connect` does. A server's
 * sockets have no such option, so what it sets is set here. False: this is no plain socket, or this
 * version of Node does it in another way; then nothing has changed.
 */
export function readInto(socket: Socket, { buffer, onRead, onChunk }: ReadPlace): boolean {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (socket.constructor !== Socket || PLACE === null || !isReadHandle(handle)) return false;
  const first = buffer();
  Reflect.set(socket, PLACE.buffer, first);
  Reflect.set(socket, PLACE.next, buffer);
  Reflect.set(socket, PLACE.callback, onRead);
  handle.useUserBuffer(first);
  socket.on("data", onChunk);
  return true;
}

/** Under which a socket keeps what `onread` says. */
function placeKeys(): Record<"buffer" | "next" | "callback", symbol> | null {
  const keys = Object.getOwnPropertySymbols(new Socket());
  const key = (name: string): symbol | undefined =>
    keys.find(({ description }) => description === name);
  const [buffer, next, callback] = [key("kBuffer"), key("kBufferGen"), key("kBufferCb")];
  if (buffer === undefined || next === undefined || callback === undefined) return null;
  return { buffer, next, callback };
}

function isReadHandle(handle: unknown): handle is ReadHandle {
  return typeof handle === "object" && handle !== null && "useUserBuffer" in handle;
}
