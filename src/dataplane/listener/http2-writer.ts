//! Writes one response to a stream of HTTP/2: head, DATA, trailers.

import type {
  OutgoingHttpHeaders,
  ServerHttp2Stream,
  ServerStreamResponseOptions,
} from "node:http2";
import type { Headers } from "../../http/headers.ts";
import { http2Fields } from "../../http/http2-fields.ts";
import type { FinalHead, ResponseWriter } from "../exchange/downstream.ts";
import type { BodyFraming } from "../exchange/response-framing.ts";

/** Without `sendDate: false`, which Node's types do not know, the library adds a Date. */
interface RespondOptions extends ServerStreamResponseOptions {
  readonly sendDate: boolean;
}

export class Http2Writer implements ResponseWriter {
  /** Its stream keeps what it is given until the connection's window takes it. */
  readonly usesBytesAtOnce = false;
  readonly holdsBytes = true;
  bodyBytes = 0;
  readonly #stream: ServerHttp2Stream;
  readonly #onFull: () => void;
  readonly #onProgress: () => void;
  #framing: BodyFraming = "none";
  #head: OutgoingHttpHeaders | null = null;
  #isCorked = false;
  /** Body that waits with its head: the rest may come with the same read of the upstream. */
  #first: Buffer | null = null;

  constructor(stream: ServerHttp2Stream, onFull: () => void, onProgress: () => void) {
    this.#stream = stream;
    this.#onFull = onFull;
    this.#onProgress = onProgress;
  }

  interim(status: number, _reason: string, headers: Headers): void {
    if (this.#stream.destroyed || this.#stream.headersSent) return;
    this.#stream.additionalHeaders({ ...http2Fields(headers), ":status": status });
  }

  head({ status, headers, framing }: FinalHead): void {
    this.#framing = framing;
    this.#head = http2Fields(headers, status);
  }

  body(chunk: Buffer): void {
    if (chunk.length === 0 || this.#framing === "none" || this.#stream.destroyed) return;
    this.bodyBytes += chunk.length;
    if (this.#head !== null && this.#first === null) {
      this.#first = chunk;
      return;
    }
    this.#begin();
    this.#write(chunk);
  }

  #write(chunk: Buffer): void {
    if (!this.#isCorked) this.#stream.cork();
    this.#isCorked = true;
    if (!this.#stream.write(chunk)) this.#onFull();
  }

  end(trailers: Headers | null): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    if (this.#head !== null && trailers === null) {
      const whole = this.#first;
      this.#first = null;
      if (whole === null) this.#respond("none");
      else {
        this.#respond("whole");
        stream.end(whole);
      }
      return;
    }
    this.#begin();
    stream.once("wantTrailers", () => {
      if (!stream.destroyed) stream.sendTrailers(trailers === null ? {} : http2Fields(trailers));
    });
    stream.end();
  }

  flush(): void {
    if (this.#stream.destroyed) return;
    this.#begin();
    if (this.#isCorked) this.#stream.uncork();
    this.#isCorked = false;
  }

  drop(): void {
    this.#head = null;
    this.#first = null;
    this.#framing = "none";
  }

  /** Sends what has waited; the end comes later. */
  #begin(): void {
    this.#respond("open");
    const first = this.#first;
    this.#first = null;
    if (first !== null) this.#write(first);
  }

  /** `none`: the head is all there is; `whole`: the rest is there, too, and follows at once. */
  #respond(body: "none" | "whole" | "open"): void {
    this.#onProgress();
    const head = this.#head;
    if (head === null) return;
    this.#head = null;
    // So that END_STREAM is sent by `end` and nothing else: a stream that is broken off must not
    // look whole.
    const waitForTrailers = body === "open";
    const options: RespondOptions = {
      endStream: body === "none",
      waitForTrailers,
      sendDate: false,
    };
    this.#stream.respond(head, options);
  }
}
