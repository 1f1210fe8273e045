//! One request's way through a gateway's filters: plug-ins in order, then route and lane.
//!
//! Knows no socket, so that a live exchange and explain run the very same steps.

import { assert } from "../../base/assert.ts";
import type { Prng } from "../../base/prng.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { IssuedCookie } from "../../lane/cohort.ts";
import type { DecisionExplanation, PreparedLaneGroup } from "../../lane/decide.ts";
import type { PreparedLanes } from "../../lane/fallback.ts";
import type { Refusal } from "../../lane/signed-tag.ts";
import { explainNoMatch } from "../../route/explain.ts";
import { findVirtualHost, matchRoute } from "../../route/route.ts";
import type { FieldValue, RouteRequest } from "../../route/route.ts";
import type { Route, VirtualHost } from "../../snapshot/snapshot.ts";
import { MapKind, StreamKind } from "../../wasm/enums.ts";
import type { TrailersKind } from "../../wasm/enums.ts";
import type { LocalResponse } from "../../wasm/stream-host.ts";
import type { ConnectionState } from "../connection-state.ts";
import type { ResponseDraft } from "../exchange/handler.ts";
import { proxyError } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { ListenerRuntime, Runtime } from "../runtime/runtime.ts";
import type { BodyBuffer } from "../../wasm/body-buffer.ts";
import { BODY_HELD_BYTES_MAX } from "./body-chain.ts";
import type { BodyChain } from "./body-chain.ts";
import type { Peer } from "./caller.ts";
import { REQUIRED_REMOVED } from "./exchange-facts.ts";
import type { ExchangeFacts } from "./exchange-facts.ts";
import { CollectedOperands } from "./collected-operands.ts";
import type { CollectingPass } from "./collected-operands.ts";
import { FilterState } from "./filter-state.ts";
import { IssuedCookies } from "./issued-cookie.ts";
import { removeBaggageMembers } from "./lane-context.ts";
import { runLaneFilter } from "./lane-filter.ts";
import type { LaneFilterInput, LaneOutcome } from "./lane-filter.ts";
import { PluginStream } from "./plugin-stream.ts";
import { openContexts } from "./signed-context.ts";

/** Who runs the pass and hears its one outcome, at once or later (a plug-in may pause). */
export interface PassOwner {
  readonly explaining: boolean;
  /** The client's, as far as it can be trusted. */
  readonly remoteAddress: string;
  readonly peer: Peer;
  /** The client speaks TLS. */
  readonly isSecure: boolean;
  onDecided(outcome: LaneOutcome): void;
  /** Also after `onDecided`: from a body, or in place of a response that is held. */
  onPluginResponse(response: LocalResponse): void;
  onPassFailed(error: ProxyError): void;
  onBaggageDropped(count: number): void;
  /** Wall time. */
  nowMs(): number;
  /** What plug-ins may ask of a running exchange; null: there is none, as in explain. */
  readonly facts: ExchangeFacts | null;
  /** `address:port` of the endpoint that serves the request; `""`: none yet. */
  readonly upstreamAddress: string;
  /** A signed lane group did not believe the client's context. */
  onContextRefused(group: string, refusal: Refusal): void;
  /** A plug-in asked for the exchange to be cut. */
  onReset(): void;
  /** A response that `runResponse` held has passed its filters, or something takes its place. */
  onResponseReleased(replacement: LocalResponse | ProxyError | null): void;
  /** Of the response: handed over, and not yet taken by the client. */
  readonly unsentBytes: number;
  /** Runs `task` in a later turn. */
  later(task: () => void): void;
  /** Rules read the request's body, and no filter does: collect it. Null: it has none. */
  makeRequestChain(): BodyChain | null;
  /** A filter holds the response's head, and nobody reads its body: collect the body meanwhile. */
  makeResponseChain(): BodyChain;
}

