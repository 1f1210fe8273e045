//! The sessions of HTTP/2 of one worker to one endpoint: each carries many exchanges at once.

import type { DeadlineSweeper } from "../deadlines.ts";
import type { AcquireOptions, AcquireResult } from "./endpoint-pool.ts";
import { Http2Session } from "./http2-session.ts";
import type { SessionOwner } from "./http2-session.ts";
import type { TlsDial } from "./tls-dial.ts";
import type { PoolEndpoint, UpstreamPool, UpstreamUser } from "./upstream.ts";

/** Per worker and endpoint: with the 100 streams that most servers allow, 1,600 exchanges. */
const SESSIONS_PER_ENDPOINT_MAX = 16;

export class Http2Pool implements UpstreamPool, SessionOwner {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly from: string;
  readonly tls: TlsDial | null;
  readonly proxyHeader: Buffer | null;
  readonly sweeper: DeadlineSweeper;
  readonly #sessions = new Set<Http2Session>();
  readonly #onEmpty: () => void;

  /** Its sessions carry nothing more than they do. */
  #isRetired = false;

  constructor(
    { address, port, from, tls, proxyHeader }: PoolEndpoint,
    sweeper: DeadlineSweeper,
    onEmpty: () => void,
  ) {
    this.name = `${address}:${port}`;
    this.address = address;
    this.port = port;
    this.from = from;
    this.tls = tls;
    this.proxyHeader = proxyHeader;
    this.sweeper = sweeper;
    this.#onEmpty = onEmpty;
  }

  get activeCount(): number {
    let count = 0;
    for (const session of this.#sessions) count += session.streamCount;
    return count;
  }

  acquire(user: UpstreamUser, options: AcquireOptions): AcquireResult {
    for (const session of this.#sessions) {
      if (session.hasRoom) return session.open(user);
    }
    const { cluster } = options;
    const isFirst = this.#sessions.size === 0;
    const mayOpen =
      this.#sessions.size < SESSIONS_PER_ENDPOINT_MAX && cluster?.mayConnect !== false;
    if (!isFirst && !mayOpen) return { kind: "overflow" };
    const session = new Http2Session(this, options);
    this.#sessions.add(session);
    if (cluster !== null) cluster.connections += 1;
    const opened = session.open(user);
    if (this.#isRetired) session.retire();
    return opened;
  }

  /** Nobody waits here: streams either have room or not. */
  cancel(): void {
    // Nothing to take back.
  }

  onSessionClosed(session: Http2Session): void {
    if (!this.#sessions.delete(session)) return;
    if (session.cluster !== null) session.cluster.connections -= 1;
    if (this.#sessions.size === 0) this.#onEmpty();
  }

  retire(): void {
    this.#isRetired = true;
    for (const session of [...this.#sessions]) session.retire();
  }

  closeIdle(): void {
    for (const session of [...this.#sessions]) {
      if (session.streamCount === 0) session.close();
    }
  }
}
