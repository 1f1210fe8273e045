//! A port that workers share, so that one of them can leave it to the others for a moment.
//!
//! Each worker has a handle of the same socket (Node's `cluster`). Whoever closes its own accepts
//! nothing, and the socket goes on; to accept again it needs another handle, which must be in
//! stock before, so that nobody has to be waited for.

import type { Server } from "node:net";

interface Handle {
  close(): void;
}

export class SharedPort {
  readonly #server: Server;
  readonly #backlog: number;
  /** The handle to accept with after a pause. */
  #spare: Handle | null = null;
  /** Tells `cluster` that this worker has done with the port. */
  #leave: () => void = () => undefined;
  #isPaused = false;
  #isClosed = false;

  constructor(server: Server, backlog: number) {
    this.#server = server;
    this.#backlog = backlog;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get hasSpare(): boolean {
    return this.#spare !== null;
  }

  /** What it accepts with; null while it does not. */
  get handle(): object | null {
    const handle: unknown = Reflect.get(this.#server, "_handle");
    return isHandle(handle) ? handle : null;
  }

  /** Of the socket, whether it accepts with it now or not. */
  get anyHandle(): object | null {
    return this.handle ?? this.#spare;
  }

  takeSpare(handle: unknown): void {
    if (!isHandle(handle)) return;
    if (this.#isClosed || this.#spare !== null) handle.close();
    else this.#spare = handle;
  }

  /** False: it cannot be paused, having nothing to go on with. */
  pause(): boolean {
    const { handle } = this;
    if (this.#isClosed || this.#isPaused || this.#spare === null || handle === null) return false;
    this.#keepPlace(handle);
    this.#isPaused = true;
    this.#server.close();
    return true;
  }

  resume(): void {
    if (!this.#isPaused || this.#isClosed) return;
    this.#isPaused = false;
    const handle = this.#spare;
    this.#spare = null;
    this.#server.listen(handle, this.#backlog);
  }

  /** For good: call it before the server is closed. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#spare?.close();
    this.#spare = null;
    this.#leave();
  }

  /**
   * `cluster` puts a `close` of its own on the first handle, which gives the worker's place at the
   * port up, and with the last worker's the port. It is kept for the end.
   */
  #keepPlace(handle: object): void {
    const own = Object.getOwnPropertyDescriptor(handle, "close")?.value as unknown;
    if (typeof own !== "function" || !Reflect.deleteProperty(handle, "close")) return;
    this.#leave = () => {
      Reflect.apply(own, handle, []);
    };
  }
}

function isHandle(value: unknown): value is Handle {
  return typeof value === "object" && value !== null && "close" in value;
}
