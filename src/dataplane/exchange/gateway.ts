//! A request at the gateway: fields of the edge, plug-ins, route and lane, then the endpoint.

import { assert } from "../../base/assert.ts";
import type { Headers } from "../../http/headers.ts";
import type { Refusal } from "../../lane/signed-tag.ts";
import type { EdgeSettings } from "../../snapshot/edge.ts";
import type { Cluster, Endpoint, Route, Target } from "../../snapshot/snapshot.ts";
import type { LocalResponse } from "../../wasm/stream-host.ts";
import type { Peer } from "../filter/caller.ts";
import { readsBodyEarly } from "../filter/collected-operands.ts";
import { GatewayPass } from "../filter/gateway-pass.ts";
import type { BodyChain } from "../filter/body-chain.ts";
import type { PassOwner } from "../filter/gateway-pass.ts";
import { applyHeaderOperations } from "../filter/header-operations.ts";
import { ensureTraceparent, leaveMesh } from "../filter/lane-context.ts";
import type { LaneOutcome } from "../filter/lane-filter.ts";
import { sealContext } from "../filter/signed-context.ts";
import { NO_CLIENT_NAMES } from "../listener/client-names.ts";
import { isLoopback } from "../loopback.ts";
import { proxyError } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { ExchangeRecord } from "../observer.ts";
import type { ClientHead } from "../recent-decisions.ts";
import { idsOf } from "../recent-hops.ts";
import type { ListenerRuntime, Runtime } from "../runtime/runtime.ts";
import type { RuntimeUse } from "../runtime/runtime-uses.ts";
import { addEdgeFields, appendVia, DEFAULT_EDGE, settleTarget } from "./edge-fields.ts";
import { misdirection, secureLocation } from "./secure-hosts.ts";
import type { Exchange } from "./exchange.ts";
import { RequestFlow, ResponseFlow } from "./body-flow.ts";
import {
  addIssuedCookies,
  fieldsOf,
  headersOf,
  missingError,
  replacementOf,
} from "./gateway-replies.ts";
import { HELD, UNMANAGED } from "./handler.ts";
import type { ExchangeHandler, Management, Replacement, ResponseDraft } from "./handler.ts";
import type { ReadStored } from "../upstream/upstream-pools.ts";
import { LiveFacts } from "./live-facts.ts";
import { tellLane } from "./lane-report.ts";
import { manage } from "./managed-forward.ts";
import { removeOwnFields, takeOwnFields } from "./own-fields.ts";
import type { OwnFields } from "./own-fields.ts";
import { startMirrors } from "./mirror.ts";
import { speaksHttp2 } from "../upstream/cluster-policy.ts";
import { SpecialRoute } from "./special-route.ts";

const DEFAULT_CONNECT_TIMEOUT_MS = 5_000;

export class GatewayExchange implements ExchangeHandler, PassOwner {
  readonly role = "gateway";
  readonly explaining = false;
  readonly #runtime: Runtime;
  readonly #listener: ListenerRuntime;
  readonly #use: RuntimeUse;
  /** Held until the request filters have run: they may still enter this runtime's plug-ins. */
  readonly #deciding: RuntimeUse;
  #isDecided = false;
  #isUnused = false;
  #clientAddress = "";
  /** Null: nothing is kept. */
  #clientHead: ClientHead | null = null;
  /** What the client asks of the gateway itself. */
  #asked: OwnFields | null = null;
  #exchange: Exchange | null = null;
  #facts: LiveFacts | null = null;
  #pass: GatewayPass | null = null;
  #outcome: LaneOutcome | null = null;
  #requestFlow: RequestFlow | null = null;
  #responseFlow: ResponseFlow | null = null;
  #special: SpecialRoute | null = null;
  /** Set-Cookie that brings the client back to its endpoint; null: none is due. */
  #cookie: string | null = null;

  constructor(
    runtime: Runtime,
    listener: ListenerRuntime,
    uses: { readonly whole: RuntimeUse; readonly deciding: RuntimeUse },
  ) {
    this.#runtime = runtime;
    this.#listener = listener;
    this.#use = uses.whole;
    this.#deciding = uses.deciding;
    this.#use.begin();
    this.#deciding.begin();
  }

  /** The client's, as far as it can be trusted: what rules and plug-ins go by. */
  get remoteAddress(): string {
    return this.#clientAddress;
  }

  get peer(): Peer {
    const connection = this.#exchange?.connection;
    const { remoteAddress = "", clientNames = NO_CLIENT_NAMES } = connection ?? {};
    return { peerAddress: remoteAddress, clientNames, facts: connection?.facts };
  }

  get isSecure(): boolean {
    return this.#exchange?.connection.isSecure ?? false;
  }

  get upstreamAddress(): string {
    return this.#exchange?.upstreamAddress ?? "";
  }