/** A client that takes its response so much slower gets nothing more put into it. */
const UNSENT_BYTES_MAX = 16 * 1024 * 1024;

/** What plug-ins may store for one exchange. */
const STORED_MAX = { countMax: 64, bytesMax: 1024 * 1024 };

/** A filter holds the response: `onResponseReleased` comes later. */
export const HELD = "held";

export class GatewayPass implements LaneFilterInput, RouteRequest, CollectingPass {
  readonly runtime: Runtime;
  readonly listener: ListenerRuntime;
  readonly request: RequestHead;
  readonly prng: Prng;
  readonly owner: PassOwner;
  response: ResponseDraft | null = null;
  readonly streams: PluginStream[] = [];
  /** Cookies for the response; null for most requests. */
  issued: IssuedCookies | null = null;
  /** By lane group, as each decision was made; null unless the request is explained. */
  readonly explanations: Map<string, DecisionExplanation> | null;
  /** What rules read beyond the head; null at a listener without such rules. */
  readonly collected: CollectedOperands | null;
  /** `address:port` of the endpoint that a plug-in wants; `""`: none. */
  upstreamOverride = "";
  /** What one plug-in may hold back of each body. */
  requestBytesHeldMax: number = BODY_HELD_BYTES_MAX;
  responseBytesHeldMax: number = BODY_HELD_BYTES_MAX;
  /** Set before `run` when filters read the request's body. Null costs nothing. */
  requestChain: BodyChain | null = null;
  /** Set before `runResponse` when filters read the response's body. */
  responseChain: BodyChain | null = null;
  #filterState: FilterState | null = null;
  #connection: ConnectionState | null | undefined;
  #route: Route | null | undefined;
  #next = 0;
  #hasOutcome = false;
  #isFinished = false;
  #hasAnswered = false;
  #hasReplaced = false;
  /** The stream that holds a head whose message has no chain. */
  #holder: PluginStream | null = null;
  #nextResponse = -1;
  #responseHasBody = false;

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
    this.explanations = deps.owner.explaining ? new Map() : null;
    const { operandSources } = listener;
    this.collected = operandSources === null ? null : new CollectedOperands(this, operandSources);
  }

  // --- what the lane filter and route matching ask ---

  get lanes(): PreparedLanes {
    return this.runtime.lanes;
  }

  get groups(): readonly PreparedLaneGroup[] {
    return this.listener.groups;
  }

  get remoteAddress(): string {
    return this.owner.remoteAddress;
  }

  get peer(): Peer {
    return this.owner.peer;
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

  /** Set by plug-ins, seen by later ones. */
  get filterState(): FilterState {
    return (this.#filterState ??= new FilterState(STORED_MAX, this.#connectionState));
  }

  /** What has been stored under that name; makes nothing. */
  stored(name: string): Uint8Array | undefined {
    if (this.#filterState !== null) return this.#filterState.get(name);
    return this.#connectionState?.stored(name);
  }

  /** Null: nothing has been stored. */
  get storedOrNull(): ((name: string) => Uint8Array | undefined) | null {
    if (this.#filterState === null && this.#connectionState?.isEmpty !== false) return null;
    return (name) => this.stored(name);
  }

  /** Null: there is no connection, as in explain. */
  get #connectionState(): ConnectionState | null {
    if (this.#connection === undefined) this.#connection = this.owner.peer.facts?.state ?? null;
    return this.#connection;
  }

  /** As Envoy has it: what the edge fields say, which trusted proxies may have said. */
  get scheme(): string {
    const told = this.header("x-forwarded-proto");
    if (told === "https" || told === "http") return told;
    return this.owner.isSecure ? "https" : "http";
  }

  header(name: string): FieldValue {
    return this.request.headers.find(name);
  }

  route(): Route | null {
    if (this.#route === undefined) this.#route = matchRoute(this.listener.routes, this);
    return this.#route;
  }

  clearRoute(): void {
    this.#route = undefined;
  }

  /** That the request's host leads to; it may have no route for the request. */
  virtualHost(): VirtualHost | null {
    return findVirtualHost(this.listener.routes, this.authority)?.virtualHost ?? null;
  }

  /** The one cluster that the route leads to; null: none, or one of several is drawn later. */
  routeCluster(): string | null {
    const route = this.route();
    if (route?.action.kind !== "forward") return null;
    const [first, ...others] = route.action.destinations;
    if (first?.target.kind !== "cluster" || others.length > 0) return null;
    return first.target.cluster;
  }

  /** A plug-in may ask for it at any time, also before there is a response. */
  limitHeld(kind: StreamKind, bytes: number): void {
    if (kind === StreamKind.request) this.requestBytesHeldMax = bytes;
    else this.responseBytesHeldMax = bytes;
  }

  issueId(key: IssuedCookie): string | undefined {
    if (this.owner.explaining) return undefined;
    this.issued ??= new IssuedCookies();
    return this.issued.issue(key);
  }

  makeRequestChain(): BodyChain | null {
    return this.owner.makeRequestChain();
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
    const { signed, stripped } = this.listener;
    for (const name of stripped.headers) this.request.headers.remove(name);
    removeBaggageMembers(this.request.headers, stripped.baggageKeys);
    if (signed.length > 0) {
      openContexts(this.request.headers, signed, this.owner.nowMs(), (group, refusal) => {
        this.owner.onContextRefused(group, refusal);
      });
    }
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
      const head = stream.runRequestHeaders(endOfStream);
      if (this.#isSettled()) return;
      if (this.requestChain !== null) {
        stream.requestIndex = this.requestChain.add(stream.stage(StreamKind.request), head);
      } else if (head !== "passed") this.#holder = stream;
      if (head !== "passed") return;
    }
    if (!this.#isReady()) return;
    this.#settle(() => {
      this.owner.onDecided(runLaneFilter(this));
    });
  }

  /** Response filters, in reverse order. What one of them puts in the response's place, or null. */
  runResponse(
    response: ResponseDraft,
    hasBody: boolean,
  ): LocalResponse | ProxyError | typeof HELD | null {
    this.response = response;
    this.#responseHasBody = hasBody;
    this.#nextResponse = this.streams.length - 1;
    return this.#runResponseFilters();
  }

  #runResponseFilters(): LocalResponse | ProxyError | typeof HELD | null {
    while (this.#nextResponse >= 0) {
      const stream = this.streams[this.#nextResponse];
      assert(stream !== undefined, "the index is below the number of streams");
      this.#nextResponse -= 1;
      const replacement = stream.runResponseHeaders(!this.#responseHasBody);
      if (this.#isFinished) return HELD;
      if (replacement !== null) {
        this.#hasReplaced = true;
        return replacement;
      }
      const head = stream.responseState;
      if (head !== "passed" && this.#responseHasBody) {
        this.responseChain ??= this.owner.makeResponseChain();
      }
      if (this.responseChain !== null) {
        stream.responseIndex = this.responseChain.add(stream.stage(StreamKind.response), head);
      } else if (head !== "passed") this.#holder = stream;
      if (head !== "passed") return HELD;
    }
    return null;
  }

  /** The response's head goes on to the filters after the one that held it. */
  resumeResponse(): void {
    if (this.#isFinished || this.#hasReplaced) return;
    const verdict = this.#runResponseFilters();
    if (verdict !== HELD) this.owner.onResponseReleased(verdict);
  }

  /** A plug-in lets go of a direction. Harmless when it does not hold it. */
  continue(
    stream: PluginStream,
    kind: typeof StreamKind.request | typeof StreamKind.response,
  ): void {
    if (this.#isFinished) return;
    const isRequest = kind === StreamKind.request;
    const chain = isRequest ? this.requestChain : this.responseChain;
    if (isRequest) stream.requestState = "passed";
    else stream.responseState = "passed";
    const index = isRequest ? stream.requestIndex : stream.responseIndex;
    if (chain !== null && index !== -1) chain.continue(index);
    else if (this.#holder === stream && (this.response === null) === isRequest) {
      this.#holder = null;
      if (isRequest) this.resume();
      else this.resumeResponse();
    }
  }

  /** Whether plug-ins can put something into the response's body. */
  get takesResponseBody(): boolean {
    if (this.response === null || !this.#responseHasBody || this.isResponseOver) return false;
    const isSlow = this.owner.unsentBytes > UNSENT_BYTES_MAX;
    return !isSlow && this.responseChain?.isSlowed !== true;
  }

  /** The plug-in puts something into the response's body, in front of what it holds. */
  inject(stream: PluginStream, body: BodyBuffer, endOfStream: boolean): void {
    if (!this.takesResponseBody) return;
    this.responseChain?.inject(stream.responseIndex, body, endOfStream);
  }

  /** Whether the exchange waits for this plug-in. */
  isHeldBy(stream: PluginStream): boolean {
    if (this.#isFinished) return false;
    if (this.#holder === stream) return true;
    const { requestChain, responseChain } = this;
    return (
      requestChain?.isHeldAt(stream.requestIndex) === true ||
      responseChain?.isHeldAt(stream.responseIndex) === true
    );
  }

  chainOf(kind: TrailersKind): BodyChain | null {
    return kind === MapKind.requestTrailers ? this.requestChain : this.responseChain;
  }

  /** Nothing more of the request's body is wanted: it is answered, or over. */
  get isRequestOver(): boolean {
    return this.#isFinished || this.#hasAnswered;
  }

  get isResponseOver(): boolean {
    return this.#isFinished || this.#hasReplaced;
  }

  /** Log, done, delete, for every plug-in that was started. */
  finish(): void {
    this.#hasOutcome = true;
    this.#isFinished = true;
    for (const stream of this.streams) stream.context.finish();
    this.streams.length = 0;
  }

  /** A plug-in answers by itself. Heard once before a response and once in its place. */
  answer(response: LocalResponse): void {
    if (this.#takesAnswer()) this.owner.onPluginResponse(response);
  }

  fail(error: ProxyError): void {
    if (this.#takesAnswer()) this.owner.onPassFailed(error);
  }

  #takesAnswer(): boolean {
    if (this.#isFinished) return false;
    this.#hasOutcome = true;
    const isTaken = this.response === null ? this.#hasAnswered : this.#hasReplaced;
    if (this.response === null) this.#hasAnswered = true;
    else this.#hasReplaced = true;
    return !isTaken;
  }

  /** Also after the outcome: a response filter may cut the exchange. */
  reset(): void {
    if (this.#isFinished) return;
    this.#hasOutcome = true;
    this.owner.onReset();
  }

  #isReady(): boolean {
    return this.#checkEdited() && this.collected?.waits() !== true;
  }

  /** What a plug-in removed and no request can do without (answers as Envoy's). */
  #checkEdited(): boolean {
    const fault = editFault(this.request);
    if (fault !== null) this.fail(fault);
    return fault === null;
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

function editFault({ method, target, authority }: RequestHead): ProxyError | null {
  if (method === "") {
    return removedError(":method");
  }
  if (authority === "") {
    return removedError(":authority");
  }
  if (target === "") return proxyError("no_route", "a plug-in removed :path");
  if (target !== "*" || method === "OPTIONS") return null;
  // RFC 9112 section 3.2.4.
  return proxyError("no_route", "a plug-in set :path to *, which only OPTIONS may have");
}

function removedError(name: string): ProxyError {
  const message = `a plug-in removed the required header ${name}`;
  const details = `${REQUIRED_REMOVED}{missing_required_header:_${name}}`;
  return { ...proxyError("plugin_unavailable", message), details };
}
