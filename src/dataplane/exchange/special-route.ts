//! What few routes ask for at the gateway: CORS, injected faults, redirect, rewrite.
//!
//! Kept apart, so that a request whose route asks for none of it passes by with one comparison.

import type { Timer } from "../../base/clock.ts";
import { Headers } from "../../http/headers.ts";
import { redirectLocation, rewrittenTarget } from "../../route/path-rewrite.ts";
import type { PreparedRoute, RouteRequest } from "../../route/route.ts";
import type { FaultInjection } from "../../snapshot/routing.ts";
import { addCorsFields, checkCors } from "../filter/cors.ts";
import { proxyError } from "../proxy-error.ts";
import type { Exchange } from "./exchange.ts";

const PPM_TOTAL = 1_000_000;
const STATUS_OK = 200;
/** As Envoy names it, for the application. */
const ORIGINAL_PATH = "x-envoy-original-path";
const ORIGINAL_HOST = "x-envoy-original-host";

export class SpecialRoute {
  readonly #exchange: Exchange;
  readonly #prepared: PreparedRoute;
  #origin: string | null = null;
  #timer: Timer | null = null;

  constructor(exchange: Exchange, prepared: PreparedRoute) {
    this.#exchange = exchange;
    this.#prepared = prepared;
  }

  /** Calls `goOn` now, later, or, when the route has answered, not at all. */
  run(request: RouteRequest, goOn: () => void): void {
    const exchange = this.#exchange;
    const { route } = this.#prepared;
    const cors = checkCors(this.#prepared, request.method, exchange.head.headers);
    if (cors.kind === "preflight") {
      exchange.replyDetails = "cors_response";
      exchange.reply(STATUS_OK, "", cors.headers);
      return;
    }
    if (cors.kind === "allowed") this.#origin = cors.origin;
    const rest = (): void => {
      if (this.#answer(request)) return;
      this.#rewrite(request);
      goOn();
    };
    const fault = route.policy?.fault;
    if (fault === undefined) rest();
    else this.#inject(fault, rest);
  }

  /** Before the route's own header operations. */
  onResponse(headers: Headers): void {
    const cors = this.#prepared.route.policy?.cors;
    if (this.#origin !== null && cors !== undefined) addCorsFields(cors, this.#origin, headers);
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #inject({ delay, abort }: FaultInjection, goOn: () => void): void {
    const { prng, clock } = this.#exchange.context;
    const isDelayed = delay !== undefined && prng.below(PPM_TOTAL) < delay.sharePpm;
    const isAborted = abort !== undefined && prng.below(PPM_TOTAL) < abort.sharePpm;
    const next = (): void => {
      if (isAborted) {
        const message = "the route injects this fault";
        this.#exchange.fail({ ...proxyError("fault_injected", message), status: abort.status });
      } else goOn();
    };
    if (!isDelayed) {
      next();
      return;
    }
    this.#timer = clock.after(delay.delayMs, () => {
      this.#timer = null;
      next();
    });
  }

  #answer(request: RouteRequest): boolean {
    const { action } = this.#prepared.route;
    if (action.kind !== "redirect") return false;
    const { localPort } = this.#exchange.connection;
    const headers = new Headers();
    headers.add("location", redirectLocation(action, this.#prepared, request, localPort));
    this.#exchange.reply(action.status, "", headers);
    return true;
  }

  #rewrite(request: RouteRequest): void {
    const rewrite = this.#prepared.route.policy?.rewrite;
    if (rewrite === undefined) return;
    const { head } = this.#exchange;
    const { authority, ...ofPath } = rewrite;
    if (Object.keys(ofPath).length > 0) {
      head.headers.set(ORIGINAL_PATH, head.target);
      this.#exchange.clientTarget = head.target;
      head.target = rewrittenTarget(this.#prepared, request);
    }
    if (authority !== undefined) {
      head.headers.set(ORIGINAL_HOST, request.authority);
      head.headers.set("host", authority);
    }
  }
}