  get facts(): LiveFacts | null {
    return this.#exchange === null ? null : (this.#facts ??= new LiveFacts(this.#exchange));
  }

  onRequest(exchange: Exchange): void {
    this.#exchange = exchange;
    const { head, context } = exchange;
    if (head.method === "CONNECT") {
      exchange.fail(proxyError("method_not_supported", "CONNECT is not offered here"));
      return;
    }
    this.#asked = takeOwnFields(head.headers);
    this.#keepHead(exchange);
    const settings = this.#listener.gateway.edge ?? DEFAULT_EDGE;
    const fault = settleTarget(head, settings) ?? misdirection(head, exchange.connection.tlsServer);
    if (fault !== null) {
      exchange.refuse(fault);
      return;
    }
    this.#addEdgeFields(exchange, settings);
    const { httpsRedirectHosts } = this.#listener.listener;
    if (httpsRedirectHosts !== undefined) {
      const headers = secureLocation(head, httpsRedirectHosts);
      if (headers !== null) {
        exchange.reply(301, "", headers);
        return;
      }
    }
    const deps = { prng: context.prng, owner: this };
    this.#pass = new GatewayPass(this.#runtime, this.#listener, head, deps);
    // Plug-ins may ask when the client has gone.
    if (this.#listener.plugins.length > 0) {
      exchange.connection.facts.holdTls(this.#listener.readsLocalCertificate);
    }
    if (exchange.hasBody && readsBodyEarly(this.#listener)) {
      this.#requestFlow = new RequestFlow(exchange, this.#pass);
    }
    this.#pass.run();
    if (this.#requestFlow !== null && !this.#pass.isRequestOver) exchange.inviteBody();
  }

  onResponse(exchange: Exchange, response: ResponseDraft): Replacement | typeof HELD | null {
    if (!response.local) removeOwnFields(response.headers);
    this.#addRoutedFields(response.headers);
    const pass = this.#pass;
    const replacement = pass === null ? null : this.#runFilters(pass, exchange, response);
    if (replacement === HELD) return HELD;
    this.#addOwnFields(exchange, response);
    if (replacement !== null) return this.#replace(exchange, replacement);
    if (this.#responseFlow === null) return null;
    this.#responseFlow.onHeadPassed();
    return HELD;
  }

  /** In the place of a response that plug-ins have seen: the log shows them this one. */
  #replace(exchange: Exchange, by: LocalResponse | ProxyError): Replacement {
    exchange.replyDetails = by.details ?? null;
    const replacement = replacementOf(by);
    const { status, headers, body } = replacement;
    if (this.#pass !== null) {
      this.#pass.response = { status, headers, local: true, hasBody: body.length > 0 };
    }
    return replacement;
  }

  #runFilters(
    pass: GatewayPass,
    exchange: Exchange,
    response: ResponseDraft,
  ): ReturnType<GatewayPass["runResponse"]> {
    addIssuedCookies(pass, exchange, response);
    if (response.hasBody && this.#listener.readsResponseBody) {
      this.#responseFlow = new ResponseFlow(exchange, pass, response.headers);
    }
    return pass.runResponse(response, response.hasBody);
  }

  makeRequestChain(): BodyChain | null {
    const exchange = this.#exchange;
    if (exchange?.hasBody !== true || this.#pass === null) return null;
    this.#requestFlow = new RequestFlow(exchange, this.#pass);
    return this.#requestFlow.chain;
  }

  makeResponseChain(): BodyChain {
    const exchange = this.#exchange;
    const pass = this.#pass;
    assert(exchange !== null && pass?.response != null, "a filter holds a response");
    this.#responseFlow = new ResponseFlow(exchange, pass, pass.response.headers);
    return this.#responseFlow.chain;
  }

  onResponseReleased(replacement: LocalResponse | ProxyError | null): void {
    const exchange = this.#exchange;
    const response = this.#pass?.response ?? null;
    if (exchange === null || response === null || exchange.isOver) return;
    if (replacement !== null) {
      if ("code" in replacement) exchange.fail(replacement);
      else this.onPluginResponse(replacement);
      return;
    }
    this.#addOwnFields(exchange, response);
    if (this.#responseFlow !== null) this.#responseFlow.onHeadPassed();
    else {
      exchange.startResponse();
      exchange.passResponseEnd(null);
    }
  }

  /** A tunnel may stand for hours; nobody who waits for old routes to fall idle waits for it. */
  onTunnel(): void {
    this.#endUse();
  }

  onEnd(): void {
    this.#pass?.finish();
    this.#special?.end();
    this.#endDeciding();
    this.#endUse();
  }

  onRecord({ context }: Exchange, record: ExchangeRecord): void {
    if (this.#clientHead !== null) context.recent?.add(record, this.#clientHead);
  }

  onDecided(outcome: LaneOutcome): void {
    const exchange = this.#exchange;
    this.#endDeciding();
    if (exchange === null) return;
    this.#outcome = outcome;
    exchange.decision = outcome.decision;
    const { route } = outcome;
    if (route === null) {
      this.#answerNoRoute(exchange);
      return;
    }
    exchange.routeId = route.id;
    if (route.policy === undefined && route.action.kind !== "redirect") {
      this.#take(exchange, route, outcome);
    } else this.#takeSpecial(exchange, route, outcome);
  }

  onPluginResponse(response: LocalResponse): void {
    if (this.#exchange === null) return;
    this.#exchange.replyDetails = response.details;
    this.#exchange.reply(response.status, response.body, headersOf(response));
  }

  onPassFailed(error: ProxyError): void {
    this.#exchange?.fail(error);
  }

  onBaggageDropped(count: number): void {
    this.#exchange?.context.observer.onBaggageDropped(count);
  }

  nowMs(): number {
    return this.#exchange?.context.clock.nowMs() ?? 0;
  }

  get unsentBytes(): number {
    return this.#exchange?.connection.unsentBytes ?? 0;
  }

  later(task: () => void): void {
    this.#exchange?.context.clock.after(0, task);
  }

  onContextRefused(group: string, refusal: Refusal): void {
    this.#exchange?.context.observer.onContextRefused(this.role, group, refusal);
  }

  onReset(): void {
    this.#exchange?.connection.destroy();
  }

  #takeSpecial(exchange: Exchange, route: Route, outcome: LaneOutcome): void {
    const pass = this.#pass;
    const prepared = this.#listener.routes.special.get(route);
    assert(pass !== null && prepared !== undefined, "a route with a policy is prepared");
    this.#special = new SpecialRoute(exchange, prepared);
    this.#special.run(pass, () => {
      this.#take(exchange, route, outcome);
    });
  }

  /** Does what the route says. */
  #take(exchange: Exchange, route: Route, outcome: LaneOutcome): void {
    const { destination, choice } = outcome;
    applyHeaderOperations(route.requestHeaders, exchange.head.headers);
    if (route.action.kind === "direct") {
      exchange.reply(route.action.status, route.action.body, null);
      return;
    }
    if (destination === null || choice === null) {
      exchange.fail(proxyError("route_target_missing", `route ${route.id} has no destination`));
      return;
    }
    applyHeaderOperations(destination.requestHeaders, exchange.head.headers);
    exchange.servedLane = choice.servedLane;
    exchange.fallback = choice.reason.startsWith("fallback") ? choice.reason : "";
    if (choice.missing !== null) {
      exchange.fail(missingError(destination, outcome.decision, choice.missing));
      return;
    }
    this.#forward(exchange, choice.via ?? destination.target, {
      endpoints: choice.endpoints,
      route,
    });
  }

