//! What this worker lends to its plug-ins: clock, log, metrics, shared data.

import type { Clock } from "../../base/clock.ts";
import type { EnvoyLog } from "../../telemetry/envoy-log.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { LogLevel } from "../../wasm/enums.ts";
import { MetricStore } from "../../wasm/metric-store.ts";
import { UsageTable } from "../../wasm/plugin-usage.ts";
import { InProcessSharedData } from "../../wasm/shared-data-store.ts";
import { InProcessSharedQueues } from "../../wasm/shared-queues.ts";
import { REST_PER_NEWS, TickThrottle } from "../../wasm/tick-throttle.ts";
import { VmPool } from "../../wasm/vm-pool.ts";
import type { PluginLog, PluginServices } from "../../wasm/vm.ts";
import type { ProxyNode } from "../../snapshot/proxy-node.ts";
import { rootProperty } from "../filter/node-properties.ts";
import type { PluginLines } from "../plugin-lines.ts";
import { LOG_LINES_PER_SECOND_MAX, LogLimiter } from "./log-limiter.ts";
import type { PluginCalls } from "./plugin-calls.ts";
import { nameLookUp } from "./plugin-names.ts";
import type { PluginRedis } from "./plugin-redis.ts";

/** Where plug-ins call out to. */
export interface CallsOut {
  readonly calls: PluginCalls;
  readonly redis: PluginRedis;
}

/** What a worker has for its plug-ins, beside the clock and the log. */
export interface Lent {
  /** Absent: plug-ins know no cluster. */
  readonly out?: CallsOut;
  /** Who the gateway says it is; absent: one of `graylane up`. */
  readonly node?: ProxyNode;
  /** Keeps what plug-ins log; absent: nobody will ask. */
  readonly lines?: PluginLines;
}

export function pluginServices(
  clock: Clock,
  logger: Logger,
  { out, lines, node }: Lent = {},
): PluginServices & { readonly usage: UsageTable } {
  const keep = ({ plugin, level, rootId, message }: PluginLog): void => {
    if (level >= LogLevel.info)
      lines?.add(plugin, { timeMs: clock.nowMs(), level, rootId, message });
  };
  const limiter = new LogLimiter(clock, (plugin, dropped) => {
    logger.warn("a plug-in logged too much", { plugin, dropped });
    keep(droppedLines(plugin, dropped));
  });
  return {
    clock,
    logLevel: () => LogLevel.info,
    metrics: new MetricStore(),
    usage: new UsageTable(),
    sharedData: new InProcessSharedData(),
    sharedQueues: new InProcessSharedQueues((task) => {
      clock.after(0, task, { unref: true });
    }),
    httpCall: (call, onDone) => out?.calls.start(call, onDone) ?? null,
    grpcCall: (request, sink) => out?.calls.startGrpc(request, sink) ?? "no_cluster",
    redis: (server) => out?.redis.open(server) ?? null,
    ...(out !== undefined && { dns: nameLookUp() }),
    rootProperty: rootProperty(node),
    vms: new VmPool(),
    ticks: new TickThrottle(clock),
    queueNews: new TickThrottle(clock, REST_PER_NEWS),
    log(entry) {
      if (!limiter.admits(entry.plugin)) return;
      write(logger, entry);
      keep(entry);
    },
  };
}

/** In place of the log: lines in Envoy's form, of the level that is asked for. */
export function envoyPluginLog(
  clock: Clock,
  log: EnvoyLog,
): Pick<PluginServices, "log" | "logLevel"> {
  const tell = ({ level, message, plugin, rootId, vmId }: PluginLog): void => {
    log.wasm({ level, message, name: plugin, rootId, vmId });
  };
  const limiter = new LogLimiter(clock, (plugin, count) => {
    tell(droppedLines(plugin, count));
  });
  return {
    logLevel: () => Math.min(log.wasmLevel, LogLevel.critical) as LogLevel,
    log(entry) {
      if (entry.level >= log.wasmLevel && limiter.admits(entry.plugin)) tell(entry);
    },
  };
}

function droppedLines(plugin: string, count: number): PluginLog {
  const message = `${count} lines more than ${LOG_LINES_PER_SECOND_MAX} in a second were dropped`;
  return { level: LogLevel.warn, message, plugin, rootId: "", vmId: "" };
}

function write(logger: Logger, { level, message, plugin, rootId }: PluginLog): void {
  const fields = { plugin, rootId };
  if (level >= LogLevel.error) logger.error(message, fields);
  else if (level === LogLevel.warn) logger.warn(message, fields);
  else if (level === LogLevel.info) logger.info(message, fields);
  else logger.debug(message, fields);
}
