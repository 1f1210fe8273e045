//! One plug-in in one exchange: what the Proxy-Wasm host asks of the gateway, answered.

import { assert } from "../../base/assert.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import { encodeLatin1, encodeInteger } from "../../wasm/property-encoding.ts";
import { MapKind, StreamAction, StreamKind } from "../../wasm/enums.ts";
import type { StreamMapKind } from "../../wasm/enums.ts";
import type { StreamContext } from "../../wasm/stream-context.ts";
import type { HeaderMap, LocalResponse, StreamHost } from "../../wasm/stream-host.ts";
import { proxyError } from "../proxy-error.ts";
import type { ProxyError } from "../proxy-error.ts";
import type { GatewayPass } from "./gateway-pass.ts";
import type { PluginSlot } from "./plugin-slot.ts";
import { RequestHeaderMap } from "./request-header-map.ts";
import { ResponseHeaderMap } from "./response-header-map.ts";

/** Properties that plug-ins may set on one exchange, and their total size. */
const PROPERTIES_PER_EXCHANGE_MAX = 64;
const PROPERTY_BYTES_MAX = 65_536;
/** Where a plug-in reports why it did what it did. */
const EXPLAIN_PROPERTY = "graylane.explain";

export class PluginStream implements StreamHost {
  readonly slot: PluginSlot;
  readonly explaining: boolean;
  /** What the plug-in reported while explaining: JSON texts. */
  readonly reasons: Uint8Array[] = [];
  readonly #pass: GatewayPass;
  #requestMap: RequestHeaderMap | null = null;
  #paused = false;
  #inCallback = false;
  #continued = false;
  #resetDue = false;
  #response: LocalResponse | null = null;

  #context: StreamContext | null = null;

  private constructor(pass: GatewayPass, slot: PluginSlot) {
    this.#pass = pass;
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

  /** `continue`: the next filter runs. Else the pass waits, or has its outcome. */
  runRequestHeaders(endOfStream: boolean): StreamAction {
    const action = this.#run(() => this.context.onRequestHeaders(endOfStream));
    if (action === StreamAction.trapped) return this.#onTrap();
    if (this.#response !== null) {
      this.#pass.answer(this.#response);
      return StreamAction.stopAll;
    }
    this.#paused = action !== StreamAction.continue && !this.#continued;
    return this.#paused ? action : StreamAction.continue;
  }

  /** What this plug-in puts in place of the response, or null. */
  runResponseHeaders(endOfStream: boolean): LocalResponse | ProxyError | null {
    const before = this.#response;
    const action = this.#run(() => this.context.onResponseHeaders(endOfStream));
    if (action === StreamAction.trapped) {
      return this.slot.plugin.failMode === "open" ? null : this.trapError();
    }
    return this.#response === before ? null : this.#response;
  }

  trapError(): ProxyError {
    const { trap } = this.context;
    const what = trap === null ? "stopped" : `trapped in ${trap.callback}: ${trap.message}`;
    return proxyError("plugin_trap", `plug-in ${this.slot.plugin.name} ${what}`);
  }

  /** What the guest asks for during a callback is done when the callback has returned. */
  #run(callback: () => StreamAction): StreamAction {
    this.#inCallback = true;
    this.#continued = false;
    const action = callback();
    this.#inCallback = false;
    if (this.#resetDue) this.#pass.reset();
    return action;
  }

  /** Follows the fail mode. */
  #onTrap(): StreamAction {
    if (this.slot.plugin.failMode === "open") return StreamAction.continue;
    this.#pass.fail(this.trapError());
    return StreamAction.stopAll;
  }

  headerMap(kind: StreamMapKind): HeaderMap | null {
    switch (kind) {
      case MapKind.requestHeaders:
        this.#requestMap ??= new RequestHeaderMap(this.#pass.request);
        return this.#requestMap;
      case MapKind.responseHeaders:
        return this.#pass.response === null ? null : new ResponseHeaderMap(this.#pass.response);
      default:
        return null;
    }
  }

  property(path: readonly string[]): Uint8Array | null {
    const set = this.#pass.properties.get(storedName(path));
    if (set !== undefined) return set;
    switch (path[0]) {
      case "request":
        return this.#requestProperty(path);
      case "response":
        return path[1] === "code" && this.#pass.response !== null
          ? encodeInteger(this.#pass.response.status)
          : null;
      case "source":
        return path[1] === "address" ? encodeLatin1(this.#pass.owner.remoteAddress) : null;
      case "xds":
        return path[1] === "route_name" ? encodeLatin1(this.#pass.route()?.label ?? "") : null;
      default:
        return null;
    }
  }

  setProperty(name: string, value: Uint8Array): void {
    const { properties } = this.#pass;
    if (properties.size + this.reasons.length >= PROPERTIES_PER_EXCHANGE_MAX) return;
    if (value.length > PROPERTY_BYTES_MAX) return;
    if (name === EXPLAIN_PROPERTY && this.explaining) this.reasons.push(value);
    else properties.set(name, value);
  }

  clearRouteCache(): void {
    this.#pass.clearRoute();
  }

  sendLocalResponse(response: LocalResponse): void {
    this.#response = response;
    if (!this.#inCallback) this.#pass.answer(response);
  }

  continueStream(kind: StreamKind): void {
    // In the request phase only the request waits; Envoy dies of the other kind, we ignore it.
    if (kind !== StreamKind.request) return;
    this.#continued = true;
    if (this.#inCallback || !this.#paused) return;
    this.#paused = false;
    this.#pass.resume();
  }

  closeStream(): void {
    if (this.#inCallback) this.#resetDue = true;
    else this.#pass.reset();
  }

  #requestProperty(path: readonly string[]): Uint8Array | null {
    const { request } = this.#pass;
    const read = REQUEST_PROPERTIES[path[1] ?? ""];
    if (read !== undefined) return encodeLatin1(read(request));
    const field = path[1] === "headers" ? path[2] : FIELD_PROPERTIES[path[1] ?? ""];
    return encodeOrNull(field === undefined ? undefined : request.headers.get(field));
  }
}

function pathLength(target: string): number {
  const query = target.indexOf("?");
  return query === -1 ? target.length : query;
}

const REQUEST_PROPERTIES: Readonly<Record<string, (request: RequestHead) => string>> = {
  path: ({ target }) => target,
  url_path: ({ target }) => target.slice(0, pathLength(target)),
  query: ({ target }) => target.slice(pathLength(target) + 1),
  host: ({ authority }) => authority,
  scheme: () => "http",
  method: ({ method }) => method,
  protocol: ({ versionMinor }) => (versionMinor === 1 ? "HTTP/1.1" : "HTTP/1.0"),
};

/** Properties that are a field of the request under another name. */
const FIELD_PROPERTIES: Readonly<Record<string, string>> = {
  id: "x-request-id",
  referer: "referer",
  useragent: "user-agent",
};

function encodeOrNull(value: string | undefined): Uint8Array | null {
  return value === undefined ? null : encodeLatin1(value);
}

function storedName(path: readonly string[]): string {
  const name = path[0] === "filter_state" ? path[1] : path[0];
  return path[0] === "filter_state" && name !== undefined && name.startsWith("wasm.")
    ? name.slice("wasm.".length)
    : (name ?? "");
}
