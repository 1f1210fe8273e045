//! Entry of a worker process: a gateway, or the host of every pod's sidecar.

import { rmSync } from "node:fs";
import { systemClock } from "../base/clock.ts";
import { systemPrng } from "../base/prng.ts";
import { DeadlineSweeper } from "../dataplane/deadlines.ts";
import { EvenShare } from "../dataplane/listener/even-share.ts";
import { InheritedPorts } from "../dataplane/listener/inherited-ports.ts";
import { OverloadGuard } from "../dataplane/overload.ts";
import { Preparer } from "../dataplane/runtime/prepare.ts";
import { QueueNews } from "../dataplane/shared-memory/queue-news.ts";
import { SharedMemory } from "../dataplane/shared-memory/shared-memory.ts";
import { UpstreamPools } from "../dataplane/upstream/upstream-pools.ts";
import { PluginLines } from "../dataplane/plugin-lines.ts";
import { RecentHops } from "../dataplane/recent-hops.ts";
import { NOTHING_RECENT, RecentDecisions } from "../dataplane/recent-decisions.ts";
import { GatewayRole } from "../dataplane/worker/gateway-role.ts";
import { memoryFamily, overloadFamilies } from "../dataplane/worker/overload-report.ts";
import { PluginCalls } from "../dataplane/worker/plugin-calls.ts";
import { PluginClusters } from "../dataplane/worker/plugin-clusters.ts";
import { PluginRedis } from "../dataplane/worker/plugin-redis.ts";
import { PluginReport } from "../dataplane/worker/plugin-report.ts";
import { envoyPluginLog, pluginServices } from "../dataplane/worker/plugin-services.ts";
import { memoryInUse, PROCESS_SENSES } from "../dataplane/worker/process-senses.ts";
import { FAILED_CHECK, WORKER_OPTIONS_VARIABLE } from "../dataplane/worker/protocol.ts";
import type { ToWorker, WorkerOptions } from "../dataplane/worker/protocol.ts";
import { SidecarRole } from "../dataplane/worker/sidecar-role.ts";
import { TrafficReport } from "../dataplane/worker/traffic-report.ts";
import { WorkerProcess } from "../dataplane/worker/worker-process.ts";
import { createLogger } from "../telemetry/logger.ts";
import { compileLogFormat } from "../telemetry/log-format.ts";
import { EnvoyLog } from "../telemetry/envoy-log.ts";
import type { PluginTrap } from "../wasm/fault.ts";
import { tellMain } from "./tell-main.ts";

const options = JSON.parse(process.env[WORKER_OPTIONS_VARIABLE] ?? "{}") as WorkerOptions;
const { sharedMemory = "", keepsSharedMemory = false } = options;
/** Of requests that pass a few services. */
const HOPS_PER_REQUEST = 8;

const clock = systemClock;
const envoyLog =
  options.envoyLog === undefined
    ? null
    : new EnvoyLog(clock, options.envoyLog, (line) => process.stderr.write(line));
const logger =
  envoyLog ??
  createLogger({
    level: options.logLevel,
    base: { worker: options.id },
    path: options.logPath,
  });

// Ctrl-C reaches the whole process group; the main process decides when workers end.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => undefined);

const { accessLogFormat: formatText, accessLogPath } = options;
const format = formatText === undefined ? null : compileLogFormat(formatText);
if (typeof format === "string") throw new Error(`the access log's format: ${format}`);
const report = await TrafficReport.open({
  ...{ clock, logger, accessLogPath },
  ...(format === null ? {} : { format }),
});
const sweeper = new DeadlineSweeper(clock, PROCESS_SENSES.cpuMs);
const pools = new UpstreamPools(sweeper);
const loggedHeaders = [
  ...new Set([...(options.accessLogHeaders ?? []), ...(format?.fields ?? [])]),
];
const recent = makeRecent(options);
const hops = makeHops(options);
const overload = makeOverloadGuard(options);
const share = makeShare(options);
const inherited = makeInheritedPorts(options);
const context = {
  ...{ clock, prng: systemPrng, sweeper, pools, observer: report },
  ...(loggedHeaders.length === 0 ? {} : { loggedHeaders }),
  ...(options.node === undefined ? {} : { node: options.node }),
  ...(recent === null ? {} : { recent }),
  ...(hops === null ? {} : { hops }),
  ...(overload === null ? {} : { overload }),
  ...(share === null ? {} : { share }),
  ...(inherited === null ? {} : { inherited }),
};
const clusters = new PluginClusters(systemPrng);
const calls = new PluginCalls({ ...context, clock: sweeper.clock }, clusters);
const redis = new PluginRedis({ clock: sweeper.clock, prng: systemPrng, logger }, clusters);
const lines = new PluginLines();
const queueNews = new QueueNews(clock, (owner, queues) => {
  tellMain({ type: "queuesReady", worker: owner, queues });
});
const shared = new SharedMemory({
  directory: sharedMemory,
  reach: {
    workerId: options.id,
    later: (task) => {
      clock.after(0, task, { unref: true });
    },
    tell: (owner, token) => {
      queueNews.add(owner, token);
    },
  },
  logger,
});
const plugins = {
  ...pluginServices(clock, logger, {
    ...{ out: { calls, redis }, lines },
    ...(options.node === undefined ? {} : { node: options.node }),
  }),
  ...(envoyLog !== null && envoyPluginLog(clock, envoyLog)),
  sharedData: shared.data,
  sharedQueues: shared.queues,
  onTrap: ({ plugin }: PluginTrap) => {
    report.onPluginTrap(plugin);
  },
};
const pluginReport = new PluginReport(plugins.usage, plugins.metrics);
const restartElsewhere = (plugin: string): void => {
  tellMain({ type: "longRestart", plugin });
};
const { isTrial = false } = options;
const preparer = new Preparer({ logger, isTrial, plugins, clusters, shared, restartElsewhere });
const role =
  options.role === "gateway"
    ? new GatewayRole(options, context, preparer)
    : new SidecarRole(context, preparer);

