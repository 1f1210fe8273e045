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

/** Whose fault it is, by our flags: what was sent to the service was not answered. */
const FAILURES: ReadonlySet<string> = new Set([
  ...["upstream_connect_failed", "upstream_tls_failed", "upstream_overflow", "upstream_reset"],
  ...["upstream_protocol", "upstream_timeout", "no_endpoint"],
]);

export class ServiceTraffic {
  readonly #requests: Family<Counter>;
  readonly #durations: Family<Histogram>;
  readonly #failures: Family<Counter>;
  readonly #retries: Family<Counter>;
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
    this.#failures = metrics.counter({
      name: "graylane_upstream_failures_total",
      help: "Requests to a service that ended without its answer, or in the middle of it.",
      labelNames: ["service", "reason"],
    });
    this.#retries = metrics.counter({
      name: "graylane_upstream_retries_total",
      help: "Tries after the first one of a request to a service, connects that failed as well.",
      labelNames: ["service"],
    });
  }

  /** What went wrong on the way, whether an answer came or not. */
  countTries({ service, flags, attempts }: ExchangeRecord): void {
    if (service === "" || (flags === "" && attempts <= 1)) return;
    if (attempts > 1) this.#retries.with(service).add(attempts - 1);
    if (FAILURES.has(flags)) this.#failures.with(service, flags).increment();
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
