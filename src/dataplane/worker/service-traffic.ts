//! Requests that services answered, by service: the part of the metrics that follows calls.

import { DURATION_BOUNDS_SECONDS, OVERFLOW, SERIES_MAX } from "../../telemetry/metrics.ts";
import type { Counter, Family, Histogram, Metrics } from "../../telemetry/metrics.ts";
import type { ExchangeRecord } from "../observer.ts";

const MS_PER_SECOND = 1_000;
/** By the first digit of the status; 0: the client had gone. */
const CODE_CLASSES: readonly string[] = ["gone", "1xx", "2xx", "3xx", "4xx", "5xx"];

/** The handles of one service; a class's counter is made when it is first counted. */
interface ServiceHandles {
  readonly byClass: (Counter | undefined)[];
  readonly duration: Histogram;
}

export class ServiceTraffic {
  readonly #requests: Family<Counter>;
  readonly #durations: Family<Histogram>;
  readonly #byService = new Map<string, ServiceHandles>();

  constructor(metrics: Metrics) {
    this.#requests = metrics.counter({
      name: "graylane_upstream_requests_total",
      help: "Requests that a service answered, by the class of the status that the caller got.",
      labelNames: ["service", "code_class"],
    });
    this.#durations = metrics.histogram(
      {
        name: "graylane_upstream_duration_seconds",
        help: "From a request's head to the head of the service's answer.",
        labelNames: ["service"],
      },
      DURATION_BOUNDS_SECONDS,
    );
  }

  count({ service, status, upstreamMs }: ExchangeRecord): void {
    // Names of hosts that are no Service come from apps: as many as series are told apart.
    const isTold = this.#byService.size < SERIES_MAX || this.#byService.has(service);
    const name = isTold ? service : OVERFLOW;
    let handles = this.#byService.get(name);
    if (handles === undefined) {
      handles = { byClass: [], duration: this.#durations.with(name) };
      this.#byService.set(name, handles);
    }
    const digit = Math.floor(status / 100);
    const named = CODE_CLASSES[digit] ?? OVERFLOW;
    (handles.byClass[digit] ??= this.#requests.with(name, named)).increment();
    handles.duration.observe(upstreamMs / MS_PER_SECOND);
  }
}
