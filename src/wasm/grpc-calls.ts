//! gRPC calls and streams of plug-ins: what is asked of the embedder, and which are open in a VM.
//!
//! What comes of them reaches the root context that asked, as with HTTP calls. Tokens count up as
//! in Envoy: calls 5, 9, …, streams 6, 10, …, and each kind is told by the low two bits.

import type { Timer } from "../base/clock.ts";
import type { CallUnderWay } from "./calls-under-way.ts";
import type { HeaderPair } from "./header-pairs.ts";
import type { RootContext } from "./root-context.ts";
import type { Vm } from "./vm.ts";

/** Streams that the server has ended and the plug-in has not: older ones are forgotten. */
const ENDED_PER_VM_MAX = 1_024;
const TOKEN_STEP = 4;
const TOKEN_MAX = 0xffff_fffc;

const GRPC_OK = 0;
const GRPC_INTERNAL = 13;
const GRPC_UNAVAILABLE = 14;

/** What a token is of, by its low two bits. */
export const GrpcKind = { call: 1, stream: 2 } as const;
export type GrpcKind = (typeof GrpcKind)[keyof typeof GrpcKind];

export interface GrpcRequest {
  /** A cluster's name, as the guest gave it. */
  readonly cluster: string;
  /** What the server shall be called; null: as the embedder sees fit. */
  readonly authority: string | null;
  readonly service: string;
  readonly method: string;
  /** Names lower-case. */
  readonly metadata: readonly HeaderPair[];
  /** 0: no limit of its own. */
  readonly timeoutMs: number;
}

/** Hears what comes of a call, in this order, never from inside a function that it has called. */
export interface GrpcSink {
  /** With `:status` first; empty when the answer is nothing but an end. */
  onInitialMetadata(pairs: readonly HeaderPair[]): void;
  onMessage(message: Uint8Array): void;
  onTrailingMetadata(pairs: readonly HeaderPair[]): void;
  /** Nothing comes any more. `status` may be one that gRPC does not know. */
  onClose(status: number, text: string): void;
}

export interface GrpcConnection {
  /** False: too much of what was sent before still waits. Nothing is sent after `end`. */
  send(message: Uint8Array): boolean;
  /** Our side is complete. */
  end(): void;
  /** Breaks it off; its sink hears nothing more. */
  cancel(): void;
}

/** `no_cluster`: not known. `bad_request`: no such request can be written. */
export type GrpcRefusal = "no_cluster" | "bad_request";

/** Opens a stream; the sink is told later, and never from inside this function. */
export type GrpcCaller = (request: GrpcRequest, sink: GrpcSink) => GrpcConnection | GrpcRefusal;

/** `full`: as many are open as may be. */
export type GrpcStart =
  { readonly kind: "open"; readonly token: number } | { readonly kind: GrpcRefusal | "full" };

interface OpenCall {
  readonly root: RootContext;
  readonly connection: GrpcConnection;
  readonly place: CallUnderWay;
  /** The guest has closed its side by `proxy_grpc_close`. */
  isClosedHere: boolean;
}

/** The calls and streams of one VM. */
export class GrpcTable {
  readonly #open = new Map<number, OpenCall>();
  /** Streams whose server has ended them, with the root that opened them. */
  readonly #ended = new Map<number, RootContext>();
  readonly #lastToken: Record<GrpcKind, number> = { [GrpcKind.call]: 1, [GrpcKind.stream]: 2 };
  readonly #vm: Vm;

