//! One plug-in in one exchange: what the Proxy-Wasm host asks of the gateway, answered.

import { assert } from "../../base/assert.ts";
import { Headers } from "../../http/headers.ts";
import { latin1 } from "../../wasm/field-text.ts";
import { peerProperty } from "./peer-properties.ts";
import { requestProperty, responseProperty } from "./plugin-properties.ts";
import type { PropertyView } from "./plugin-properties.ts";
import { metadataProperty } from "./metadata-properties.ts";
import { routeProperty, xdsProperty } from "./route-properties.ts";
import { BodyBuffer } from "../../wasm/body-buffer.ts";
import type { DeclaredProperty, PropertyType } from "../../wasm/declared-properties.ts";
import { BodyAction, MapKind, Status, StreamAction, StreamKind } from "../../wasm/enums.ts";
import type { LifeSpan, StreamMapKind, TrailersKind } from "../../wasm/enums.ts";
import type { StreamContext } from "../../wasm/stream-context.ts";
import type { HeaderMap, LocalResponse, StreamHost, UpstreamHost } from "../../wasm/stream-host.ts";
import { proxyError } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import { BODY_HELD_BYTES_LIMIT } from "./body-chain.ts";
import type { BodyStage, HeadState } from "./body-chain.ts";
import { FieldMap } from "./field-map.ts";
import type { GatewayPass } from "./gateway-pass.ts";
import { objectName, storedName, storedType } from "./filter-state.ts";
import type { PluginSlot } from "./plugin-slot.ts";
import { RequestHeaderMap } from "./request-header-map.ts";
import { ResponseHeaderMap } from "./response-header-map.ts";

const PROPERTY_BYTES_MAX = 65_536;
/** Of one plug-in in one exchange. */
const REASONS_MAX = 64;
/** Where a plug-in reports why it did what it did. */
const EXPLAIN_PROPERTY = "graylane.explain";

export class PluginStream implements StreamHost, PropertyView {
  readonly slot: PluginSlot;
  readonly explaining: boolean;
  /** What the plug-in reported while explaining: JSON texts. */
  readonly reasons: Uint8Array[] = [];
  /** Its part in the two bodies of the exchange, for the chains that want one. */
  stage(kind: StreamKind): BodyStage {
    return new PluginBodyStage(this, kind);
  }

  readonly pass: GatewayPass;
  #requestMap: RequestHeaderMap | null = null;
  /** How far it has let each head pass; a context that holds one is waited for. */
  requestState: HeadState = "passed";
  responseState: HeadState = "passed";
  /** Its place in the chains of bodies; -1 in a chain that it has no place in. */
  requestIndex = -1;
  responseIndex = -1;
  #inCallback = false;
  #continued = false;
  #resetDue = false;
  readonly #injected: { readonly body: BodyBuffer; readonly endOfStream: boolean }[] = [];
  /** The plug-in's changes of the request shall not lead to another route. */
  #keepsRoute = false;
  #response: LocalResponse | null = null;

  #context: StreamContext | null = null;

  private constructor(pass: GatewayPass, slot: PluginSlot) {
    this.pass = pass;
    this.slot = slot;
    this.explaining = pass.owner.explaining;
  }

  /** Null when the plug-in has no running VM: its fail mode applies. */
  static open(pass: GatewayPass, slot: PluginSlot): PluginStream | null {
    const stream = new PluginStream(pass, slot);
    stream.#context = slot.instance?.createStream(stream) ?? null;
    return stream.#context === null ? null : stream;
  }

