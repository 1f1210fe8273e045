//! Sends a Node app's plain HTTP calls to its pod's sidecar.
//!
//! Node's `http` module and its `fetch` ignore the proxy variables, so this file does for Node what
//! `http_proxy` does for curl and Python. It decides nothing: which service a call is for, also one
//! dialled to a pod's address, is the sidecar's matter. HTTPS and HTTP/2 are left alone.

import http from "node:http";
import type {
  ClientRequest,
  IncomingMessage,
  OutgoingHttpHeaders,
  RequestOptions,
} from "node:http";
import { syncBuiltinESMExports } from "node:module";
import { urlToHttpOptions } from "node:url";
import { onPackage } from "./packages.ts";
import { GLOBAL_DISPATCHER, UNDICI, isIterable } from "./undici.ts";

export interface Outbound {
  readonly host: string;
  readonly port: number;
}

type OnResponse = (response: IncomingMessage) => void;
export type HttpArguments = readonly [
  input?: string | URL | RequestOptions,
  options?: RequestOptions | OnResponse,
  onResponse?: OnResponse,
];

/**
 * Loopback names that no pod has: an app's own ports, databases and the like are called directly.
 */
const OWN_HOSTS: readonly string[] = ["localhost", "127.0.0.1", "::1", "[::1]"];
const HTTP_PORT = 80;

/** `host:port` of the sidecar; null when the text says none. */
export function parseOutbound(text: string | undefined): Outbound | null {
  const found = /^(.+):(\d{1,5})$/.exec(text ?? "");
  return found === null ? null : { host: found[1] ?? "", port: Number(found[2]) };
}

/** Routes the calls of `http`, of `fetch`, and of an undici that uses the global dispatcher. */
export function routeThroughSidecar(outbound: Outbound): void {
  patchHttp(outbound);
  patchFetch(outbound);
  onPackage(UNDICI, (exports) => {
    patchUndici(exports as UndiciPackage, outbound);
  });
}

function isForSidecar(hostname: string): boolean {
  return !OWN_HOSTS.includes(hostname.toLowerCase());
}

// === http.request, http.get

function patchHttp(sidecar: Outbound): void {
  // The properties of the module object are what `require("http")` and `import http` give out.
  const original = http.request.bind(http) as (...parameters: readonly unknown[]) => ClientRequest;
  const request = (...parameters: HttpArguments): ClientRequest => {
    const call = readArguments(parameters);
    if (call === null || !mayReroute(call.options)) return original(...parameters);
    return original(reroute(call.options, sidecar), call.onResponse);
  };
  const get = (...parameters: HttpArguments): ClientRequest => {
    const sent = request(...parameters);
    sent.end();
    return sent;
  };
  Object.assign(http, { request, get });
  // And this makes `import { request } from "node:http"` see them.
  syncBuiltinESMExports();
}

/** Node's own reading of the arguments: a URL's parts, and over them the options. */
export function readArguments(parameters: HttpArguments): {
  readonly options: RequestOptions;
  readonly onResponse: OnResponse | undefined;
} | null {
  const [input, second, third] = parameters;
  const options = typeof second === "function" ? {} : (second ?? {});
  const onResponse = typeof second === "function" ? second : third;
  if (typeof input === "string") {
    // An invalid URL is the original's to complain about.
    if (!URL.canParse(input)) return null;
    return { options: { ...urlToHttpOptions(new URL(input)), ...options }, onResponse };
  }
  if (input instanceof URL) {
    return { options: { ...urlToHttpOptions(input), ...options }, onResponse };
  }
  return { options: { ...input, ...options }, onResponse };
}

function mayReroute(options: RequestOptions): boolean {
  return isPlainCall(options, "http:") && isForSidecar(hostOf(options));
}

/** A call of that protocol, to a host and by connections that Node makes itself. */
export function isPlainCall(options: RequestOptions, wanted: "http:" | "https:"): boolean {
  const { agent } = options;
  const protocol = options.protocol ?? (agent as { protocol?: string } | undefined)?.protocol;
  if ((protocol ?? wanted) !== wanted) return false;
  if (options.socketPath !== undefined || options.createConnection !== undefined) return false;
  // An agent that goes through a proxy of the user's own.
  if (typeof agent === "object" && "proxy" in agent) return false;
  return options.method?.toUpperCase() !== "CONNECT";
}

export function hostOf(options: RequestOptions): string {
  return options.hostname ?? options.host ?? "localhost";
}