  #endUse(): void {
    if (this.#isUnused) return;
    this.#isUnused = true;
    this.#use.end();
  }

  #endDeciding(): void {
    if (this.#isDecided) return;
    this.#isDecided = true;
    this.#deciding.end();
  }

  /** Before anything of ours is added: a what-if is to begin with what the client sent. */
  #keepHead(exchange: Exchange): void {
    const { recent, loggedHeaders } = exchange.context;
    const { headers } = exchange.head;
    if (loggedHeaders !== undefined) exchange.loggedHeaders = fieldsOf(headers, loggedHeaders);
    if (recent === undefined) return;
    const { names, values } = headers;
    const snapshotVersion = this.#runtime.snapshot.version;
    const kept = { names: names.slice(), values: values.slice(), snapshotVersion };
    this.#clientHead = { ...kept, traceId: "" };
  }

  #addEdgeFields(exchange: Exchange, settings: EdgeSettings): void {
    const { head, connection } = exchange;
    const edge = addEdgeFields(head, settings, connection, this.#listener.listener.port);
    exchange.requestId = edge.requestId;
    this.#clientAddress = edge.clientAddress;
    if (this.#listener.needsTraceparent) ensureTraceparent(head.headers);
    if (this.#clientHead === null) return;
    this.#clientHead = { ...this.#clientHead, traceId: idsOf(head.headers).traceId };
  }

  /** What plug-ins do not see. */
  #addOwnFields(exchange: Exchange, response: ResponseDraft): void {
    if (this.#listener.gateway.edge !== undefined) this.#addVia(response);
    const clientAddress = this.#clientAddress;
    const { headers } = response;
    const { serverName } = this.#listener.listener;
    if (serverName !== undefined) headers.set("server", serverName);
    const told = { headers, outcome: this.#outcome, clientAddress, asked: this.#asked };
    tellLane(exchange, this.#runtime.lanes, told);
  }

  #addVia({ local, headers }: ResponseDraft): void {
    const via = this.#listener.gateway.edge?.via ?? "";
    if (via !== "" && !local) appendVia(headers, "1.1", via);
  }

  #answerNoRoute(exchange: Exchange): void {
    const pass = this.#pass;
    if (pass === null) return;
    const isTold = isLoopback(exchange.connection.remoteAddress);
    exchange.fail(pass.noRoute(isTold ? pass.explainNoMatch() : []));
  }

  get #stored(): ReadStored | null {
    return this.#pass?.storedOrNull ?? null;
  }

  #forward(
    exchange: Exchange,
    target: Target,
    { endpoints, route }: { readonly endpoints: readonly Endpoint[]; readonly route: Route },
  ): void {
    assert(target.kind === "cluster", "what does not exist has no endpoints");
    const cluster = this.#runtime.lanes.clusters.get(target.cluster)?.cluster;
    const managed = this.#manage(exchange, route, target);
    const { service = "", connectTimeoutMs = DEFAULT_CONNECT_TIMEOUT_MS } = cluster ?? {};
    const plan = {
      service,
      endpoints,
      connectTimeoutMs: managed.cluster?.limits.connectTimeoutMs ?? connectTimeoutMs,
      timeoutMs: route.timeoutMs,
      cluster: managed.cluster,
      pools: exchange.context.pools.poolsFor(cluster, target.subset, {
        client: exchange.connection,
        stored: this.#stored,
      }),
      isHttp2: speaksHttp2(cluster, exchange.head),
      retry: managed.retry,
      hash: managed.hash,
      place: managed.place,
      isTimed: LiveFacts.isLatencyAsked || this.#listener.readsLatency,
      ...this.#pinned(exchange, endpoints),
    };
    this.#leaveMesh(exchange, cluster);
    this.#sealContexts(exchange);
    const mirrors = route.policy?.mirrors;
    if (mirrors !== undefined) {
      exchange.mirrorTo(startMirrors(exchange, mirrors, this.#runtime.lanes));
    }
    if (this.#requestFlow === null) exchange.forward(plan);
    else this.#requestFlow.forward(plan);
  }

  #leaveMesh({ head }: Exchange, cluster: Cluster | undefined): void {
    if (cluster?.isOutside !== true) return;
    leaveMesh(head.headers, this.#runtime.lanes.groups.values(), cluster.host);
  }

  /** The endpoint that a plug-in has chosen, if the lane has it and it is healthy. */
  #pinned(exchange: Exchange, endpoints: readonly Endpoint[]): { readonly first?: number } {
    const wanted = this.#pass?.upstreamOverride ?? "";
    if (wanted === "") return {};
    const first = endpoints.findIndex(({ address, port }) => `${address}:${port}` === wanted);
    const { pools, sweeper } = exchange.context;
    const endpoint = endpoints[first];
    if (endpoint === undefined || !pools.clusters.isHealthy(endpoint, sweeper.nowMs)) return {};
    return { first };
  }

  /** After everything that reads or edits the request: what goes out is signed. */
  #sealContexts(exchange: Exchange): void {
    if (this.#runtime.signed.size === 0) return;
    const { decision, head, context } = exchange;
    const own = this.#listener.signed;
    const decided = this.#runtime.signed.get(decision?.group ?? "");
    const isOwn = decided === undefined || own.includes(decided);
    for (const signed of isOwn ? own : [...own, decided]) {
      const droppedCount = sealContext(head.headers, signed, context.clock.nowMs());
      if (droppedCount > 0) context.observer.onBaggageDropped(droppedCount);
    }
  }

  #addRoutedFields(headers: Headers): void {
    const { route, destination } = this.#outcome ?? { route: null, destination: null };
    this.#special?.onResponse(headers);
    if (this.#cookie !== null) headers.add("set-cookie", this.#cookie);
    // As for requests: what a destination sets counts, not what its route does.
    if (route !== null) applyHeaderOperations(route.responseHeaders, headers);
    if (destination !== null) applyHeaderOperations(destination.responseHeaders, headers);
  }

  /** What the route's retries and the cluster's DestinationRule ask for; mostly nothing. */
  #manage(
    exchange: Exchange,
    route: Route,
    target: Extract<Target, { kind: "cluster" }>,
  ): Management {
    const cluster = this.#runtime.lanes.clusters.get(target.cluster)?.cluster;
    const isManaged = cluster?.policy !== undefined || cluster?.subsetPolicies !== undefined;
    const { retry = null } = route.policy ?? {};
    if (!isManaged && retry === null) return UNMANAGED;
    const clientAddress = this.#clientAddress;
    const { gateway: sender } = this.#listener;
    const { subset } = target;
    const managed = manage({ exchange, retry, cluster, subset, clientAddress, sender });
    this.#cookie = managed.cookie;
    return managed;
  }
}
