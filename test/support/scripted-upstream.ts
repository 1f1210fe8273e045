//! An upstream that answers each request with the bytes of a case, in HTTP/1.1 or HTTP/2.

import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { ACK, PREFACE, TYPE, frame, readFrames } from "../../src/dataplane/testing/http2-frames.ts";
import type { ResponseCase } from "../fuzz/http2-response-cases.ts";

const SETTINGS = frame("settings", Buffer.alloc(0));
const SETTINGS_TAKEN = frame("settings", Buffer.alloc(0), { flags: ACK });

export class ScriptedUpstream {
  readonly port: number;
  /** What requests are answered with. */
  case: ResponseCase | null = null;
  readonly #sockets: Set<Socket>;
  readonly #close: () => void;

  private constructor(port: number, sockets: Set<Socket>, close: () => void) {
    this.port = port;
    this.#sockets = sockets;
    this.#close = close;
  }

  static async start(protocol: "http1" | "http2"): Promise<ScriptedUpstream> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => sockets.delete(socket));
      const answer = (stream: number): void => {
        upstream.#answer(socket, stream);
      };
      if (protocol === "http1") serveText(socket, answer);
      else serveFrames(socket, answer);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const upstream = new ScriptedUpstream(port, sockets, () => void server.close());
    return upstream;
  }

  /** So that no case sees what another has left of a connection. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.#close();
    this.dropConnections();
  }

  #answer(socket: Socket, stream: number): void {
    if (this.case === null) return;
    socket.write(this.case.bytes(stream));
    if (this.case.isCut) socket.end();
  }
}

function serveText(socket: Socket, answer: (stream: number) => void): void {
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (!text.includes("\r\n\r\n")) return;
    text = "";
    answer(0);
  });
}

function serveFrames(socket: Socket, answer: (stream: number) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  let hasPreface = false;
  socket.write(SETTINGS);
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    if (!hasPreface) {
      if (rest.length < PREFACE.length) return;
      hasPreface = true;
      rest = rest.subarray(PREFACE.length);
    }
    const read = readFrames(rest);
    rest = read.rest;
    for (const { type, flags, stream, payload } of read.frames) {
      if (type === TYPE.headers) answer(stream);
      if ((flags & ACK) !== 0) continue;
      if (type === TYPE.settings) socket.write(SETTINGS_TAKEN);
      if (type === TYPE.ping) socket.write(frame("ping", payload, { flags: ACK }));
    }
  });
}
