//! The requests that come to the app's servers: each is handled in a context of its own.

import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { bindEmitter, pick, quietly, runWith } from "./carry.ts";
import type { Carried, CarrySettings } from "./carry.ts";

type Emit = (this: unknown, event: string | symbol, ...words: unknown[]) => boolean;
type HeaderMap = Readonly<Record<string, unknown>>;

/** Events of an HTTP/1.1 server that begin an exchange: (request, response or socket, …). */
const REQUEST_EVENTS: ReadonlySet<unknown> = new Set([
  "request",
  "checkContinue",
  "checkExpectation",
  "upgrade",
]);

export function patchServers(settings: CarrySettings): void {
  const serve = (event: unknown, words: readonly unknown[]): Carried | null =>
    beginExchange(event, words, settings);
  quietly(() => {
    patchEmit(http.Server.prototype, serve);
  });
  quietly(() => {
    patchEmit(https.Server.prototype, serve);
  });
  // The classes are not exported; a server that never listens costs nothing.
  quietly(() => {
    patchEmit(Object.getPrototypeOf(http2.createServer()) as object, serve);
  });
  quietly(() => {
    patchEmit(Object.getPrototypeOf(http2.createSecureServer()) as object, serve);
  });
}

function patchEmit(
  prototype: object,
  serve: (event: unknown, words: readonly unknown[]) => Carried | null,
): void {
  const emit = Reflect.get(prototype, "emit") as Emit;
  Object.defineProperty(prototype, "emit", {
    configurable: true,
    writable: true,
    enumerable: false,
    value: function (this: unknown, event: string | symbol, ...words: unknown[]): boolean {
      const carried = serve(event, words);
      if (carried === null) return Reflect.apply(emit, this, [event, ...words]);
      return runWith(carried, () => Reflect.apply(emit, this, [event, ...words]));
    },
  });
}

/** The context of the exchange that the event begins; null for every other event. */
function beginExchange(
  event: unknown,
  words: readonly unknown[],
  settings: CarrySettings,
): Carried | null {
  try {
    if (event === "stream") return beginStream(words, settings);
    if (!REQUEST_EVENTS.has(event)) return null;
    const [request, response] = words as [http.IncomingMessage, object];
    // One of HTTP/2 is within its stream's event.
    if (request.httpVersionMajor !== 1) return null;
    const carried = pick(request.headers, settings);
    if (carried.length > 0) {
      bindEmitter(request, carried);
      bindEmitter(response, carried);
    }
    return carried;
  } catch {
    return null;
  }
}

function beginStream([stream, headers]: readonly unknown[], settings: CarrySettings): Carried {
  const carried = pick(headers as HeaderMap, settings);
  if (carried.length > 0) bindEmitter(stream as object, carried);
  return carried;
}
