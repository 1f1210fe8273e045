//! The context of one exchange in one plug-in: enters the guest for each phase, and knows what the
//! guest may see and change in that phase.

import { MapKind, StreamAction } from "./enums.ts";
import type { StreamKind, StreamMapKind } from "./enums.ts";
import type { PluginTrap } from "./fault.ts";
import type { RootContext } from "./root-context.ts";
import type { HeaderMap, LocalResponse, StreamHost } from "./stream-host.ts";
import type { Callback, Vm } from "./vm.ts";

/** One bit per `StreamMapKind`. */
const REQUEST_HEADERS = 1 << MapKind.requestHeaders;
const REQUEST_TRAILERS = 1 << MapKind.requestTrailers;
const RESPONSE_HEADERS = 1 << MapKind.responseHeaders;
const RESPONSE_TRAILERS = 1 << MapKind.responseTrailers;
const ALL_MAPS = REQUEST_HEADERS | REQUEST_TRAILERS | RESPONSE_HEADERS | RESPONSE_TRAILERS;

export class StreamContext {
  readonly id: number;
  readonly root: RootContext;
  readonly host: StreamHost;
  /** True in on_log: every map can be read again and none written. */
  isLogging = false;

  readonly #vm: Vm;
  #readableMaps = 0;
  #hasResponded = false;

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

  onRequestHeaders(endOfStream: boolean): StreamAction {
    const vm = this.#vm;
    const callback = vm.guest.requestHeaders;
    if (vm.trap !== null) return StreamAction.trapped;
    if (callback === null) return StreamAction.continue;
    const size = this.host.headerMap(MapKind.requestHeaders)?.size ?? 0;
    this.#readableMaps |= REQUEST_HEADERS;
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
   * Runs on_log, on_done and on_delete, in Envoy's order. The maps must still be there for on_log.
   * The context is dead afterwards. After a trap nothing is called, and nothing is left behind.
   */
  finish(): void {
    this.onLog();
    this.onDone();
    this.delete();
  }

  onLog(): void {
    this.#readableMaps = ALL_MAPS;
    this.isLogging = true;
    this.#callVoid("proxy_on_log", this.#vm.guest.log, 0);
  }

  /** The guest's answer is ignored for streams, as in Envoy. */
  onDone(): void {
    this.#readableMaps = 0;
    this.isLogging = false;
    this.#callVoid("proxy_on_done", this.#vm.guest.done, 0);
  }

  delete(): void {
    const vm = this.#vm;
    if (!vm.streams.delete(this)) return;
    if (this.host.explaining) this.#callVoid("graylane_on_explain", vm.guest.explain, 0);
    this.#callVoid("proxy_on_delete", vm.guest.delete, 0);
    this.root.streamEnded();
  }

  /** The map of that kind, or null when it does not exist or this phase hides it. */
  map(kind: number): HeaderMap | null {
    if (kind > MapKind.responseTrailers || ((this.#readableMaps >> kind) & 1) === 0) return null;
    return this.host.headerMap(kind as StreamMapKind);
  }

  /** Whether `request.path` and the like can be read: they vanish with the request's map. */
  get hasRequestHeaders(): boolean {
    return (this.#readableMaps & REQUEST_HEADERS) !== 0;
  }

  /** The first one wins; later ones are ignored. Delivered when the callback has returned. */
  respond(response: LocalResponse): void {
    if (this.#hasResponded) return;
    this.#hasResponded = true;
    this.#vm.defer(() => {
      this.host.sendLocalResponse(response);
    });
  }

  /** False: too much is put off already. */
  continueStream(kind: StreamKind): boolean {
    return this.#vm.defer(() => {
      // Envoy forgets the request's map after any continue.
      this.#readableMaps &= ~REQUEST_HEADERS;
      if (!this.#hasResponded) this.host.continueStream(kind);
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

  #leaveHeaders(result: number, mapBit: number): StreamAction {
    let action: StreamAction = StreamAction.stopAll;
    if (result === 0 || result === 2) action = StreamAction.continue;
    else if (result === 1 && this.#vm.module.abiVersion === "0.2.100") action = StreamAction.stop;
    if (this.#hasResponded) action = StreamAction.stopAll;
    if (action === StreamAction.continue) this.#readableMaps &= ~mapBit;
    this.#vm.leave();
    return action;
  }
}
