//! A gateway whose clock and connections the test can see into, and a raw client for it.

import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { freePort } from "../../base/testing/free-port.ts";
import type { Clock } from "../../base/clock.ts";
import { systemClock } from "../../base/clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { TrafficContext } from "../context.ts";
import { DeadlineSweeper } from "../deadlines.ts";
import type { ConnectionRefusal, ExchangeRecord } from "../observer.ts";
import { SILENT_OBSERVER } from "../observer.ts";
import { UpstreamPools } from "../upstream/upstream-pools.ts";
import { GatewayRole } from "../worker/gateway-role.ts";
import { atEnd, preparer } from "./harness.ts";

export interface Fixture {
  readonly port: number;
  readonly role: GatewayRole;
  readonly context: TrafficContext;
  readonly records: ExchangeRecord[];
  readonly refused: string[];
  /** Connections, by reason and what is said of it. */
  readonly closed: string[];
  readonly assertions: unknown[];
}

export function observedContext(clock: Clock): Omit<Fixture, "port" | "role"> {
  const records: ExchangeRecord[] = [];
  const refused: string[] = [];
  const closed: string[] = [];
  const assertions: unknown[] = [];
  const sweeper = new DeadlineSweeper(clock);
  const observer = {
    ...SILENT_OBSERVER,
    onExchangeEnd: (record: ExchangeRecord): void => {
      records.push({ ...record });
    },
    onRefusedRequest: ({ flags }: ExchangeRecord): void => {
      refused.push(flags);
    },
    onRefusedConnection: (reason: ConnectionRefusal, detail = ""): void => {
      closed.push(`${reason} ${detail}`);
    },
    onAssertion: (error: unknown): void => {
      assertions.push(error);
    },
  };
  const pools = new UpstreamPools(sweeper);
  const context = { clock, prng: new SeededPrng(1), sweeper, pools, observer };
  return { context, records, refused, closed, assertions };
}

/** A gateway whose port 80 is `port`. */
export async function startFixture(
  snapshot: Snapshot,
  clock: Clock = systemClock,
  changes: Partial<TrafficContext> = {},
): Promise<Fixture> {
  const port = await freePort();
  const observed = observedContext(clock);
  const parts = { ...observed, context: { ...observed.context, ...changes } };
  const options = {
    role: "gateway",
    id: "test",
    gatewayHost: "127.0.0.1",
    portMap: { "80": port },
    accessLogPath: "",
    logLevel: "silent",
    logPath: "",
  } as const;
  const role = new GatewayRole(options, parts.context, preparer(parts.context));
  atEnd(() => role.stop());
  const failure = await role.configure(snapshot);
  if (failure !== null) throw new Error(failure);
  return { port, role, ...parts };
}

/** A client that sends and sees bytes. */
export class RawClient {
  readonly socket: Socket;
  received = "";
  isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.received += text;
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.isClosed = true;
    });
  }

  static async open(port: number): Promise<RawClient> {
    const client = new RawClient(connect(port, "127.0.0.1"));
    atEnd(() => client.socket.destroy());
    await once(client.socket, "connect");
    return client;
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Resolves when all that has been received matches. */
  async until(pattern: RegExp): Promise<string> {
    await eventually(() => pattern.test(this.received) || this.isClosed);
    return this.received;
  }

  async closed(): Promise<string> {
    await eventually(() => this.isClosed);
    return this.received;
  }
}

/** Turns of the event loop until `isTrue`; the test's own time-out is the limit. */
export async function eventually(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turn();
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
