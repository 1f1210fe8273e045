//! HTTP calls of plug-ins: what is asked of the embedder, and which calls of a root are pending.
//!
//! An answer reaches the root context that asked (`proxy_on_http_call_response`), whatever has
//! become of the stream that was asking: as in Envoy.

import { FixedHeaderMap } from "./fixed-header-map.ts";
import type { HeaderPair } from "./header-pairs.ts";
import type { RootContext } from "./root-context.ts";
import type { HeaderMap } from "./stream-host.ts";

/** Calls that one root context may have pending. More are refused. */
const CALLS_PER_ROOT_MAX = 1_024;
/** The low two bits of a token tell what it is of: 0 an HTTP call. */
const TOKEN_STEP = 4;
const TOKEN_MAX = 0xffff_fffc;

export interface HttpCall {
  /** A cluster's name, as the guest gave it. */
  readonly cluster: string;
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  /** Plain fields in order, names lower-case; no pseudo names. */
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array;
  readonly trailers: readonly HeaderPair[];
  /** 0: no limit of its own. */
  readonly timeoutMs: number;
}

/** What came back, also when nobody answered: the embedder then makes up a 503 or 504. */
export interface HttpCallResponse {
  /** With `:status` first. */
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array;
  readonly trailers: readonly HeaderPair[];
}

export interface PendingCall {
  /** The answer is not wanted any more. */
  cancel(): void;
}

/**
 * Starts the call; null when there is no such cluster. `onDone` comes later, once, and never from
 * inside this function. A null answer: broken off, with nothing to show (Envoy's reset).
 */
export type HttpCaller = (
  call: HttpCall,
  onDone: (response: HttpCallResponse | null) => void,
) => PendingCall | null;

/** The answer that a callback can read. Nothing in it can be changed. */
export class CallAnswer {
  readonly body: Uint8Array;
  readonly #headers: HeaderMap;
  readonly #trailers: HeaderMap;

  constructor(response: HttpCallResponse) {
    this.body = response.body;
    this.#headers = new FixedHeaderMap(response.headers);
    this.#trailers = new FixedHeaderMap(response.trailers);
  }

  get headers(): HeaderMap {
    return this.#headers;
  }

  get trailers(): HeaderMap {
    return this.#trailers;
  }
}

/** The pending calls of one root context. */
export class CallTable {
  readonly #pending = new Map<number, PendingCall>();
  #lastToken = 0;

  get isFull(): boolean {
    return this.#pending.size >= CALLS_PER_ROOT_MAX;
  }

  /** Starts a call; its token, or null when the cluster is unknown. */
  start(root: RootContext, caller: HttpCaller, call: HttpCall): number | null {
    const last = this.#lastToken;
    const token = this.#nextToken();
    const pending = caller(call, (response) => {
      if (this.#pending.delete(token)) root.onHttpCallResponse(token, response);
    });
    if (pending === null) {
      // A refused call takes no token.
      this.#lastToken = last;
      return null;
    }
    this.#pending.set(token, pending);
    return token;
  }

  cancelAll(): void {
    for (const pending of this.#pending.values()) pending.cancel();
    this.#pending.clear();
  }

  #nextToken(): number {
    do {
      this.#lastToken = this.#lastToken >= TOKEN_MAX ? TOKEN_STEP : this.#lastToken + TOKEN_STEP;
    } while (this.#pending.has(this.#lastToken));
    return this.#lastToken;
  }
}
