//! Calls of fetch and undici: dispatched with the endpoint for their origin. One that could not be
//! reached has been sent nothing, so the call goes to the next.

import { current } from "../carry.ts";
import { GLOBAL_DISPATCHER, SEEN, originOf } from "../undici.ts";
import { lookupIn, withContext } from "./call-headers.ts";
import { triesOf } from "./dial.ts";
import type { DispatchCall } from "./direct.ts";
import { DEFAULT_PORTS } from "./http.ts";
import type { Hop, Hops } from "./hops.ts";

interface DispatchOptions {
  readonly origin?: string | URL;
  readonly method?: string;
  readonly headers?: unknown;
}

type Method = (...words: unknown[]) => unknown;
type Handler = Readonly<Record<string, Method | undefined>>;

/** What undici calls a handler by, in the versions 5 to 7. */
const HANDLER_METHODS: readonly string[] = [
  ...["onConnect", "onUpgrade", "onHeaders", "onResponseStarted", "onData", "onComplete"],
  ...["onBodySent", "onRequestSent", "onRequestStart", "onRequestUpgrade"],
  ...["onResponseStart", "onResponseData", "onResponseEnd"],
];

/** Null: the call is not for a service that is known. */
export function directDispatch(
  hops: Hops,
  dispatcher: object,
  call: { readonly options: object; readonly handler: unknown; readonly dispatch: DispatchCall },
): (() => boolean) | null {
  const options: DispatchOptions = call.options;
  const origin = originOf(dispatcher, options);
  if (origin === null || options.method === "CONNECT") return null;
  const { protocol, hostname } = origin;
  if (protocol !== "http:" && protocol !== "https:") return null;
  const port = origin.port === "" ? DEFAULT_PORTS[protocol] : Number(origin.port);
  const carried = current();
  const hop = hops.route(`${hostname}:${port}`, lookupIn(options.headers, carried));
  if (hop === null) return null;
  const handler = call.handler as Handler;
  if (hop.failure !== null) return failing(handler, hop.failure);
  const send = senderOf(dispatcher, call.dispatch);
  if (send === null) return null;
  const headers = withContext(options.headers, { carried, hop, host: origin.host });
  const sent = { ...options, headers, [SEEN]: true };
  return () =>
    trySending(hop, handler, (endpointHost, each) =>
      send({ ...sent, origin: `${protocol}//${endpointHost}` }, each),
    );
}

/** A pool or client has one origin for good, so its calls go by the dispatcher of fetch. */
function senderOf(dispatcher: object, dispatch: DispatchCall): DispatchCall | null {
  if (originOf(dispatcher, {}) === null) {
    return (options, handler) => Reflect.apply(dispatch, dispatcher, [options, handler]);
  }
  const scope = globalThis as unknown as Record<symbol, { dispatch: DispatchCall } | undefined>;
  const shared = scope[GLOBAL_DISPATCHER];
  if (shared === undefined || originOf(shared, {}) !== null) return null;
  return (options, handler) => shared.dispatch(options, handler);
}

function trySending(
  hop: Hop,
  handler: Handler,
  send: (endpointHost: string, handler: Handler) => boolean,
): boolean {
  const hosts = triesOf(hop).map(({ address, port }) =>
    address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`,
  );
  let next = 0;
  const sendNext = (): boolean => {
    const host = hosts[next] ?? "";
    next += 1;
    const isLast = next === hosts.length;
    return send(host, isLast ? handler : retrying(handler, sendNext));
  };
  return sendNext();
}

/** The same handler, but that a connection which was not made is followed by the next try. */
function retrying(handler: Handler, again: () => boolean): Handler {
  const made: Record<string, Method> = {};
  for (const name of HANDLER_METHODS) {
    if (typeof handler[name] !== "function") continue;
    made[name] = (...words) => handler[name]?.(...words);
  }
  for (const name of ["onError", "onResponseError"]) {
    if (typeof handler[name] !== "function") continue;
    made[name] = (...words) => {
      // The last word is the error, in every version.
      if (isNotConnected(words.at(-1))) return again();
      return handler[name]?.(...words);
    };
  }
  return made;
}

function isNotConnected(error: unknown): boolean {
  const { syscall, code, errors } = error as {
    readonly syscall?: string;
    readonly code?: string;
    readonly errors?: readonly unknown[];
  };
  if (syscall === "connect" || code === "UND_ERR_CONNECT_TIMEOUT") return true;
  return Array.isArray(errors) && errors.length > 0 && errors.every(isNotConnected);
}

function failing(handler: Handler, failure: Error): () => boolean {
  return () => {
    queueMicrotask(() => {
      if (handler["onError"] !== undefined) handler["onError"](failure);
      else handler["onResponseError"]?.(null, failure);
    });
    return true;
  };
}
