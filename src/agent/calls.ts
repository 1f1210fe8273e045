//! The calls that the app makes: the context's headers are set on them where the app has not.
//!
//! http and https through their module, HTTP/2 through its sessions. Undici and gRPC have files of
//! their own.

import http from "node:http";
import type { ClientRequest } from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { syncBuiltinESMExports } from "node:module";
import { NOTHING, attempt, bindEmitter, current, mayCarryTo, quietly } from "./carry.ts";
import type { CarrySettings } from "./carry.ts";

type Call = (...words: unknown[]) => ClientRequest;

export function patchCalls(settings: CarrySettings): void {
  quietly(() => {
    patchModule(http, "http:", settings);
  });
  quietly(() => {
    patchModule(https, "https:", settings);
  });
  quietly(() => {
    patchHttp2(settings);
  });
  syncBuiltinESMExports();
}

// === http, https

function patchModule(module: object, protocol: "http:" | "https:", settings: CarrySettings): void {
  const call = Reflect.get(module, "request") as Call;
  const { direct } = settings;
  const request: Call = (...words) => {
    const directed = direct === null ? null : attempt(() => direct.request(protocol, words));
    // It has the context's headers.
    if (directed !== null) return call(...directed);
    const sent = call(...words);
    quietly(() => {
      setHeaders(sent, settings);
    });
    return sent;
  };
  const get: Call = (...words) => {
    const sent = request(...words);
    sent.end();
    return sent;
  };
  Object.assign(module, { request, get });
}

function setHeaders(sent: ClientRequest, settings: CarrySettings): void {
  const carried = current();
  // Given as a list the headers are written at once; then it is the app's own affair.
  if (carried.length === 0 || sent.headersSent || !mayCarryTo(sent.host, settings)) return;
  for (const [name, value] of carried) if (!sent.hasHeader(name)) sent.setHeader(name, value);
}

// === http2

type OutgoingHeaders = Readonly<Record<string | symbol, unknown>>;
type SessionRequest = (this: unknown, headers?: unknown, options?: unknown) => unknown;

/** Where a session goes: it does not say so itself until it is connected. */
const hosts = new WeakMap<object, string>();

function patchHttp2(settings: CarrySettings): void {
  const connect = Reflect.get(http2, "connect") as (...words: unknown[]) => object;
  let isPatched = false;
  const patched = (...words: unknown[]): object => {
    const { direct } = settings;
    const directed = direct === null ? null : attempt(() => direct.connect(connect, words));
    const session = directed ?? connect(...words);
    quietly(() => {
      const url = new URL(String(words[0]));
      hosts.set(session, url.hostname);
    });
    if (!isPatched) {
      isPatched = true;
      quietly(() => {
        patchSession(Object.getPrototypeOf(session) as object, settings);
      });
    }
    return session;
  };
  Object.assign(http2, { connect: patched });
}

function patchSession(prototype: object, settings: CarrySettings): void {
  const request = Reflect.get(prototype, "request") as SessionRequest;
  Object.defineProperty(prototype, "request", {
    configurable: true,
    writable: true,
    value: function (this: unknown, headers?: unknown, options?: unknown): unknown {
      const { direct } = settings;
      const own = this as object;
      const directed = direct === null ? null : attempt(() => direct.stream(own, headers));
      const sent = directed ?? {
        session: own,
        headers: attempt(() => withCarried(own, headers, settings)) ?? headers,
      };
      const stream = Reflect.apply(request, sent.session, [sent.headers, options]) as object;
      quietly(() => {
        // Node emits its events in the context of who has made the session.
        bindEmitter(stream, isGrpc(headers) ? NOTHING : current());
      });
      return stream;
    },
  });
}

function withCarried(session: object, headers: unknown, settings: CarrySettings): unknown {
  const carried = current();
  // A list of fields, as newer versions take it, stays as the app has made it.
  if (carried.length === 0 || Array.isArray(headers)) return headers;
  const own = (headers ?? {}) as OutgoingHeaders;
  const names = Object.keys(own).map((name) => name.toLowerCase());
  if (isGrpc(own)) return headers;
  if (!mayCarryTo(hostOf(session, own), settings)) return headers;
  const missing = carried.filter(([name]) => !names.includes(name));
  return { ...own, ...Object.fromEntries(missing) };
}

/** Such a call waits for its connection, and may leave in the context of another's request. */
function isGrpc(headers: unknown): boolean {
  const type = (headers as OutgoingHeaders | undefined)?.["content-type"];
  return typeof type === "string" && type.startsWith("application/grpc");
}

function hostOf(session: object, headers: OutgoingHeaders): string {
  const authority = headers[":authority"];
  if (typeof authority === "string") return authority.replace(/:\d+$/, "");
  return hosts.get(session) ?? "";
}