  constructor(vm: Vm) {
    this.#vm = vm;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Begins; what it is to say is sent by the caller. */
  start(kind: GrpcKind, root: RootContext, caller: GrpcCaller, request: GrpcRequest): GrpcStart {
    const place = this.#vm.callsOut.begin(this.#vm.caller);
    if (place === null) return { kind: "full" };
    const token = this.#nextToken(kind);
    const sink = kind === GrpcKind.call ? this.#callSink(token, root) : this.#sink(token, root);
    const connection = caller(request, sink);
    if (typeof connection === "string") {
      this.#vm.callsOut.end(place);
      return { kind: connection };
    }
    this.#lastToken[kind] = token;
    this.#open.set(token, { root, connection, place, isClosedHere: false });
    return { kind: "open", token };
  }

  /** A call that cannot begin is told to its root as one that was closed, but later. */
  refuseLater(kind: GrpcKind, root: RootContext, later: (task: () => void) => Timer): void {
    const place = this.#vm.callsOut.begin(this.#vm.caller);
    if (place === null) return;
    const token = this.#nextToken(kind);
    this.#lastToken[kind] = token;
    const sink = this.#sink(token, root);
    const timer = later(() => {
      sink.onClose(GRPC_UNAVAILABLE, "Cluster not available");
    });
    const connection = {
      send: () => true,
      end: () => undefined,
      cancel: () => {
        timer.cancel();
      },
    };
    this.#open.set(token, { root, connection, place, isClosedHere: false });
  }

  /** Null: there is no such stream, or not of this root. */
  find(token: number, root: RootContext | null): OpenCall | null {
    const call = this.#open.get(token);
    return call === undefined || call.root !== root ? null : call;
  }

  /** Is it a stream that only the server has ended? */
  isEnded(token: number, root: RootContext | null): boolean {
    return root !== null && this.#ended.get(token) === root;
  }

  /** Forgets a stream that the server has ended. */
  forget(token: number): void {
    this.#ended.delete(token);
  }

  cancel(token: number): void {
    const call = this.#open.get(token);
    this.#open.delete(token);
    if (call === undefined) return;
    this.#vm.callsOut.end(call.place);
    call.connection.cancel();
  }

  /** The root goes away. */
  cancelAllOf(root: RootContext): void {
    for (const [token, call] of this.#open) if (call.root === root) this.cancel(token);
    for (const [token, owner] of this.#ended) if (owner === root) this.#ended.delete(token);
  }

  #sink(token: number, root: RootContext): GrpcSink {
    // What a callback has cancelled, or ended by a trap, is not told the rest.
    const ifOpen = (tell: () => void): void => {
      if (this.#open.has(token)) tell();
    };
    return {
      onInitialMetadata: (pairs) => {
        ifOpen(() => {
          root.onGrpcInitialMetadata(token, pairs);
        });
      },
      onMessage: (message) => {
        ifOpen(() => {
          root.onGrpcMessage(token, message);
        });
      },
      onTrailingMetadata: (pairs) => {
        ifOpen(() => {
          root.onGrpcTrailingMetadata(token, pairs);
        });
      },
      onClose: (status, text) => {
        this.#close(token, status === GRPC_UNAVAILABLE, () => {
          root.onGrpcClose(token, status, text);
        });
      },
    };
  }

  /** `tell`s it, at once or later, unless the guest has cancelled it by then. */
  #close(token: number, isFailure: boolean, tell: () => void): void {
    const call = this.#open.get(token);
    if (call === undefined) return;
    const close = (): void => {
      tell();
      this.#closed(token);
    };
    if (isFailure) this.#vm.callsOut.fail(call.place, close);
    else close();
  }

  /** A call hears one message, or one close: the last message of the server counts. */
  #callSink(token: number, root: RootContext): GrpcSink {
    let answer: Uint8Array | null = null;
    return {
      onInitialMetadata: () => undefined,
      onMessage: (message) => {
        answer = message;
      },
      onTrailingMetadata: () => undefined,
      onClose: (status, text) => {
        this.#close(token, status === GRPC_UNAVAILABLE, () => {
          if (status !== GRPC_OK) root.onGrpcClose(token, status, text);
          else if (answer === null) root.onGrpcClose(token, GRPC_INTERNAL, "");
          else root.onGrpcMessage(token, answer);
        });
      },
    };
  }

  #closed(token: number): void {
    const call = this.#open.get(token);
    // The guest has cancelled it in this very callback.
    if (call === undefined) return;
    this.#open.delete(token);
    this.#vm.callsOut.end(call.place);
    if ((token & 3) === GrpcKind.call || call.isClosedHere) return;
    const [oldest] = this.#ended.keys();
    if (this.#ended.size >= ENDED_PER_VM_MAX && oldest !== undefined) this.#ended.delete(oldest);
    this.#ended.set(token, call.root);
  }

  #nextToken(kind: GrpcKind): number {
    let token = this.#lastToken[kind];
    do {
      token = token >= TOKEN_MAX ? kind + TOKEN_STEP : token + TOKEN_STEP;
    } while (this.#open.has(token) || this.#ended.has(token));
    return token;
  }
}