if (options.sharedTraces !== undefined && role instanceof SidecarRole) {
  role.shareTraces(options.sharedTraces);
}

const worker = new WorkerProcess(
  {
    send: tellMain,
    onMessage: (listener) => {
      process.on("message", (message, handle) => {
        listener(message as ToWorker, handle);
      });
    },
    onDisconnect: (listener) =>
      process.on("disconnect", () => {
        // A main process that was killed cannot do it, and no other worker will come.
        if (sharedMemory !== "" && !keepsSharedMemory)
          rmSync(sharedMemory, { recursive: true, force: true });
        listener();
      }),
  },
  role,
  {
    metrics: () => {
      const memory = memoryFamily(memoryInUse());
      if (!(role instanceof GatewayRole)) {
        return { families: [...report.metrics.snapshot().families, memory] };
      }
      report.setPluginFaults(role.pluginFaults().length);
      const { families } = report.metrics.snapshot();
      const limits = overload === null ? [] : overloadFamilies(overload, options.id);
      const plugin = pluginReport.snapshot(role.pluginSlots()).families;
      return { families: [...families, memory, ...limits, ...plugin] };
    },
    queueReady: (token, count) => {
      shared.queueReady(token, count);
    },
    ejected: () => [
      ...pools.clusters.ejected(sweeper.nowMs),
      ...pools.clusters.unhealthy().map((address) => `${address} ${FAILED_CHECK}`),
    ],
    setLogLevel: (level) => {
      logger.level = level;
    },
    recent: (query) => recent?.search(query) ?? NOTHING_RECENT,
    hops: (ids) => hops?.find(ids) ?? [],
    pluginLines: (plugin, after) => lines.after(plugin, after),
    onAssertion: (error) => {
      report.onAssertion(error);
    },
    ...(share === null ? {} : { share }),
    ...(inherited === null ? {} : { inherited }),
    exit: () => {
      void report.close().finally(() => process.exit(0));
    },
  },
);
worker.start();

function makeOverloadGuard({ role: own, overload: limits }: WorkerOptions): OverloadGuard | null {
  if (own !== "gateway" || limits === undefined) return null;
  return new OverloadGuard(clock, limits, {
    ...PROCESS_SENSES,
    onDelay: (delayMs) => {
      report.onLoopDelay(delayMs);
    },
    onChange: (why) => {
      if (why === null) logger.info("the load is bearable again: no request is refused");
      else logger.warn(`overload: ${why}; a part of the requests is refused with 503`);
    },
  });
}

function makeShare({ role: own }: WorkerOptions): EvenShare | null {
  if (own !== "gateway") return null;
  const even = new EvenShare(clock, {
    tell: (count) => {
      tellMain({ type: "connections", count });
    },
    askHandle: (port, handle) => {
      tellMain({ type: "handle", port }, handle, () => {
        even.onHandle(port, null);
      });
    },
  });
  return even;
}

function makeInheritedPorts({ inherited: addresses = [] }: WorkerOptions): InheritedPorts | null {
  if (addresses.length === 0) return null;
  return new InheritedPorts(addresses, (address) => {
    tellMain({ type: "inherit", address });
  });
}

function makeHops({ role: own, recentCount = 0 }: WorkerOptions): RecentHops | null {
  return own === "sidecar" && recentCount > 0
    ? new RecentHops(recentCount * HOPS_PER_REQUEST)
    : null;
}

function makeRecent({ role: own, recentCount = 0 }: WorkerOptions): RecentDecisions | null {
  return own === "gateway" && recentCount > 0 ? new RecentDecisions(recentCount) : null;
}
