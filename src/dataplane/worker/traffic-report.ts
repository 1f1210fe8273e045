//! Metrics and access log of one worker. Handles are made when a lane is first seen, not later.

import type { Clock } from "../../base/clock.ts";
import { formatJson, NO_DETAILS } from "../../telemetry/access-log.ts";
import type { LogFormat } from "../../telemetry/log-format.ts";
import { LineWriter, openFileSink } from "../../telemetry/line-writer.ts";
import type { Refusal } from "../../lane/signed-tag.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { DURATION_BOUNDS_SECONDS, Metrics } from "../../telemetry/metrics.ts";
import type { Counter, Family, Gauge, Histogram } from "../../telemetry/metrics.ts";
import type { Exchange } from "../exchange/exchange.ts";
import { detailsOf, detailsOfConnection } from "../exchange/log-details.ts";
import type { ConnectionFacts } from "../listener/connection-facts.ts";
import type { ConnectionRefusal, ExchangeRecord, TrafficObserver } from "../observer.ts";
import { LogLimiter } from "./log-limiter.ts";
import { ServiceTraffic } from "./service-traffic.ts";

const MS_PER_SECOND = 1_000;

type LaneOf = Pick<ExchangeRecord, "role" | "laneGroup" | "lane">;

/** The handles of one lane at one role. */
interface LaneHandles {
  /** By the first digit of the status; 0: the client had gone. */
  readonly byClass: readonly Counter[];
  readonly duration: Histogram;
  /** By the fallback's reason, made at the first of its kind. */
  readonly fallbacks: Map<string, Counter>;
}

export class TrafficReport implements TrafficObserver {
  readonly metrics: Metrics = new Metrics();
  readonly #logger: Logger;
  readonly #accessLog: LineWriter | null;
  readonly #refusalLines: LogLimiter;
  readonly #format: Pick<LogFormat, "line" | "isDetailed">;
  readonly #requests: Family<Counter>;
  readonly #durations: Family<Histogram>;
  readonly #fallbacks: Family<Counter>;
  readonly #services: ServiceTraffic;
  readonly #connections: Gauge;
  readonly #tunnels: Gauge;
  readonly #tunnelsTotal: Counter;
  readonly #pluginTraps: Family<Counter>;
  readonly #pluginFaults: Gauge;
  readonly #assertions: Counter;
  readonly #traceConflicts: Counter;
  readonly #traceOverflows: Counter;
  readonly #baggageDropped: Counter;
  readonly #contextsRefused: Family<Counter>;
  readonly #refused: Family<Counter>;
  readonly #refusedConnections: Family<Counter>;
  readonly #loopDelays: Histogram;
  readonly #byLane = new Map<string, LaneHandles>();
  /** Of the last exchange: to join three names and look them up costs more than to count. */
  #last: (LaneOf & { readonly handles: LaneHandles }) | null = null;