/** The same request in absolute-form (RFC 9112, 3.2.2), sent to the sidecar. */
function reroute(options: RequestOptions, sidecar: Outbound): RequestOptions {
  const rerouted: RequestOptions = { ...options, ...sidecar, hostname: sidecar.host };
  const authority = authorityOf(options);
  rerouted.path = `http://${authority}${options.path ?? "/"}`;
  if (options.setHost !== false) {
    rerouted.headers = withHost(options.headers, authority) as OutgoingHttpHeaders;
  }
  // These are about the way to the original host.
  delete rerouted.lookup;
  delete rerouted.family;
  delete rerouted.localAddress;
  return rerouted;
}

function authorityOf(options: RequestOptions): string {
  const host = hostOf(options);
  const name = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const port = Number(options.port ?? options.defaultPort ?? HTTP_PORT);
  return port === HTTP_PORT || port === 0 ? name : `${name}:${port}`;
}

/** Node would write the sidecar's name into `Host`; one that the app has set stays. */
function withHost(headers: unknown, authority: string): unknown {
  // Undici takes a `Headers`, a `Map` and the like; a copy of the object would have none of them.
  if (!Array.isArray(headers) && isIterable(headers)) {
    return withHost([...headers].flat(), authority);
  }
  if (!Array.isArray(headers)) {
    const named = { ...(headers as Readonly<Record<string, unknown>> | undefined) };
    return Object.keys(named).some(isHost) ? named : { ...named, Host: authority };
  }
  // Either name, value, name, value, …, or pairs.
  const list: readonly unknown[] = headers;
  const isPairs = Array.isArray(list[0]);
  const names = isPairs
    ? list.map((pair) => (pair as readonly unknown[])[0])
    : list.filter((_, index) => index % 2 === 0);
  if (names.some(isHost)) return headers;
  return isPairs ? [...list, ["Host", authority]] : [...list, "Host", authority];
}

function isHost(name: unknown): boolean {
  return typeof name === "string" && name.toLowerCase() === "host";
}

// === fetch

/** The part of undici's Dispatcher that fetch uses. */
interface Dispatcher {
  dispatch(options: DispatchOptions, handler: unknown): boolean;
}

interface DispatchOptions {
  readonly origin?: string | URL;
  readonly path: string;
  readonly headers?: unknown;
}

type Fetch = (input: unknown, init?: { readonly dispatcher?: unknown }) => Promise<unknown>;

/** Dispatchers of ours: what they send is on its way to the sidecar. */
const isRouted = new WeakSet<object>();

interface UndiciPackage {
  getGlobalDispatcher(): Dispatcher;
  setGlobalDispatcher(dispatcher: Dispatcher): void;
}

/** Its `request`, `stream`, `fetch` … use the global dispatcher unless the app gives another. */
function patchUndici(undici: UndiciPackage, sidecar: Outbound): void {
  const inner = undici.getGlobalDispatcher();
  if (!isRouted.has(inner)) undici.setGlobalDispatcher(routeThrough(sidecar, inner));
}

/** Only the connection is replaced: URL, redirects, decoding and abort stay fetch's own. */
function patchFetch(sidecar: Outbound): void {
  const scope = globalThis as unknown as { fetch: Fetch } & Record<symbol, Dispatcher | undefined>;
  const original = scope.fetch;
  let routed: { readonly inner: Dispatcher; readonly dispatcher: Dispatcher } | null = null;
  scope.fetch = function fetch(input, init) {
    const inner = scope[GLOBAL_DISPATCHER] ?? loadDispatcher(scope);
    const isOthers = inner === undefined || init?.dispatcher !== undefined;
    if (isOthers || isRouted.has(inner)) return original(input, init);
    if (routed?.inner !== inner) routed = { inner, dispatcher: routeThrough(sidecar, inner) };
    return original(input, { ...init, dispatcher: routed.dispatcher });
  };
}

/** Node loads its undici when one of these is first touched. */
function loadDispatcher(scope: Record<symbol, Dispatcher | undefined>): Dispatcher | undefined {
  return typeof Headers === "function" ? scope[GLOBAL_DISPATCHER] : undefined;
}

function routeThrough(sidecar: Outbound, inner: Dispatcher): Dispatcher {
  // A prototype, not a bare object: newer versions ask a dispatcher for more than dispatch.
  const dispatcher = Object.create(inner) as Dispatcher;
  isRouted.add(dispatcher);
  dispatcher.dispatch = (options, handler) =>
    inner.dispatch(rerouteDispatch(options, sidecar), handler);
  return dispatcher;
}

function rerouteDispatch(options: DispatchOptions, sidecar: Outbound): DispatchOptions {
  const target = new URL(String(options.origin));
  if (target.protocol !== "http:" || !isForSidecar(target.hostname)) return options;
  return {
    ...options,
    origin: `http://${sidecar.host}:${sidecar.port}`,
    path: `http://${target.host}${options.path}`,
    headers: withHost(options.headers, target.host),
  };
}
