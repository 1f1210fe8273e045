//! A gateway and its upstream on real sockets, for the tests of the data plane.

import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { systemClock } from "../../base/clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { TrafficContext } from "../context.ts";
import { DeadlineSweeper } from "../deadlines.ts";
import type { ExchangeRecord } from "../observer.ts";
import { Preparer } from "../runtime/prepare.ts";
import { UpstreamPools } from "../upstream/upstream-pools.ts";
import { GatewayRole } from "../worker/gateway-role.ts";
import { PluginCalls } from "../worker/plugin-calls.ts";
import { PluginClusters } from "../worker/plugin-clusters.ts";
import { PluginRedis } from "../worker/plugin-redis.ts";
import { pluginServices } from "../worker/plugin-services.ts";

export interface Harness {
  readonly role: GatewayRole;
  readonly records: ExchangeRecord[];
  readonly assertions: unknown[];
}

export function trafficContext(
  records: ExchangeRecord[] = [],
  assertions: unknown[] = [],
): TrafficContext {
  const sweeper = new DeadlineSweeper(systemClock);
  return {
    clock: systemClock,
    prng: new SeededPrng(1),
    sweeper,
    pools: new UpstreamPools(sweeper),
    observer: {
      onExchangeEnd: (record) => records.push({ ...record }),
      onRefusedRequest: () => undefined,
      onConnection: () => undefined,
      onRefusedConnection: () => undefined,
      onTunnel: () => undefined,
      onTraceConflict: () => undefined,
      onTraceOverflow: () => undefined,
      onBaggageDropped: () => undefined,
      onContextRefused: () => undefined,
      onAssertion: (error) => assertions.push(error),
    },
  };
}

/** With a context plug-ins call out to the clusters of the snapshot. */
export function preparer(context?: TrafficContext): Preparer {
  const logger = silentLogger;
  if (context === undefined) {
    return new Preparer({ logger, plugins: pluginServices(systemClock, logger) });
  }
  const clusters = new PluginClusters(context.prng);
  const calls = new PluginCalls(context, clusters);
  const redis = new PluginRedis({ ...context, logger }, clusters);
  const plugins = pluginServices(context.clock, logger, { out: { calls, redis } });
  return new Preparer({ logger, plugins, clusters });
}

const endings: (() => unknown)[] = [];

/** What is still open when a test file's tests are over would keep the file from ending. */
export function atEnd(end: () => unknown): void {
  endings.push(end);
}

/** Ends every gateway, upstream and client that was started: `after(endAll)` in a test file. */
export async function endAll(): Promise<void> {
  await Promise.all(endings.splice(0).map((end) => end()));
}

/** A gateway that maps port 80 to `port`, until `endAll`. */
export async function startGateway(port: number, snapshot: Snapshot): Promise<Harness> {
  const records: ExchangeRecord[] = [];
  const assertions: unknown[] = [];
  const options = {
    role: "gateway",
    id: "test",
    gatewayHost: "127.0.0.1",
    portMap: { "80": port },
    accessLogPath: "",
    logLevel: "silent",
    logPath: "",
  } as const;
  const role = new GatewayRole(options, trafficContext(records, assertions), preparer());
  atEnd(() => role.stop());
  const failure = await role.configure(snapshot);
  if (failure !== null) throw new Error(failure);
  return { role, records, assertions };
}

export interface RawUpstream {
  readonly port: number;
  connectionCount: number;
  close(): void;
}

/** An upstream that hands each connection to `serve`, byte for byte. */
export async function startRawUpstream(
  serve: (socket: Socket, index: number) => void,
): Promise<RawUpstream> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
    serve(socket, upstream.connectionCount);
    upstream.connectionCount += 1;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const upstream: RawUpstream = {
    port: (server.address() as AddressInfo).port,
    connectionCount: 0,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  atEnd(() => {
    upstream.close();
  });
  return upstream;
}

/** Sends raw bytes and returns everything that comes back until the peer closes. */
export async function sendRaw(port: number, bytes: string | readonly string[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  await once(socket, "connect");
  for (const part of typeof bytes === "string" ? [bytes] : bytes) {
    socket.write(part, "latin1");
    await new Promise((resolve) => setImmediate(resolve));
  }
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}
