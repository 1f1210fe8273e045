//! The context of one exchange in one plug-in: enters the guest for each phase, and knows what the
//! guest may see and change in that phase.

import type { BodyBuffer } from "./body-buffer.ts";
import type { DeclaredProperties } from "./declared-properties.ts";
import { BodyAction, BufferKind, MapKind, StreamAction, StreamKind } from "./enums.ts";
import type { StreamMapKind } from "./enums.ts";
import type { PluginTrap } from "./fault.ts";
import type { RootContext } from "./root-context.ts";
import type { HeaderMap, LocalResponse, StreamHost } from "./stream-host.ts";
import type { Callback, Vm } from "./vm.ts";

/** One bit per `StreamMapKind`. */
const REQUEST_HEADERS = 1 << MapKind.requestHeaders;
const REQUEST_TRAILERS = 1 << MapKind.requestTrailers;
const RESPONSE_HEADERS = 1 << MapKind.responseHeaders;
const RESPONSE_TRAILERS = 1 << MapKind.responseTrailers;
/** In on_log. Envoy shows everything there but the request's trailers. */
const LOGGED_MAPS = REQUEST_HEADERS | RESPONSE_HEADERS | RESPONSE_TRAILERS;

/** What one callback may put into a response's body. */
const INJECTED_BYTES_MAX = 16 * 1024 * 1024;

export class StreamContext {
  readonly id: number;
  readonly root: RootContext;
  readonly host: StreamHost;
  /** True in on_log: every map can be read again and none written. */
  isLogging = false;
  /** Null: nothing has been declared. */
  declared: DeclaredProperties | null = null;
  /** Calls out that were made for it. */
  callsUnderWay = 0;

  readonly #vm: Vm;
  #readableMaps = 0;
  /** Those that no callback has let go of when the exchange ended: they can be read to the end. */
  #heldMaps = 0;
  /** Trailers that the guest has made: they stay, and can be changed, to the end (as in Envoy). */
  #createdMaps = 0;
  #hasResponded = false;
  #isDeleted = false;
  /** That waits for the end of the callback. */
  #injectedBytes = 0;
  /** It has responded in the callback that runs: whatever that answers, the message stops. */
  #isAnswering = false;
  /** The bodies that a guest can reach now: in their callbacks, and while one is held back. */
  #requestBody: BodyBuffer | null = null;
  #responseBody: BodyBuffer | null = null;
  /** The direction whose last callback had the end of the stream: it may get trailers. */
  #endingMap: number | null = null;

  /** Enters the guest (context_create). Use `RootContext.createStream`. */
  constructor(vm: Vm, root: RootContext, host: StreamHost) {
    this.#vm = vm;
    this.root = root;
    this.host = host;
    this.id = vm.nextContextId();
    vm.streams.add(this);
    this.#callVoid("proxy_on_context_create", vm.guest.contextCreate, root.id);
    if (host.explaining) this.#callVoid("graylane_on_explain", vm.guest.explain, 1);
  }

  /** Why callbacks answer `StreamAction.trapped`: this context's trap, or one before in its VM. */
  get trap(): PluginTrap | null {
    return this.#vm.trap;
  }

  /** Whether the guest wants to see anything of a body: else the embedder need not show it. */
  get readsRequestBody(): boolean {
    const { guest } = this.#vm;
    return guest.requestBody !== null || guest.requestTrailers !== null;
  }

  get readsResponseBody(): boolean {
    const { guest } = this.#vm;
    return guest.responseBody !== null || guest.responseTrailers !== null;
  }

  onRequestHeaders(endOfStream: boolean): StreamAction {
    const vm = this.#vm;
    const callback = vm.guest.requestHeaders;
    if (vm.trap !== null) return StreamAction.trapped;
    if (callback === null) return StreamAction.continue;
    const size = this.host.headerMap(MapKind.requestHeaders)?.size ?? 0;
    this.#readableMaps |= REQUEST_HEADERS;
    this.#isAnswering = false;
    vm.enter(this.root, this);
    let result: number;
    try {
      result = callback(this.id, size, endOfStream ? 1 : 0);
    } catch (error) {
      vm.fail("proxy_on_request_headers", error);
      return StreamAction.trapped;
    }
    return this.#leaveHeaders(result, REQUEST_HEADERS);
  }

