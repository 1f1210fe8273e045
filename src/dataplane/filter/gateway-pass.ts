//! One request's way through a gateway's filters: plug-ins in order, then route and lane.
//!
//! Knows no socket, so that a live exchange and explain run the very same steps.

import { assert } from "../../base/assert.ts";
import type { Prng } from "../../base/prng.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { PreparedLaneGroup } from "../../lane/decide.ts";
import type { PreparedLanes } from "../../lane/fallback.ts";
import { explainNoMatch } from "../../route/explain.ts";
import { matchRoute } from "../../route/route.ts";
import type { RouteRequest } from "../../route/route.ts";
import type { Route } from "../../snapshot/snapshot.ts";
import { StreamAction } from "../../wasm/enums.ts";
import type { LocalResponse } from "../../wasm/stream-host.ts";
import type { ResponseDraft } from "../exchange/handler.ts";
import { proxyError } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { ListenerRuntime, Runtime } from "../runtime/runtime.ts";
import { removeBaggageMembers } from "./lane-context.ts";
import { runLaneFilter } from "./lane-filter.ts";
import type { LaneFilterInput, LaneOutcome } from "./lane-filter.ts";
import { PluginStream } from "./plugin-stream.ts";

/** Who runs the pass and hears its one outcome, at once or later (a plug-in may pause). */
export interface PassOwner {
  readonly explaining: boolean;
  readonly remoteAddress: string;
  onDecided(outcome: LaneOutcome): void;
  onPluginResponse(response: LocalResponse): void;
  onPassFailed(error: ProxyError): void;
  onBaggageDropped(count: number): void;
  /** A plug-in asked for the exchange to be cut. */
  onReset(): void;
}

export class GatewayPass implements LaneFilterInput, RouteRequest {
  readonly runtime: Runtime;
  readonly listener: ListenerRuntime;
  readonly request: RequestHead;
  readonly prng: Prng;
  readonly owner: PassOwner;
  response: ResponseDraft | null = null;
  /** Set by plug-ins (`proxy_set_property`), seen by later ones. Bounded, see `PluginStream`. */
  readonly properties: Map<string, Uint8Array> = new Map<string, Uint8Array>();
  readonly streams: PluginStream[] = [];
  #route: Route | null | undefined;
  #next = 0;
  #hasOutcome = false;
  #isFinished = false;

  constructor(
    runtime: Runtime,
    listener: ListenerRuntime,
    request: RequestHead,
    deps: { readonly prng: Prng; readonly owner: PassOwner },
  ) {
    this.runtime = runtime;
    this.listener = listener;
    this.request = request;
    this.prng = deps.prng;
    this.owner = deps.owner;
  }

  // --- what the lane filter and route matching ask ---

  get lanes(): PreparedLanes {
    return this.runtime.lanes;
  }

  get groups(): readonly PreparedLaneGroup[] {
    return this.listener.groups;
  }

  get method(): string {
    return this.request.method;
  }

  get path(): string {
    return this.request.target;
  }

  get authority(): string {
    return this.request.authority;
  }

  header(name: string): string | undefined {
    const { names, values } = this.request.headers;
    const index = names.indexOf(name);
    if (index === -1) return undefined;
    if (names.indexOf(name, index + 1) === -1) return values[index];
    return this.request.headers.getAll(name).join(",");
  }

  route(): Route | null {
    if (this.#route === undefined) this.#route = matchRoute(this.listener.routes, this);
    return this.#route;
  }

  clearRoute(): void {
    this.#route = undefined;
  }

  onBaggageDropped(count: number): void {
    this.owner.onBaggageDropped(count);
  }

  /** What a request is told that no route takes. `reasons` may be told to allowed callers only. */
  noRoute(reasons: readonly string[]): ProxyError {
    const { name } = this.listener.gateway;
    const lines = reasons.map((reason) => `\n  ${reason}`).join("");
    const where = `${this.authority}${this.path}`;
    return proxyError("no_route", `no route of gateway ${name} takes ${where}${lines}`);
  }

  /** For each route in the order of trial: why it does not match. */
  explainNoMatch(): string[] {
    return [...explainNoMatch(this.listener.routes, this)];
  }

  // --- running ---

  /** Removes what clients may not send, then runs the filters. */
  run(): void {
    for (const name of this.listener.strippedHeaders) this.request.headers.remove(name);
    removeBaggageMembers(this.request.headers, this.listener.strippedBaggageKeys);
    this.resume();
  }

  /** Goes on with the next filter. */
  resume(): void {
    const { plugins } = this.listener;
    const endOfStream = this.request.body === "none";
    while (this.#next < plugins.length) {
      const slot = plugins[this.#next];
      assert(slot !== undefined, "the index is below the chain's length");
      this.#next += 1;
      const stream = PluginStream.open(this, slot);
      if (stream === null) {
        if (slot.plugin.failMode === "open") continue;
        this.fail(proxyError("plugin_unavailable", `plug-in ${slot.plugin.name} is not running`));
        return;
      }
      this.streams.push(stream);
      if (this.#isSettled()) {
        // It answered when its context was made; the exchange may be over by now.
        if (this.#isFinished) this.finish();
        return;
      }
      if (stream.runRequestHeaders(endOfStream) !== StreamAction.continue) return;
      if (this.#isSettled()) return;
    }
    if (!this.#checkEdited()) return;
    this.#settle(() => {
      this.owner.onDecided(runLaneFilter(this));
    });
  }

  /** Response filters, in reverse order. What one of them puts in the response's place, or null. */
  runResponse(response: ResponseDraft, endOfStream: boolean): LocalResponse | ProxyError | null {
    this.response = response;
    for (let index = this.streams.length - 1; index >= 0; index--) {
      const replacement = this.streams[index]?.runResponseHeaders(endOfStream) ?? null;
      if (replacement !== null) return replacement;
    }
    return null;
  }

  /** Log, done, delete, for every plug-in that was started. */
  finish(): void {
    this.#hasOutcome = true;
    this.#isFinished = true;
    for (const stream of this.streams) stream.context.finish();
    this.streams.length = 0;
  }

  /** A plug-in answers by itself. Heard once; a later answer is dropped. */
  answer(response: LocalResponse): void {
    this.#settle(() => {
      this.owner.onPluginResponse(response);
    });
  }

  fail(error: ProxyError): void {
    this.#settle(() => {
      this.owner.onPassFailed(error);
    });
  }

  /** Also after the outcome: a response filter may cut the exchange. */
  reset(): void {
    if (this.#isFinished) return;
    this.#hasOutcome = true;
    this.owner.onReset();
  }

  /** What a plug-in removed and no request can do without (answers as Envoy's). */
  #checkEdited(): boolean {
    if (this.request.method === "") {
      this.fail(proxyError("plugin_unavailable", "a plug-in removed the required header :method"));
      return false;
    }
    if (this.request.target === "") {
      this.fail(proxyError("no_route", "a plug-in removed :path"));
      return false;
    }
    return true;
  }

  #isSettled(): boolean {
    return this.#hasOutcome;
  }

  #settle(tell: () => void): void {
    if (this.#hasOutcome) return;
    this.#hasOutcome = true;
    tell();
  }
}