  private constructor(
    { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
    accessLog: LineWriter | null,
    format: Pick<LogFormat, "line" | "isDetailed"> = { line: formatJson, isDetailed: false },
  ) {
    this.#logger = logger;
    this.#refusalLines = new LogLimiter(clock, (reason, dropped) => {
      logger.warn(`${reason}: ${dropped} more client connections were closed in that second`);
    });
    this.#format = format;
    this.#accessLog = accessLog;
    const { metrics } = this;
    const counter = (name: string, help: string): Counter => metrics.counter({ name, help }).with();
    this.#requests = metrics.counter({
      name: "graylane_requests_total",
      help: "Finished requests by role of the hop, lane of the request and class of the status.",
      labelNames: ["role", "lane_group", "lane", "code_class"],
    });
    this.#durations = metrics.histogram(
      {
        name: "graylane_request_duration_seconds",
        help: "From a request's head to the end of its response.",
        labelNames: ["role", "lane_group", "lane"],
      },
      DURATION_BOUNDS_SECONDS,
    );
    this.#fallbacks = metrics.counter({
      name: "graylane_lane_fallbacks_total",
      help: "Hops that the request's own lane did not serve, by reason.",
      labelNames: ["role", "lane_group", "lane", "reason"],
    });
    this.#services = new ServiceTraffic(metrics);
    this.#connections = metrics
      .gauge({ name: "graylane_downstream_connections", help: "Open client connections." })
      .with();
    this.#tunnels = metrics
      .gauge({ name: "graylane_tunnels", help: "Open tunnels of protocol switches (WebSocket)." })
      .with();
    this.#tunnelsTotal = counter("graylane_tunnels_total", "Protocol switches (WebSocket).");
    this.#refused = refusedRequests(metrics);
    this.#refusedConnections = refusedConnections(metrics);
    this.#loopDelays = loopDelays(metrics);
    this.#traceConflicts = counter(
      "graylane_trace_conflicts_total",
      "Requests that met a live one of the same trace id in another lane; the newest won.",
    );
    this.#traceOverflows = counter(
      "graylane_trace_overflows_total",
      "Requests whose lane was not remembered: the pod's trace table was full.",
    );
    this.#baggageDropped = counter(
      "graylane_baggage_members_dropped_total",
      "Members of other people's baggage left out to keep its limits beside the lane's.",
    );
    this.#contextsRefused = contextsRefused(metrics);
    this.#pluginTraps = metrics.counter({
      name: "graylane_plugin_traps_total",
      help: "Plug-ins that trapped or ran for too long; their VM was thrown away.",
      labelNames: ["plugin"],
    });
    this.#pluginFaults = metrics
      .gauge({
        name: "graylane_plugin_faults",
        help: "Plug-ins that do not run as applied: an older version or none runs in their place.",
      })
      .with();
    this.#assertions = counter("graylane_assertions_total", "Beliefs of ours that were wrong.");
  }

  /** A plug-in trapped, or was stopped because its time was up. */
  onPluginTrap(plugin: string): void {
    this.#pluginTraps.with(plugin).increment();
  }

  /** How many plug-ins do not run as they were applied. */
  setPluginFaults(count: number): void {
    this.#pluginFaults.set(count);
  }

  /** `accessLogPath` is `""` for none. */
  static async open(options: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly accessLogPath: string;
    readonly format?: LogFormat;
  }): Promise<TrafficReport> {
    const { clock, logger, accessLogPath, format } = options;
    const writer =
      accessLogPath === "" ? null : new LineWriter(await openFileSink(accessLogPath), clock);
    return new TrafficReport({ clock, logger }, writer, format);
  }

  onExchangeEnd(record: ExchangeRecord, exchange: Exchange): void {
    const handles = this.#handles(record);
    handles.byClass[Math.floor(record.status / 100)]?.increment();
    handles.duration.observe(record.durationMs / MS_PER_SECOND);
    if (record.fallbackReason !== "") this.#countFallback(handles, record);
    // A pod's inbound side calls its own app, which the caller's side has counted.
    if (record.role !== "inbound") {
      if (record.upstreamMs >= 0) this.#services.count(record);
      this.#services.countTries(record);
    }
    const { line, isDetailed } = this.#format;
    this.#accessLog?.write(isDetailed ? line(record, detailsOf(exchange)) : line(record));
  }

  onRefusedRequest(record: ExchangeRecord, connection: ConnectionFacts): void {
    this.#refused.with(record.flags).increment();
    const { line, isDetailed } = this.#format;
    const details = isDetailed ? detailsOfConnection(connection, record.forwardedFor) : NO_DETAILS;
    this.#accessLog?.write(line(record, details));
  }

  onConnection(delta: 1 | -1): void {
    this.#connections.add(delta);
  }

  onRefusedConnection(reason: ConnectionRefusal, detail?: string): void {
    this.#refusedConnections.with(reason).increment();
    if (detail === undefined || !this.#refusalLines.admits(reason)) return;
    this.#logger.warn(`${reason}: a client connection was closed: ${detail}`);
  }

  onLoopDelay(delayMs: number): void {
    this.#loopDelays.observe(delayMs / MS_PER_SECOND);
  }

  onTunnel(delta: 1 | -1): void {
    this.#tunnels.add(delta);
    if (delta === 1) this.#tunnelsTotal.increment();
  }

  onTraceConflict(): void {
    this.#traceConflicts.increment();
  }

  onBaggageDropped(count: number): void {
    this.#baggageDropped.add(count);
  }

  onContextRefused(role: ExchangeRecord["role"], group: string, refusal: Refusal): void {
    this.#contextsRefused.with(role, group, refusal).increment();
  }

  onTraceOverflow(): void {
    this.#traceOverflows.increment();
  }

  onAssertion(error: unknown): void {
    this.#assertions.increment();
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#logger.error("a belief of ours was wrong; the exchange was failed", { error: text });
  }

  async close(): Promise<void> {
    await this.#accessLog?.close();
  }

  #countFallback(
    { fallbacks }: LaneHandles,
    { role, laneGroup, lane, fallbackReason }: ExchangeRecord,
  ): void {
    let counter = fallbacks.get(fallbackReason);
    if (counter === undefined) {
      // `fallback:no-copy`; the reasons are a closed set (lane/fallback.ts).
      const reason = fallbackReason.slice(fallbackReason.indexOf(":") + 1);
      counter = this.#fallbacks.with(role, laneGroup, nameOf(lane), reason);
      fallbacks.set(fallbackReason, counter);
    }
    counter.increment();
  }

  #handles({ role, laneGroup, lane }: ExchangeRecord): LaneHandles {
    const last = this.#last;
    if (last?.lane === lane && last.laneGroup === laneGroup && last.role === role) {
      return last.handles;
    }
    const handles = this.#handlesOf(role, laneGroup, lane);
    this.#last = { role, laneGroup, lane, handles };
    return handles;
  }

  #handlesOf(role: ExchangeRecord["role"], laneGroup: string, lane: string): LaneHandles {
    const key = `${role} ${laneGroup} ${lane}`;
    const known = this.#byLane.get(key);
    if (known !== undefined) return known;
    const named = nameOf(lane);
    const classes = ["gone", "1xx", "2xx", "3xx", "4xx", "5xx"];
    const handles = {
      byClass: classes.map((name) => this.#requests.with(role, laneGroup, named, name)),
      duration: this.#durations.with(role, laneGroup, named),
      fallbacks: new Map<string, Counter>(),
    };
    this.#byLane.set(key, handles);
    return handles;
  }
}

function nameOf(lane: string): string {
  return lane === "" ? "baseline" : lane;
}

function refusedRequests(metrics: Metrics): Family<Counter> {
  return metrics.counter({
    name: "graylane_refused_requests_total",
    help: "Requests that were no HTTP, or broke a limit of it; the code is the fault's.",
    labelNames: ["code"],
  });
}

function refusedConnections(metrics: Metrics): Family<Counter> {
  return metrics.counter({
    name: "graylane_refused_connections_total",
    help: "Client connections closed before anything of them was read as HTTP, by reason.",
    labelNames: ["reason"],
  });
}

function loopDelays(metrics: Metrics): Histogram {
  const family = metrics.histogram(
    {
      name: "graylane_event_loop_delay_seconds",
      help: "How late the event loops of gateway workers were, looked at every 50 ms.",
    },
    DURATION_BOUNDS_SECONDS,
  );
  return family.with();
}

function contextsRefused(metrics: Metrics): Family<Counter> {
  return metrics.counter({
    name: "graylane_lane_contexts_refused_total",
    help: "Lane contexts that a signed lane group did not believe, by reason.",
    labelNames: ["role", "lane_group", "reason"],
  });
}