  onResponseHeaders(endOfStream: boolean): StreamAction {
    const vm = this.#vm;
    const callback = vm.guest.responseHeaders;
    if (vm.trap !== null) return StreamAction.trapped;
    if (callback === null) return StreamAction.continue;
    const size = this.host.headerMap(MapKind.responseHeaders)?.size ?? 0;
    this.#readableMaps |= RESPONSE_HEADERS;
    this.#isAnswering = false;
    vm.enter(this.root, this);
    let result: number;
    try {
      result = callback(this.id, size, endOfStream ? 1 : 0);
    } catch (error) {
      vm.fail("proxy_on_response_headers", error);
      return StreamAction.trapped;
    }
    return this.#leaveHeaders(result, RESPONSE_HEADERS);
  }

  /**
   * Shows a part of the request's body, or all that is held back with it. The guest may change
   * `body` now, and later while it is held back.
   */
  onRequestBody(body: BodyBuffer, endOfStream: boolean): BodyAction {
    const callback = this.#vm.guest.requestBody;
    this.#requestBody = body;
    this.#endingMap = endOfStream ? MapKind.requestTrailers : null;
    const run = (): number | undefined => callback?.(this.id, body.size, endOfStream ? 1 : 0);
    const action = this.#body("proxy_on_request_body", callback === null ? null : run);
    if (action !== BodyAction.buffer) this.#requestBody = null;
    if (action === BodyAction.continue) this.#readableMaps &= ~REQUEST_HEADERS;
    return action;
  }

  onResponseBody(body: BodyBuffer, endOfStream: boolean): BodyAction {
    const callback = this.#vm.guest.responseBody;
    this.#responseBody = body;
    this.#endingMap = endOfStream ? MapKind.responseTrailers : null;
    const run = (): number | undefined => callback?.(this.id, body.size, endOfStream ? 1 : 0);
    const action = this.#body("proxy_on_response_body", callback === null ? null : run);
    if (action !== BodyAction.buffer) this.#responseBody = null;
    if (action === BodyAction.continue) this.#readableMaps &= ~RESPONSE_HEADERS;
    return action;
  }

  /** `continue`, or `buffer` to hold the trailers and the body before them. */
  onRequestTrailers(): BodyAction {
    const callback = this.#vm.guest.requestTrailers;
    const size = this.host.headerMap(MapKind.requestTrailers)?.size ?? 0;
    this.#readableMaps |= REQUEST_TRAILERS;
    const run = (): number | undefined => callback?.(this.id, size, 0);
    const action = this.#body("proxy_on_request_trailers", callback === null ? null : run);
    if (action !== BodyAction.continue) return action;
    this.#requestBody = null;
    this.#readableMaps &= ~(REQUEST_HEADERS | REQUEST_TRAILERS);
    return action;
  }

  onResponseTrailers(): BodyAction {
    const callback = this.#vm.guest.responseTrailers;
    const size = this.host.headerMap(MapKind.responseTrailers)?.size ?? 0;
    this.#readableMaps |= RESPONSE_TRAILERS;
    const run = (): number | undefined => callback?.(this.id, size, 0);
    const action = this.#body("proxy_on_response_trailers", callback === null ? null : run);
    if (action !== BodyAction.continue) return action;
    this.#responseBody = null;
    this.#readableMaps &= ~(RESPONSE_HEADERS | RESPONSE_TRAILERS);
    return action;
  }

  /**
   * Runs on_log, on_done and on_delete, in Envoy's order. The maps must still be there for on_log.
   * The context is dead afterwards. After a trap nothing is called, and nothing is left behind.
   */
  finish(): void {
    this.onLog();
    this.onDone();
    this.delete();
  }

  onLog(): void {
    this.#heldMaps = this.#readableMaps;
    this.#readableMaps = LOGGED_MAPS;
    this.isLogging = true;
    this.#callVoid("proxy_on_log", this.#vm.guest.log, 0);
  }

  /** The guest's answer is ignored for streams, as in Envoy. */
  onDone(): void {
    if (this.isLogging) this.#readableMaps = this.#heldMaps;
    this.isLogging = false;
    this.#callVoid("proxy_on_done", this.#vm.guest.done, 0);
  }

