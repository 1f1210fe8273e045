//! A client's connection until its PROXY header has been read: nothing of it reaches TLS or HTTP
//! before.

import type { Socket } from "node:net";
import type { TrafficContext } from "../context.ts";
import {
  DOWNSTREAM_IDLE_TIMEOUT_MS,
  DRAIN_IDLE_MS,
  PROXY_HEADER_TIMEOUT_MS,
} from "../deadlines.ts";
import type { Expirable } from "../deadlines.ts";
import type { ClientConnection } from "./client-connection.ts";
import { parseProxyHeader } from "./proxy-header.ts";
import type { ConnectionEnds } from "./proxy-header.ts";

export interface ProxiedParts {
  readonly context: TrafficContext;
  /** Clients that send no header are taken, too. */
  readonly isOptional: boolean;
  /** The header has been taken off; `ends` is null where it tells of nobody. */
  readonly onHeader: (ends: ConnectionEnds | null) => void;
  /** It waits no longer, whatever became of it: called once, and before `onHeader`. */
  readonly onDone: (waiting: ProxiedSocket) => void;
}

export class ProxiedSocket implements ClientConnection, Expirable {
  deadlineMs: number;
  readonly #socket: Socket;
  readonly #parts: ProxiedParts;
  /** As they came: put together when there are enough to say more. */
  #chunks: Buffer[] = [];
  #byteCount = 0;
  #bytesMin = 1;
  #isDraining = false;
  #isDone = false;

  constructor(socket: Socket, parts: ProxiedParts) {
    const { sweeper } = parts.context;
    this.#socket = socket;
    this.#parts = parts;
    // Who need not send one may be silent for as long as any idle client.
    this.deadlineMs = sweeper.after(
      parts.isOptional ? DOWNSTREAM_IDLE_TIMEOUT_MS : PROXY_HEADER_TIMEOUT_MS,
    );
    sweeper.add(this);
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onClose);
    socket.on("close", this.#onClose);
  }

  drain(isPatient = false): void {
    if (isPatient) return;
    this.#isDraining = true;
    const { sweeper } = this.#parts.context;
    if (this.#byteCount === 0) this.deadlineMs = sweeper.after(DRAIN_IDLE_MS);
  }

  destroy(): void {
    if (this.#leave()) this.#socket.destroy();
  }

  onDeadline(): void {
    const isSilent = this.#byteCount === 0;
    if (isSilent && (this.#parts.isOptional || this.#isDraining)) this.destroy();
    else
      this.#refuse("proxy_header_timeout", `it was not there after ${PROXY_HEADER_TIMEOUT_MS} ms`);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#byteCount === 0) {
      const { sweeper } = this.#parts.context;
      this.deadlineMs = Math.min(this.deadlineMs, sweeper.after(PROXY_HEADER_TIMEOUT_MS));
    }
    this.#chunks.push(chunk);
    this.#byteCount += chunk.length;
    if (this.#byteCount < this.#bytesMin) return;
    const bytes = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    const result = parseProxyHeader(bytes);
    switch (result.kind) {
      case "more":
        this.#bytesMin = result.bytesMin;
        return;
      case "header":
        this.#handOver(bytes.subarray(result.length), result.ends);
        return;
      case "none":
        if (this.#parts.isOptional) this.#handOver(bytes, null);
        else this.#refuse("proxy_header", "there is none");
        return;
      case "bad":
        this.#refuse("proxy_header", result.why);
        return;
    }
  };

  readonly #onEnd = (): void => {
    // A port check of a balancer says nothing, and is no fault.
    if (this.#byteCount === 0) this.destroy();
    else this.#refuse("proxy_header", "the connection ended within it");
  };

  readonly #onClose = (): void => {
    this.destroy();
  };

  #handOver(rest: Buffer, ends: ConnectionEnds | null): void {
    if (!this.#leave()) return;
    this.#socket.pause();
    if (rest.length > 0) this.#socket.unshift(rest);
    this.#parts.onHeader(ends);
  }

  #refuse(reason: "proxy_header" | "proxy_header_timeout", why: string): void {
    if (!this.#leave()) return;
    const { observer } = this.#parts.context;
    observer.onRefusedConnection(reason, `${this.#socket.remoteAddress ?? "a client"}: ${why}`);
    this.#socket.destroy();
  }

  #leave(): boolean {
    if (this.#isDone) return false;
    this.#isDone = true;
    this.#parts.context.sweeper.remove(this);
    this.#socket.removeListener("data", this.#onData);
    this.#socket.removeListener("end", this.#onEnd);
    this.#socket.removeListener("error", this.#onClose);
    this.#socket.removeListener("close", this.#onClose);
    this.#parts.onDone(this);
    return true;
  }
}
