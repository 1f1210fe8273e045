//! Writes one response of HTTP/1.1 to the client: head, framed body, end. What one read of the
//! upstream brought is gathered into one write.

import type { Headers } from "../../http/headers.ts";
import {
  chunkHeader,
  LAST_CHUNK,
  serializeResponseHead,
  serializeTrailers,
} from "../../http/serialize.ts";
import type { DownstreamConnection } from "../listener/downstream-connection.ts";
import type { FinalHead, ResponseWriter } from "./downstream.ts";
import type { BodyFraming } from "./response-framing.ts";

/** Body pieces up to this size are joined to the text before them: one write instead of two. */
const JOINED_WRITE_BYTES_MAX = 16_384;

export class Http1Writer implements ResponseWriter {
  readonly usesBytesAtOnce: boolean;
  bodyBytes = 0;
  readonly #connection: DownstreamConnection;
  readonly #onFull: () => void;
  #framing: BodyFraming = "none";
  #out = "";

  constructor(connection: DownstreamConnection, onFull: () => void) {
    this.#connection = connection;
    this.#onFull = onFull;
    this.usesBytesAtOnce = connection.isNative;
  }

  get holdsBytes(): boolean {
    return this.#connection.unsentBytes > 0;
  }

  interim(status: number, reason: string, headers: Headers): void {
    this.#connection.writeInterim(serializeResponseHead(status, reason, headers));
  }

  head({ status, reason, headers, framing }: FinalHead): void {
    this.#framing = framing;
    this.#out = serializeResponseHead(status, reason, headers);
  }

  body(chunk: Buffer): void {
    if (chunk.length === 0 || this.#framing === "none") return;
    this.bodyBytes += chunk.length;
    if (this.#framing === "chunked") this.#out += chunkHeader(chunk.length);
    if (chunk.length <= JOINED_WRITE_BYTES_MAX) {
      this.#out += chunk.toString("latin1");
    } else {
      this.flush();
      if (!this.#connection.write(chunk)) this.#onFull();
    }
    if (this.#framing === "chunked") this.#out += "\r\n";
  }

  end(trailers: Headers | null): void {
    if (this.#framing !== "chunked") return;
    this.#out += trailers === null ? LAST_CHUNK : serializeTrailers(trailers);
  }

  flush(): void {
    if (this.#out === "") return;
    const out = this.#out;
    this.#out = "";
    if (!this.#connection.writeText(out)) this.#onFull();
  }

  drop(): void {
    this.#out = "";
  }
}