  get context(): StreamContext {
    assert(this.#context !== null, "a stream is handed out only with its context");
    return this.#context;
  }

  /** `passed`: the next filter runs. Else the pass waits, or has its outcome. */
  runRequestHeaders(endOfStream: boolean): HeadState {
    const action = this.#run(() => this.context.onRequestHeaders(endOfStream));
    if (action === StreamAction.trapped) return this.#failRequest() ? "stopAll" : "passed";
    if (this.#response !== null) {
      this.pass.answer(this.#response);
      return "stopAll";
    }
    this.requestState = this.#continued ? "passed" : headState(action);
    return this.requestState;
  }

  /** What this plug-in puts in place of the response, or null: see `responseState` then. */
  runResponseHeaders(endOfStream: boolean): LocalResponse | ProxyError | null {
    const before = this.#response;
    const action = this.#run(() => this.context.onResponseHeaders(endOfStream));
    if (action === StreamAction.trapped) {
      return this.slot.plugin.failMode === "open" ? null : this.trapError();
    }
    if (this.#response !== before) return this.#response;
    const head = this.#continued ? "passed" : headState(action);
    this.responseState = this.#injected.length === 0 ? head : this.#injectLater(head);
    return null;
  }

  /** Runs a callback of one body, and does at its end what the guest asked for in it. */
  runBody(callback: () => BodyAction): BodyAction {
    const before = this.#response;
    const action = this.#run(callback);
    if (action === BodyAction.trapped) {
      if (this.slot.plugin.failMode === "open") return BodyAction.continue;
      this.pass.fail(this.trapError());
      return BodyAction.drop;
    }
    if (this.#response !== before && this.#response !== null) this.pass.answer(this.#response);
    for (const { body, endOfStream } of this.#injected.splice(0)) {
      this.pass.inject(this, body, endOfStream);
    }
    return this.#continued ? BodyAction.continue : action;
  }

  trapError(): ProxyError {
    const { trap } = this.context;
    const what = trap === null ? "stopped" : `trapped in ${trap.callback}: ${trap.message}`;
    return proxyError("plugin_trap", `plug-in ${this.slot.plugin.name} ${what}`);
  }

  /** An exchange that waits for this plug-in would wait for ever. */
  onVmTrap(): void {
    if (this.#inCallback || !this.pass.isHeldBy(this)) return;
    if (this.#failRequest()) return;
    this.pass.continue(this, StreamKind.request);
    this.pass.continue(this, StreamKind.response);
  }

  /** What the guest asks for during a callback is done when the callback has returned. */
  #run<Action>(callback: () => Action): Action {
    this.#inCallback = true;
    this.#continued = false;
    const action = callback();
    this.#inCallback = false;
    if (this.#resetDue) this.pass.reset();
    return action;
  }

  /** Follows the fail mode. False: the exchange goes on without the plug-in. */
  #failRequest(): boolean {
    if (this.slot.plugin.failMode === "open") return false;
    this.pass.fail(this.trapError());
    return true;
  }

  headerMap(kind: StreamMapKind): HeaderMap | null {
    switch (kind) {
      case MapKind.requestHeaders:
        return this.#requestHead();
      case MapKind.responseHeaders:
        return this.pass.response === null ? null : new ResponseHeaderMap(this.pass.response);
      case MapKind.requestTrailers:
      case MapKind.responseTrailers: {
        const trailers = this.#trailers(kind);
        return trailers === null ? null : new FieldMap(trailers);
      }
    }
  }

  /** Without a chain nobody has held them up: those of the response are known at its end. */
  #trailers(kind: TrailersKind): Headers | null {
    const chain = this.pass.chainOf(kind);
    if (chain !== null) return chain.trailers;
    if (kind === MapKind.requestTrailers) return null;
    return this.pass.owner.facts?.responseTrailers ?? null;
  }

  #requestHead(): RequestHeaderMap {
    this.#requestMap ??= new RequestHeaderMap(this.pass.request, this.#scheme);
    return this.#requestMap;
  }

  createTrailers(kind: TrailersKind): HeaderMap | null {
    const chain = this.pass.chainOf(kind);
    if (chain === null) return null;
    chain.trailers ??= new Headers();
    return new FieldMap(chain.trailers);
  }

  property(path: readonly string[]): Uint8Array | null {
    const name = storedName(path);
    const set = name === null ? undefined : this.pass.stored(name);
    if (set !== undefined) return set;
    switch (path[0]) {
      case "request":
        return requestProperty(this, path);
      case "response":
        return responseProperty(this, path);
      case "metadata":
        return metadataProperty(undefined, path.slice(1));
      case "xds":
        return xdsProperty(this.pass, path);
      default:
        return peerProperty(this.pass.owner, path) ?? this.#plainProperty(path);
    }
  }

  /** Plain names are Higress' own: in Envoy 1.40 they are not there any more. */
  #plainProperty([name = ""]: readonly string[]): Uint8Array | null {
    return this.#isHigress ? routeProperty(this.pass, name) : null;
  }

  // --- what the guest may see now, for its properties ---

  get requestHead(): HeaderMap | null {
    return this.#context?.map(MapKind.requestHeaders) ?? null;
  }

  get responseHead(): HeaderMap | null {
    return this.#context?.map(MapKind.responseHeaders) ?? null;
  }

  get responseTrailers(): HeaderMap | null {
    return this.#context?.map(MapKind.responseTrailers) ?? null;
  }

  get #isHigress(): boolean {
    return this.slot.instance?.module.abiVersion === "0.2.100";
  }

  setProperty(name: string, value: Uint8Array, declared: DeclaredProperty): Status {
    if (value.length > PROPERTY_BYTES_MAX) return Status.internalFailure;
    if (name === EXPLAIN_PROPERTY && this.explaining) return this.#explain(value);
    const status = this.pass.filterState.setProperty(name, value, declared);
    if (status === Status.ok && this.#isHigress) this.#obey(name, value);
    return status;
  }

  propertyType(path: readonly string[]): PropertyType {
    return storedType(this.pass.filterState, path);
  }

  #explain(reason: Uint8Array): Status {
    if (this.reasons.length >= REASONS_MAX) return Status.internalFailure;
    this.reasons.push(reason);
    return Status.ok;
  }

  /** Higress' own properties are wishes. */
  #obey(name: string, value: Uint8Array): void {
    switch (name) {
      case "clear_route_cache":
        this.#keepsRoute = latin1(value) === "off";
        return;
      case "set_decoder_buffer_limit":
        this.#limitHeld(StreamKind.request, latin1(value));
        return;
      case "set_encoder_buffer_limit":
        this.#limitHeld(StreamKind.response, latin1(value));
    }
  }

