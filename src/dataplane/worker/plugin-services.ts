//! What this worker lends to its plug-ins: clock, log, metrics, shared data.

import type { Clock } from "../../base/clock.ts";
import type { EnvoyLog } from "../../telemetry/envoy-log.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { LogLevel } from "../../wasm/enums.ts";
import { MetricStore } from "../../wasm/metric-store.ts";
import { UsageTable } from "../../wasm/plugin-usage.ts";
import { InProcessSharedData } from "../../wasm/shared-data-store.ts";
import { InProcessSharedQueues } from "../../wasm/shared-queues.ts";
import { TickThrottle } from "../../wasm/tick-throttle.ts";
import { VmPool } from "../../wasm/vm-pool.ts";
import type { PluginLog, PluginServices } from "../../wasm/vm.ts";

import type { PluginCalls } from "./plugin-calls.ts";
import type { PluginRedis } from "./plugin-redis.ts";

/** Lines that one plug-in may log in a second; more are counted and dropped. */
const LOG_LINES_PER_SECOND_MAX = 1_000;

/** Where plug-ins call out to. */
export interface CallsOut {
  readonly calls: PluginCalls;
  readonly redis: PluginRedis;
}

/** Without `out` plug-ins know no cluster. */
export function pluginServices(
  clock: Clock,
  logger: Logger,
  out?: CallsOut,
): PluginServices & { readonly usage: UsageTable } {
  const limiter = new LogLimiter(clock, logger);
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
    vms: new VmPool(),
    ticks: new TickThrottle(clock),
    log(entry) {
      if (limiter.admits(entry.plugin)) write(logger, entry);
    },
  };
}

/** In place of the log: lines in Envoy's form, of the level that is asked for. */
export function envoyPluginLog(log: EnvoyLog): Pick<PluginServices, "log" | "logLevel"> {
  return {
    logLevel: () => Math.min(log.wasmLevel, LogLevel.critical) as LogLevel,
    log({ level, message, plugin, rootId, vmId }) {
      log.wasm({ level, message, name: plugin, rootId, vmId });
    },
  };
}

/** One second is counted for all together, so that this holds no more than the names in it. */
class LogLimiter {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #lines = new Map<string, number>();
  #windowStartMs = 0;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  admits(plugin: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#windowStartMs >= 1_000) this.#turn(nowMs);
    const count = (this.#lines.get(plugin) ?? 0) + 1;
    this.#lines.set(plugin, count);
    return count <= LOG_LINES_PER_SECOND_MAX;
  }

  #turn(nowMs: number): void {
    for (const [plugin, count] of this.#lines) {
      const dropped = count - LOG_LINES_PER_SECOND_MAX;
      if (dropped > 0) this.#logger.warn("a plug-in logged too much", { plugin, dropped });
    }
    this.#lines.clear();
    this.#windowStartMs = nowMs;
  }
}

function write(logger: Logger, { level, message, plugin, rootId }: PluginLog): void {
  const fields = { plugin, rootId };
  if (level >= LogLevel.error) logger.error(message, fields);
  else if (level === LogLevel.warn) logger.warn(message, fields);
  else if (level === LogLevel.info) logger.info(message, fields);
  else logger.debug(message, fields);
}
