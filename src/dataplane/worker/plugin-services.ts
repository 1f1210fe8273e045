//! What this worker lends to its plug-ins: clock, log, metrics, shared data.

import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { LogLevel } from "../../wasm/enums.ts";
import { MetricStore } from "../../wasm/metric-store.ts";
import { InProcessSharedData } from "../../wasm/shared-data-store.ts";
import type { PluginLog, PluginServices } from "../../wasm/vm.ts";

/** Lines that all plug-ins of a worker may log in a second; more are counted and dropped. */
const LOG_LINES_PER_SECOND_MAX = 1_000;

export function pluginServices(clock: Clock, logger: Logger): PluginServices {
  let windowStartMs = 0;
  let linesInWindow = 0;
  return {
    clock,
    logLevel: () => LogLevel.info,
    metrics: new MetricStore(),
    sharedData: new InProcessSharedData(),
    log(entry) {
      const nowMs = clock.monotonicMs();
      if (nowMs - windowStartMs >= 1_000) {
        const dropped = linesInWindow - LOG_LINES_PER_SECOND_MAX;
        if (dropped > 0) logger.warn("plug-ins logged too much", { dropped });
        windowStartMs = nowMs;
        linesInWindow = 0;
      }
      linesInWindow += 1;
      if (linesInWindow <= LOG_LINES_PER_SECOND_MAX) write(logger, entry);
    },
  };
}

function write(logger: Logger, { level, message, plugin, rootId }: PluginLog): void {
  const fields = { plugin, rootId };
  if (level >= LogLevel.error) logger.error(message, fields);
  else if (level === LogLevel.warn) logger.warn(message, fields);
  else if (level === LogLevel.info) logger.info(message, fields);
  else logger.debug(message, fields);
}
