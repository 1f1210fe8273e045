//! HTTP calls of plug-ins: what is asked of the embedder, and which calls of a root are pending.
//!
//! An answer reaches the root context that asked (`proxy_on_http_call_response`), whatever has
//! become of the stream that was asking: as in Envoy.

import type { CallUnderWay } from "./calls-under-way.ts";
import { FixedHeaderMap } from "./fixed-header-map.ts";
import type { HeaderPair } from "./header-pairs.ts";
import type { RootContext } from "./root-context.ts";
import type { HeaderMap } from "./stream-host.ts";
import type { Vm } from "./vm.ts";

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
  /** It is made up. */
  readonly isFailure?: boolean;
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

/** `full`: as many calls are under way as may be. */
export type HttpCallRefusal = "no_cluster" | "full";

interface OpenCall {
  readonly place: CallUnderWay;
  readonly pending: PendingCall;
}

/** The pending calls of one root context. */
export class CallTable {
  readonly #vm: Vm;
  readonly #open = new Map<number, OpenCall>();
  #lastToken = 0;

  constructor(vm: Vm) {
    this.#vm = vm;
  }

  /** Starts a call: its token, or why there is none. */
  start(root: RootContext, caller: HttpCaller, call: HttpCall): number | HttpCallRefusal {
    const { callsOut } = this.#vm;
    const place = callsOut.begin(this.#vm.caller);
    if (place === null) return "full";
    const token = this.#nextToken();
    const pending = caller(call, (response) => {
      if (!this.#open.has(token)) return;
      const tell = (): void => {
        this.#end(token);
        root.onHttpCallResponse(token, response);
      };
      if (response === null || response.isFailure === true) callsOut.fail(place, tell);
      else tell();
    });
    if (pending === null) {
      callsOut.end(place);
      return "no_cluster";
    }
    // A refused call takes no token.
    this.#lastToken = token;
    this.#open.set(token, { place, pending });
    return token;
  }

  cancelAll(): void {
    for (const [token, { pending }] of this.#open) {
      this.#end(token);
      pending.cancel();
    }
  }

  #end(token: number): void {
    const open = this.#open.get(token);
    this.#open.delete(token);
    if (open !== undefined) this.#vm.callsOut.end(open.place);
  }

  #nextToken(): number {
    let token = this.#lastToken;
    do {
      token = token >= TOKEN_MAX ? TOKEN_STEP : token + TOKEN_STEP;
    } while (this.#open.has(token));
    return token;
  }
}
