//! One case in this process: a plug-in of its own, virtual time, answers from the case.

import { assert } from "../base/assert.ts";
import { VirtualClock } from "../base/virtual-clock.ts";
import type { ListenerRuntime, Runtime } from "../dataplane/runtime/runtime.ts";
import { Preparer } from "../dataplane/runtime/prepare.ts";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Listener, Route, Snapshot } from "../snapshot/snapshot.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { LogLevel } from "../wasm/enums.ts";
import { LoadFault } from "../wasm/fault.ts";
import { MetricStore } from "../wasm/metric-store.ts";
import type { PluginModule } from "../wasm/module.ts";
import { hooksOf } from "../wasm/module-hooks.ts";
import { Plugin } from "../wasm/plugin.ts";
import { InProcessSharedData } from "../wasm/shared-data-store.ts";
import { InProcessSharedQueues } from "../wasm/shared-queues.ts";
import type { PluginServices } from "../wasm/vm.ts";
import { answeringServices, CaseAnswers } from "./case-answers.ts";
import type { SeenCall, SeenGrpc, SeenRedis } from "./case-answers.ts";
import type { Action, CaseFile, PluginCase } from "./case-file.ts";
import { CaseExchange, START_MS } from "./case-exchange.ts";
import type { SeenReply, SeenRequest } from "./case-exchange.ts";

/** What a plug-in has done with a case. */
export interface Observation {
  readonly action: Action;
  readonly request: SeenRequest | null;
  readonly response: SeenReply | null;
  readonly localReply: SeenReply | null;
  readonly logs: readonly string[];
  readonly calls: readonly SeenCall[];
  readonly grpc: readonly SeenGrpc[];
  readonly redis: readonly SeenRedis[];
  readonly dns: readonly string[];
  /** The crash report, or why it would not start; `""` when all is well. */
  readonly trouble: string;
}

const LEVELS = Object.keys(LogLevel);
/** Lines of one case; more are not kept. */
const LOGS_MAX = 10_000;

export interface CaseGateway {
  readonly runtime: Runtime;
  readonly listener: ListenerRuntime;
}

/** What the cases of a file have in common. */
export interface CaseSetting {
  readonly module: PluginModule;
  readonly file: CaseFile;
  readonly gateway: CaseGateway;
}

export function runCase({ module, file, gateway }: CaseSetting, one: PluginCase): Observation {
  const clock = new VirtualClock(START_MS);
  const logs: string[] = [];
  const answers = new CaseAnswers(one, clock);
  const services = servicesOf(clock, {
    log: ({ level, message }) => {
      if (logs.length < LOGS_MAX) logs.push(`${LEVELS[level] ?? "info"}: ${message}`);
    },
    ...answeringServices([answers], () => answers, clock),
  });
  const plugin = Plugin.start(module, settingsOf(file, one), services);
  if (plugin instanceof LoadFault) {
    const nothing = { request: null, response: null, localReply: null };
    return { action: "refused", ...nothing, logs, ...callsOf(answers), trouble: plugin.message };
  }
  clock.advance(one.waitMs);
  const settle = (): void => {
    clock.advance(0);
  };
  settle();
  const exchange = new CaseExchange(withPlugin(gateway, plugin), one, settle);
  exchange.run(one.request, one.response);
  const calls = callsOf(answers);
  plugin.stop();
  const { action, request, response, localReply, error } = exchange;
  const trouble = plugin.lastTrap?.report() ?? error?.message ?? "";
  return { action, request, response, localReply, logs, ...calls, trouble };
}

/** As they are now: what is still open is cancelled when the plug-in stops. */
function callsOf({
  calls,
  grpc,
  redis,
  dns,
}: CaseAnswers): Pick<Observation, "calls" | "grpc" | "redis" | "dns"> {
  return { calls, grpc: grpc.map((call) => ({ ...call })), redis, dns };
}

export function settingsOf(file: CaseFile, one: PluginCase): Parameters<typeof Plugin.start>[1] {
  return {
    name: "plug-in",
    rootId: file.rootId,
    vmId: "",
    configuration: Buffer.from(one.configuration),
    vmConfiguration: Buffer.from(file.vmConfiguration),
    env: file.env,
  };
}

const SOURCE = { kind: "Case", namespace: "", name: "case" };
const ROUTE: Route = {
  id: "case",
  label: "",
  source: SOURCE,
  matches: [],
  action: { kind: "direct", status: 200, body: "" },
  requestHeaders: NO_HEADER_OPERATIONS,
  responseHeaders: NO_HEADER_OPERATIONS,
  timeoutMs: 0,
};
const PORT = 80;
const LISTENER: Listener = { port: PORT, protocol: "HTTP", hosts: ["*"], routeTable: "case" };
const SNAPSHOT: Snapshot = {
  ...EMPTY_SNAPSHOT,
  gateways: { case: { name: "case", labels: {}, listeners: [LISTENER], plugins: [] } },
  routeTables: { case: { name: "case", virtualHosts: [{ domains: ["*"], routes: [ROUTE] }] } },
};

/** A gateway as workers prepare it, with a route that takes everything, and no plug-in yet. */
export async function prepareCaseGateway(): Promise<CaseGateway> {
  const plugins = servicesOf(new VirtualClock(START_MS), { log: () => undefined });
  const preparer = new Preparer({ logger: silentLogger, plugins });
  const runtime = await preparer.prepareGateway(SNAPSHOT, null);
  const listener = runtime.listeners.get(PORT);
  assert(listener !== undefined, "the snapshot has a listener");
  return { runtime, listener };
}

export function withPlugin({ runtime, listener }: CaseGateway, instance: Plugin): CaseGateway {
  const { requestBody, responseBody } = hooksOf(instance.module);
  const plugin = {
    name: "case",
    source: SOURCE,
    module: { sha256: instance.module.digest, path: "" },
    configuration: "",
    rootId: instance.settings.rootId,
    vmId: "",
    failMode: "closed" as const,
    env: {},
  };
  const withIt: ListenerRuntime = {
    ...listener,
    readsRequestBody: requestBody,
    readsResponseBody: responseBody,
    readsLatency: true,
    readsLocalCertificate: true,
    plugins: [{ plugin, instance }],
  };
  return { runtime, listener: withIt };
}

export function servicesOf(
  clock: VirtualClock,
  own: Pick<PluginServices, "log" | "httpCall" | "grpcCall" | "redis" | "dns">,
): PluginServices {
  return {
    ...own,
    clock,
    logLevel: () => LogLevel.info,
    metrics: new MetricStore(),
    sharedData: new InProcessSharedData(),
    sharedQueues: new InProcessSharedQueues((task) => {
      clock.after(0, task);
    }),
  };
}
