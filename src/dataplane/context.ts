//! What every part of a worker's traffic path shares.

import type { Clock } from "../base/clock.ts";
import type { Prng } from "../base/prng.ts";
import type { AccessLogEntry } from "../telemetry/access-log.ts";
import type { DeadlineSweeper } from "./deadlines.ts";
import type { EvenShare } from "./listener/even-share.ts";
import type { InheritedPorts } from "./listener/inherited-ports.ts";
import type { ProxyNode } from "../snapshot/proxy-node.ts";
import type { TrafficObserver } from "./observer.ts";
import type { OverloadGuard } from "./overload.ts";
import type { RecentDecisions } from "./recent-decisions.ts";
import type { RecentHops } from "./recent-hops.ts";
import type { UpstreamPools } from "./upstream/upstream-pools.ts";

export interface TrafficContext {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly sweeper: DeadlineSweeper;
  readonly pools: UpstreamPools;
  readonly observer: TrafficObserver;
  /** Of the listener, for what comes there and is no HTTP; absent: a gateway's. */
  readonly role?: AccessLogEntry["role"];
  /** How long a client may take for TLS; absent: 10 s. */
  readonly handshakeMs?: number;
  /** Who the gateway says it is; absent: one of `graylane up`. */
  readonly node?: ProxyNode;
  /** What gateways decided last; absent: nothing is kept. */
  readonly recent?: RecentDecisions;
  /** The hops of sidecars; absent: none is kept. */
  readonly hops?: RecentHops;
  /** Gateways refuse what is too much; absent: nothing is. */
  readonly overload?: OverloadGuard;
  /** Other workers accept at the same ports; absent: none does. */
  readonly share?: EvenShare;
  /** Sockets that a process before this one has opened; absent: none. */
  readonly inherited?: InheritedPorts;
  /** Request fields that gateways keep for the access log, lower-case; absent: none. */
  readonly loggedHeaders?: readonly string[];
}
