//! What an exchange needs of an endpoint: the seam between it and the codecs towards upstreams.

import type { NetConnectOpts, Socket } from "node:net";
import type { Headers } from "../../http/headers.ts";
import type { ResponseHead } from "../../http/response-parser.ts";
import type { TunnelEnd, TunnelSink } from "../exchange/tunnel.ts";
import type { ConnectionLimits } from "../../snapshot/routing.ts";
import type { TlsDial } from "./tls-dial.ts";
import type { AcquireOptions, AcquireResult, Waiting } from "./endpoint-pool.ts";
import type { UpstreamFacts } from "./upstream-facts.ts";

/**
 * `reset`: closed before any byte of a response. `truncated`: closed in the middle of one.
 * `pending`: no connection became free. `timeout`: one try took longer than it may. `tls`: the two
 * sides could not agree on TLS, so that nothing was asked. `refused`, `stream`: the endpoint broke
 * off this one stream of HTTP/2, and has not looked at it, or may have.
 */
export type UpstreamFailureKind =
  | "connect"
  | "reset"
  | "truncated"
  | "protocol"
  | "pending"
  | "timeout"
  | "tls"
  | "refused"
  | "stream";

/** A request's head as it goes out. `headers` has Transfer-Encoding where HTTP/1.1 needs it. */
export interface OutgoingHead {
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
  readonly hasBody: boolean;
}

/** A connection of HTTP/1.1, or one stream of HTTP/2. */
export interface Upstream {
  /** Its connection has carried a whole exchange: a reset may then be the idle-close race. */
  readonly reused: boolean;
  /** Null where protocols cannot be switched. */
  readonly switchable: SwitchableUpstream | null;
  /** Of its connection. */
  readonly facts: UpstreamFacts;
  /** Of requests. Null or absent: what `sendBody` is given may be kept. */
  readonly bodyTaker?: BodyTaker | null;
  /** Each `send` is false when the buffer is full: wait for `onUpstreamDrain`. */
  sendHead(head: OutgoingHead): boolean;
  sendBody(chunk: Buffer): boolean;
  sendEnd(trailers: Headers | null): void;
  pause(): void;
  resume(): void;
  /** From now on it tells another user; not while it is being made. */
  handOver(user: UpstreamUser): void;
  /** Ends it; its user hears nothing more. */
  abort(): void;
  /** The user gave up while the connection was still being made. */
  abandonConnect(): void;
  /** The user has the whole response. */
  release(requestComplete: boolean): void;
}

export interface SwitchableUpstream extends TunnelEnd {
  /** The response was 101: from here on the bytes are `sink`'s, and its user hears no more. */
  enterTunnel(sink: TunnelSink): void;
}

/** Who writes a body on, and says how long the bytes must stay. */
export interface BodyTaker {
  /** What it is given it copies, or hands to the system before it returns, or `holdsBytes`. */
  readonly usesBytesAtOnce: boolean;
  /** The system has not taken all yet. */
  readonly holdsBytes: boolean;
}

/** The exchange's side. */
export interface UpstreamUser {
  onUpstreamReady(upstream: Upstream): void;
  onUpstreamFailure(kind: UpstreamFailureKind, detail: string): void;
  /** Writes may go on after a `send` returned false. */
  onUpstreamDrain(): void;
  /** A 1xx other than 101 (RFC 9110 section 15.2). */
  onInformational(head: ResponseHead): void;
  onResponseHead(head: ResponseHead): void;
  onResponseBody(chunk: Buffer): void;
  /** Asked before each part of the body. Null or absent: whoever is given it may keep it. */
  readonly bodyTaker?: BodyTaker | null;
  onResponseEnd(trailers: Headers | null): void;
  /** All that one read brought has been handed over: time to write it on. */
  onUpstreamBatchEnd(): void;
  /** A belief of ours was wrong while this exchange's bytes were handled. */
  onUpstreamAssertion(error: unknown): void;
}

/** Where a pool's connections go. */
export interface PoolEndpoint {
  readonly address: string;
  readonly port: number;
  /** Our own address of the connections (IPv4); `""`: any. */
  readonly from: string;
  /** Null: in clear. */
  readonly tls: TlsDial | null;
  /** Of the PROXY protocol: sent before anything else, TLS too; null: none is. */
  readonly proxyHeader: Buffer | null;
}

const UNIX_SCHEME = "unix://";

/** The path of a Unix socket; null: an address of IP. */
export function unixPathOf(address: string): string | null {
  return address.startsWith(UNIX_SCHEME) ? address.slice(UNIX_SCHEME.length) : null;
}

/** Where a connection in clear goes to, and from where. */
export function dialled({ address, port, from }: Omit<PoolEndpoint, "tls">): NetConnectOpts {
  const path = unixPathOf(address);
  if (path !== null) return { path };
  const options = { host: address, port, noDelay: true };
  return from === "" ? options : { ...options, localAddress: from, family: 4 };
}

/** As the cluster's limits ask for it. */
export function keepAlive(socket: Socket, limits: ConnectionLimits | undefined): void {
  if (limits?.keepAliveMs !== undefined) socket.setKeepAlive(true, limits.keepAliveMs);
}

/** The connections of one worker to one endpoint in one protocol. */
export interface UpstreamPool {
  /** `address:port`. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Exchanges that it carries or keeps waiting. */
  readonly activeCount: number;
  /** `wantsNew`: a connection that is opened now, not an idle one, if another may be opened. */
  acquire(user: UpstreamUser, options: AcquireOptions, wantsNew?: boolean): AcquireResult;
  cancel(waiting: Waiting): void;
  closeIdle(): void;
}