  delete(): void {
    const vm = this.#vm;
    if (this.#isDeleted) return;
    this.#isDeleted = true;
    if (this.host.explaining) this.#callVoid("graylane_on_explain", vm.guest.explain, 0);
    this.#callVoid("proxy_on_delete", vm.guest.delete, 0);
    vm.streams.delete(this);
    this.root.streamEnded();
  }

  /** The map of that kind, or null when it does not exist or this phase hides it. */
  map(kind: number): HeaderMap | null {
    const readable = this.#readableMaps | this.#createdMaps;
    if (kind > MapKind.responseTrailers || ((readable >> kind) & 1) === 0) return null;
    return this.host.headerMap(kind as StreamMapKind);
  }

  /** As `map`, for a change: creates the trailers of a message that is just ending without any. */
  writableMap(kind: number): HeaderMap | null {
    if (kind <= MapKind.responseTrailers && ((this.#createdMaps >> kind) & 1) !== 0) {
      return this.host.headerMap(kind as StreamMapKind);
    }
    if (this.isLogging) return null;
    const map = this.map(kind);
    if (map !== null || kind !== this.#endingMap) return map;
    if (kind !== MapKind.requestTrailers && kind !== MapKind.responseTrailers) return null;
    this.#createdMaps |= 1 << kind;
    return this.host.createTrailers(kind);
  }

  /** The body that the guest can reach now, or null. */
  body(kind: number): BodyBuffer | null {
    if (kind === BufferKind.requestBody) return this.#requestBody;
    return kind === BufferKind.responseBody ? this.#responseBody : null;
  }

  /** Whether `request.path` and the like can be read: they vanish with the request's map. */
  get hasRequestHeaders(): boolean {
    return (this.#readableMaps & REQUEST_HEADERS) !== 0;
  }

  /** The first one wins; later ones are ignored. Delivered when the callback has returned. */
  respond(response: LocalResponse): void {
    if (this.#hasResponded) return;
    this.#hasResponded = true;
    this.#isAnswering = true;
    this.#vm.defer(() => {
      this.host.sendLocalResponse(response);
    });
  }

  /** False: too much is put off already. */
  continueStream(kind: StreamKind): boolean {
    // Envoy forgets the request's map after any continue.
    this.#readableMaps &= ~REQUEST_HEADERS;
    return this.#vm.defer(() => {
      if (kind === StreamKind.request) this.#requestBody = null;
      else if (kind === StreamKind.response) this.#responseBody = null;
      if (!this.#hasResponded) this.host.continueStream(kind);
    });
  }

  /** False: too much is put off already. `body` may be a view of guest memory. */
  injectResponseBody(body: Uint8Array, endOfStream: boolean): boolean {
    if (this.#injectedBytes + body.length > INJECTED_BYTES_MAX) return false;
    this.#injectedBytes += body.length;
    const copy = Uint8Array.from(body);
    return this.#vm.defer(() => {
      this.#injectedBytes = 0;
      if (!this.#hasResponded) this.host.injectResponseBody?.(copy, endOfStream);
    });
  }

  closeStream(kind: StreamKind): boolean {
    return this.#vm.defer(() => {
      this.host.closeStream(kind);
    });
  }

  /** A callback whose answer, if it has one, means nothing for a stream. */
  #callVoid(name: string, callback: Callback<unknown>, second: number): void {
    const vm = this.#vm;
    if (callback === null || vm.trap !== null) return;
    vm.enter(this.root, this);
    try {
      callback(this.id, second, 0);
    } catch (error) {
      vm.fail(name, error);
      return;
    }
    vm.leave();
  }

  /** Runs a body or trailers callback. A missing one lets everything pass. */
  #body(name: string, run: (() => number | undefined) | null): BodyAction {
    const vm = this.#vm;
    if (vm.trap !== null) return BodyAction.trapped;
    if (run === null) return BodyAction.continue;
    this.#isAnswering = false;
    vm.enter(this.root, this);
    let result: number | undefined;
    try {
      result = run();
    } catch (error) {
      vm.fail(name, error);
      return BodyAction.trapped;
    }
    this.#endingMap = null;
    const isAnswering = this.#takeAnswering();
    vm.leave();
    if (isAnswering) return BodyAction.drop;
    if (result === 0 || result === 1 || result === 2) return result;
    return BodyAction.drop;
  }

  #takeAnswering(): boolean {
    const isAnswering = this.#isAnswering;
    this.#isAnswering = false;
    return isAnswering;
  }

  #stopsHeadersAlone(): boolean {
    const { stopsHeadersAlone } = this.root.plugin;
    return stopsHeadersAlone === true || this.#vm.module.abiVersion === "0.2.100";
  }

  #leaveHeaders(result: number, mapBit: number): StreamAction {
    let action: StreamAction = StreamAction.stopAll;
    if (result === 0 || result === 2) action = StreamAction.continue;
    else if (result === 1 && this.#stopsHeadersAlone()) action = StreamAction.stop;
    if (this.#isAnswering) action = StreamAction.stopAll;
    this.#isAnswering = false;
    if (action === StreamAction.continue) this.#readableMaps &= ~mapBit;
    this.#vm.leave();
    return action;
  }
}
