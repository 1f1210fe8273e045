//! One case in this process: a plug-in of its own, virtual time, answers from the case.

import { VirtualClock } from "../base/virtual-clock.ts";
import type { ListenerRuntime, Runtime } from "../dataplane/runtime/runtime.ts";
import { HostIndex } from "../dataplane/runtime/host-index.ts";
import { prepareLanes } from "../lane/fallback.ts";
import { prepareRouteTable } from "../route/route.ts";
import { EMPTY_SNAPSHOT, NO_HEADER_OPERATIONS } from "../snapshot/snapshot.ts";
import type { Gateway, Listener, Route } from "../snapshot/snapshot.ts";
import { LogLevel } from "../wasm/enums.ts";
import { LoadFault } from "../wasm/fault.ts";
import type { HttpCall, HttpCallResponse, HttpCaller } from "../wasm/http-calls.ts";
import { MetricStore } from "../wasm/metric-store.ts";
import type { PluginModule } from "../wasm/module.ts";
import { hooksOf } from "../wasm/module-hooks.ts";
import { Plugin } from "../wasm/plugin.ts";
import { InProcessSharedData } from "../wasm/shared-data-store.ts";
import { InProcessSharedQueues } from "../wasm/shared-queues.ts";
import type { PluginServices } from "../wasm/vm.ts";
import type { Action, CaseCall, CaseFile, CaseResponse, PluginCase } from "./case-file.ts";
import { CaseExchange } from "./case-exchange.ts";
import type { SeenReply, SeenRequest } from "./case-exchange.ts";

export interface SeenCall extends SeenRequest {
  readonly cluster: string;
}

/** What a plug-in has done with a case. */
export interface Observation {
  readonly action: Action;
  readonly request: SeenRequest | null;
  readonly response: SeenReply | null;
  readonly localReply: SeenReply | null;
  readonly logs: readonly string[];
  readonly calls: readonly SeenCall[];
  /** The crash report, or why it would not start; `""` when all is well. */
  readonly trouble: string;
}

/** 2026-01-01T00:00:00Z: every case begins then. */
const START_MS = 1_767_225_600_000;
const LEVELS = Object.keys(LogLevel);
/** Lines and calls of one case; more are not kept. */
const SEEN_MAX = 10_000;

export function runCase(module: PluginModule, file: CaseFile, one: PluginCase): Observation {
  const clock = new VirtualClock(START_MS);
  const logs: string[] = [];
  const calls: SeenCall[] = [];
  const services: PluginServices = {
    clock,
    log: ({ level, message }) => {
      if (logs.length < SEEN_MAX) logs.push(`${LEVELS[level] ?? "info"}: ${message}`);
    },
    logLevel: () => LogLevel.info,
    metrics: new MetricStore(),
    sharedData: new InProcessSharedData(),
    sharedQueues: new InProcessSharedQueues((task) => {
      clock.after(0, task);
    }),
    httpCall: answering(one.calls, calls, clock),
  };
  const plugin = Plugin.start(module, settingsOf(file, one), services);
  if (plugin instanceof LoadFault) {
    const nothing = { request: null, response: null, localReply: null };
    return { action: "refused", ...nothing, logs, calls, trouble: plugin.message };
  }
  clock.advance(one.waitMs);
  const settle = (): void => {
    clock.advance(0);
  };
  settle();
  const exchange = new CaseExchange(runtimeWith(plugin), one.request, settle);
  exchange.run(one.request, one.response);
  plugin.stop();
  const { action, request, response, localReply, error } = exchange;
  const trouble = plugin.lastTrap?.report() ?? error?.message ?? "";
  return { action, request, response, localReply, logs, calls, trouble };
}

function settingsOf(file: CaseFile, one: PluginCase): Parameters<typeof Plugin.start>[1] {
  return {
    name: "plug-in",
    rootId: file.rootId,
    vmId: "",
    configuration: Buffer.from(one.configuration),
    vmConfiguration: Buffer.from(file.vmConfiguration),
    env: file.env,
  };
}

/** Answers are used in their order; the last one that fits is used again. */
function answering(
  answers: readonly CaseCall[],
  seen: SeenCall[],
  clock: VirtualClock,
): HttpCaller {
  const used = new Set<CaseCall>();
  return (call, onDone) => {
    const fitting = answers.filter((answer) => fits(answer, call));
    const answer = fitting.find((each) => !used.has(each)) ?? fitting.at(-1);
    if (seen.length < SEEN_MAX) seen.push(seenCall(call));
    if (answer === undefined) return null;
    used.add(answer);
    return clock.after(0, () => {
      onDone(responseOf(answer.answer));
    });
  };
}

function fits({ cluster, path }: CaseCall, call: HttpCall): boolean {
  return cluster === call.cluster && (path === "" || path === call.path);
}

function seenCall({ cluster, method, path, authority, headers, body }: HttpCall): SeenCall {
  return { cluster, method, path, authority, headers, body: Buffer.from(body).toString() };
}

function responseOf({ status, headers, chunks, trailers }: CaseResponse): HttpCallResponse {
  return {
    headers: [[":status", String(status)], ...headers],
    body: Buffer.from(chunks.join("")),
    trailers: trailers ?? [],
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
const TABLE = { name: "case", virtualHosts: [{ domains: ["*"], routes: [ROUTE] }] };
const GATEWAY: Gateway = { name: "case", labels: {}, listeners: [], plugins: ["case"] };
const LISTENER: Listener = { port: 80, protocol: "HTTP", hosts: ["*"], routeTable: "case" };

/** A gateway with this one plug-in, and a route that takes everything. */
function runtimeWith(instance: Plugin): { runtime: Runtime; listener: ListenerRuntime } {
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
  const listener: ListenerRuntime = {
    gateway: GATEWAY,
    listener: LISTENER,
    routes: prepareRouteTable(TABLE),
    groups: [],
    strippedHeaders: [],
    strippedBaggageKeys: [],
    needsTraceparent: false,
    readsRequestBody: requestBody,
    readsResponseBody: responseBody,
    bodyPrefixBytes: 0,
    plugins: [{ plugin, instance }],
  };
  const runtime: Runtime = {
    snapshot: EMPTY_SNAPSHOT,
    lanes: prepareLanes(EMPTY_SNAPSHOT),
    listeners: new Map([[LISTENER.port, listener]]),
    hosts: new HostIndex(EMPTY_SNAPSHOT),
    carriedHeaders: "",
    plugins: new Map(),
  };
  return { runtime, listener };
}
