//! What an embedder provides for one exchange. The host of Proxy-Wasm knows no gateway: everything
//! that a plug-in sees or changes of an exchange goes through this interface.
//!
//! Calls come synchronously from inside a guest callback and may not enter a guest. The exceptions
//! are `sendLocalResponse`, `continueStream` and `closeStream`: they come, as in Envoy, when the
//! guest has returned, but while the method that entered it (`onRequestHeaders`) still runs. Keep
//! what they ask for, and act on it when that method has answered.

import type { DeclaredProperty, PropertyType } from "./declared-properties.ts";
import type { LifeSpan, Status, StreamKind, StreamMapKind, TrailersKind } from "./enums.ts";

/**
 * Header fields in order. Names are lower-case, values are Latin-1 text: one character per byte as
 * on the wire. In a request the pseudo names `:authority :path :method :scheme` come first (also
 * for HTTP/1; `host` never appears), in a response `:status` does.
 */
export interface HeaderMap {
  /** Number of pairs. */
  readonly size: number;
  /** The first value of `name`. */
  get(name: string): string | undefined;
  /** Sets one value and drops the others of that name. */
  set(name: string, value: string): void;
  add(name: string, value: string): void;
  /** Drops every value of `name`; harmless when there is none. */
  remove(name: string): void;
  forEach(visit: (name: string, value: string) => void): void;
  replaceAll(pairs: readonly (readonly [name: string, value: string])[]): void;
}

/** A response that a plug-in makes itself (`proxy_send_local_response`). */
export interface LocalResponse {
  /** 200 to 999: checked. */
  readonly status: number;
  /** For the access log: white space is replaced by `_`. */
  readonly details: string;
  readonly body: Uint8Array;
  /** Names lower-case. The embedder adds content-length, and content-type text/plain to a body. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** 0 to 16, or null when the plug-in gave none. */
  readonly grpcStatus: number | null;
}

export interface UpstreamHost {
  /** `address:port` */
  readonly address: string;
  /** It may get requests: it has not been ejected, and fails no check. */
  readonly isHealthy: boolean;
}

export interface StreamHost {
  /**
   * Somebody asked for the reasons of this exchange. Plug-ins are told so (by the export
   * `graylane_on_explain`) and report through `setProperty("graylane.explain", JSON)`, once for
   * each decision: append them. May not change while the exchange lasts.
   */
  readonly explaining: boolean;
  /**
   * The map, or null when the exchange has none (yet). The host itself hides maps in the phases
   * where Envoy hides them, so it is enough to answer by what exists.
   */
  headerMap(kind: StreamMapKind): HeaderMap | null;
  /**
   * Empty trailers for a message that has none: a guest may add some in the body callback that has
   * the end of the stream. Null: this exchange cannot carry them.
   */
  createTrailers(kind: TrailersKind): HeaderMap | null;
  /**
   * A property by its path (`["request", "path"]`), encoded as `property-encoding.ts` does; null
   * when it is unknown. What `setProperty` stored is found under `[name]` and under
   * `["filter_state", "wasm." + name]`.
   */
  property(path: readonly string[]): Uint8Array | null;
  /**
   * Kept for the exchange, or for its connection: later filters and the access log see it. `value`
   * is the callee's. `declared` counts with the first value of a name. BAD_ARGUMENT: that one was
   * read-only; INTERNAL_FAILURE: too much has been stored.
   */
  setProperty(name: string, value: Uint8Array, declared: DeclaredProperty): Status;
  /** What the property of that path, as `setProperty` stored it, was declared to be. */
  propertyType?(path: readonly string[]): PropertyType;
  /**
   * As `setProperty`, but for an object of Envoy's, found only under `["filter_state", key]`.
   * Without it no such object is known.
   */
  setFilterState?(key: string, value: Uint8Array, lifeSpan: LifeSpan): Status;
  /**
   * Puts `body` into the response's body after this plug-in, and lets the head go that it holds.
   * `endOfStream`: what comes from upstream later is dropped. Comes as `continueStream` does.
   */
  injectResponseBody?(body: Uint8Array, endOfStream: boolean): void;
  /** Whether that can be done now: there is a response that has a body and is not over. */
  readonly takesResponseBody?: boolean;
  /** Each host of the route's cluster; empty when no cluster is settled. */
  upstreamHosts?(): readonly UpstreamHost[];
  /** Which of them shall get the request; one that may not get it is not taken. */
  overrideUpstreamHost?(address: string): void;
  /** Forgets the cached route: the guest edited request headers or asked for it. */
  clearRouteCache(): void;
  /** At most once per context. The callback that asked has answered `StreamAction.stopAll`. */
  sendLocalResponse(response: LocalResponse): void;
  /** Goes on with a direction that a callback has stopped; harmless when it is not stopped. */
  continueStream(kind: StreamKind): void;
  /** Resets the exchange. */
  closeStream(kind: StreamKind): void;
  /**
   * The VM of this context has trapped, in whatever context: an exchange that waits for the plug-in
   * follows the fail mode. Comes when the guest has been left.
   */
  onVmTrap?(): void;
}