  #limitHeld(kind: StreamKind, text: string): void {
    if (!/^\d{1,10}$/.test(text)) return;
    this.pass.limitHeld(kind, Math.min(Number(text), BODY_HELD_BYTES_LIMIT));
  }

  get takesResponseBody(): boolean {
    return this.pass.takesResponseBody;
  }

  injectResponseBody(body: Uint8Array, endOfStream: boolean): void {
    const buffer = new BodyBuffer(body);
    // Whatever length was announced is not this one's.
    buffer.isModified = true;
    if (this.#inCallback) this.#injected.push({ body: buffer, endOfStream });
    else this.pass.inject(this, buffer, endOfStream);
  }

  /** What was put in while the head was shown goes first: until then all is held. */
  #injectLater(head: HeadState): HeadState {
    const injected = this.#injected.splice(0);
    this.pass.owner.later(() => {
      for (const { body, endOfStream } of injected) this.pass.inject(this, body, endOfStream);
      if (head === "passed") this.pass.continue(this, StreamKind.response);
    });
    return "stopAll";
  }

  upstreamHosts(): readonly UpstreamHost[] {
    const cluster = this.pass.routeCluster();
    const { endpoints } = this.pass.runtime.snapshot;
    if (cluster === null || !Object.hasOwn(endpoints, cluster)) return [];
    const { isHealthy } = this.pass.lanes;
    const hosts = endpoints[cluster]?.endpoints ?? [];
    return hosts.map((endpoint) => ({
      address: `${endpoint.address}:${endpoint.port}`,
      isHealthy: isHealthy?.(endpoint) ?? true,
    }));
  }

  overrideUpstreamHost(address: string): void {
    this.pass.upstreamOverride = address;
  }

  setFilterState(key: string, value: Uint8Array, lifeSpan: LifeSpan): Status {
    return this.pass.filterState.setObject(objectName(key), value, lifeSpan);
  }

  clearRouteCache(): void {
    if (!this.#keepsRoute) this.pass.clearRoute();
  }

  sendLocalResponse(response: LocalResponse): void {
    this.#response = response;
    if (!this.#inCallback) this.pass.answer(response);
  }

  continueStream(kind: StreamKind): void {
    if (kind !== StreamKind.request && kind !== StreamKind.response) return;
    // In the request phase only the request waits; Envoy dies of the other kind, we ignore it.
    if (kind === StreamKind.response && this.pass.response === null) return;
    if (this.#inCallback) this.#continued = true;
    else this.pass.continue(this, kind);
  }

  closeStream(): void {
    if (this.#inCallback) this.#resetDue = true;
    else this.pass.reset();
  }

  get #scheme(): "http" | "https" {
    return this.pass.owner.isSecure ? "https" : "http";
  }
}

class PluginBodyStage implements BodyStage {
  readonly #stream: PluginStream;
  readonly #isRequest: boolean;

  constructor(stream: PluginStream, kind: StreamKind) {
    this.#stream = stream;
    this.#isRequest = kind === StreamKind.request;
  }

  onBody(body: BodyBuffer, endOfStream: boolean): BodyAction {
    const { context } = this.#stream;
    return this.#stream.runBody(() =>
      this.#isRequest
        ? context.onRequestBody(body, endOfStream)
        : context.onResponseBody(body, endOfStream),
    );
  }

  onTrailers(): BodyAction {
    const { context } = this.#stream;
    return this.#stream.runBody(() =>
      this.#isRequest ? context.onRequestTrailers() : context.onResponseTrailers(),
    );
  }
}

function headState(action: StreamAction): HeadState {
  if (action === StreamAction.continue) return "passed";
  return action === StreamAction.stop ? "stop" : "stopAll";
}
