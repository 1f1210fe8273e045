//! The calls that the app makes: the context's headers are set on them where the app has not.
//!
//! http and https through their module, HTTP/2 through its sessions. Undici and gRPC have files of
//! their own.

import http from "node:http";
import type { ClientRequest } from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { syncBuiltinESMExports } from "node:module";
import { current, mayCarryTo, quietly } from "./carry.ts";
import type { CarrySettings } from "./carry.ts";

type Call = (...words: unknown[]) => ClientRequest;

export function patchCalls(settings: CarrySettings): void {
  quietly(() => {
    patchModule(http, settings);
  });
  quietly(() => {
    patchModule(https, settings);
  });
  quietly(() => {
    patchHttp2(settings);
  });
  syncBuiltinESMExports();
}

// === http, https

function patchModule(module: object, settings: CarrySettings): void {
  const call = Reflect.get(module, "request") as Call;
  const request: Call = (...words) => {
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

function patchHttp2(settings: CarrySettings): void {
  const connect = Reflect.get(http2, "connect") as (...words: unknown[]) => object;
  let isPatched = false;
  const patched = (...words: unknown[]): object => {
    const session = connect(...words);
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
      let sent = headers;
      quietly(() => {
        sent = withCarried(this as http2.ClientHttp2Session, headers, settings);
      });
      return Reflect.apply(request, this, [sent, options]);
    },
  });
}

function withCarried(
  session: http2.ClientHttp2Session,
  headers: unknown,
  settings: CarrySettings,
): unknown {
  const carried = current();
  // A list of fields, as newer versions take it, stays as the app has made it.
  if (carried.length === 0 || Array.isArray(headers)) return headers;
  const own = (headers ?? {}) as OutgoingHeaders;
  const names = Object.keys(own).map((name) => name.toLowerCase());
  // A gRPC call waits for its connection, and may leave in the context of another one's request.
  const type = own["content-type"];
  if (typeof type === "string" && type.startsWith("application/grpc")) return headers;
  if (!mayCarryTo(hostOf(session, own), settings)) return headers;
  const missing = carried.filter(([name]) => !names.includes(name));
  return { ...own, ...Object.fromEntries(missing) };
}

function hostOf(session: http2.ClientHttp2Session, headers: OutgoingHeaders): string {
  const authority = headers[":authority"] ?? session.originSet?.[0]?.replace(/^\w+:\/\//, "");
  const remote = session.socket.remoteAddress;
  const name = typeof authority === "string" ? authority.replace(/:\d+$/, "") : remote;
  return name ?? "";
}
