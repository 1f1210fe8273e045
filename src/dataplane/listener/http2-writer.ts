//! Writes one response to a stream of HTTP/2: head, DATA, trailers.

import type { Headers } from "../../http/headers.ts";
import type { FieldSection } from "../../http2/frame-output.ts";
import type { ServerStream } from "../../http2/server-stream.ts";
import type { FinalHead, ResponseWriter } from "../exchange/downstream.ts";
import type { BodyFraming } from "../exchange/response-framing.ts";

export class Http2Writer implements ResponseWriter {
  /** Its stream keeps what it is given until the connection's window takes it. */
  readonly usesBytesAtOnce = false;
  readonly holdsBytes = true;
  bodyBytes = 0;
  readonly #stream: ServerStream;
  readonly #onFull: () => void;
  readonly #onProgress: () => void;
  #framing: BodyFraming = "none";
  /** Waits for what comes with it: a response without a body ends with its head. */
  #head: FieldSection | null = null;

  constructor(stream: ServerStream, onFull: () => void, onProgress: () => void) {
    this.#stream = stream;
    this.#onFull = onFull;
    this.#onProgress = onProgress;
  }

  interim(status: number, _reason: string, headers: Headers): void {
    this.#stream.interim({ status, headers });
  }

  head({ status, headers, framing }: FinalHead): void {
    this.#framing = framing;
    this.#head = { status, headers };
  }

  body(chunk: Buffer): void {
    if (chunk.length === 0 || this.#framing === "none" || this.#stream.isClosed) return;
    this.bodyBytes += chunk.length;
    this.#begin(false);
    if (!this.#stream.write(chunk)) this.#onFull();
  }

  end(trailers: Headers | null): void {
    if (this.#head !== null && trailers === null) this.#begin(true);
    else {
      this.#begin(false);
      this.#stream.end(trailers);
    }
  }

  flush(): void {
    this.#begin(false);
  }

  drop(): void {
    this.#head = null;
    this.#framing = "none";
  }

  #begin(endsHere: boolean): void {
    this.#onProgress();
    const head = this.#head;
    if (head === null) return;
    this.#head = null;
    this.#stream.respond(head, endsHere);
  }
}
