//! The HTTP server of the API: listens on this machine only, guards, routes, answers, closes.

import { constants } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import {
  createServer as createPort,
  type AddressInfo,
  type Server as PortServer,
  type Socket,
} from "node:net";
import type { Clock } from "../base/clock.ts";
import { askOf } from "./access/attributes.ts";
import { authenticate, forbidden, impersonated } from "./access/authenticate.ts";
import { authorize } from "./access/rbac.ts";
import { ANONYMOUS, type User } from "./access/user.ts";
import { AuditedRequest } from "./audit.ts";
import type { Call } from "./call.ts";
import type { Certificate } from "./certificate.ts";
import { sendJson } from "./call.ts";
import type { ServerDependencies } from "./dependencies.ts";
import { checkOrigin, isLoopback } from "./guard.ts";
import { fileFault } from "../resources/parse.ts";
import type { Fault } from "../resources/fault.ts";
import { ListTurns } from "./list-turns.ts";
import { matchRoute, type RouteMatch, type Verb } from "./routes.ts";
import { failure, notFound, refuse, StatusError } from "./status.ts";
import { StreamSet } from "./watch-stream.ts";
import { handOn, WriteHold } from "./write-hold.ts";

export interface ListenOptions {
  /** A loopback address or `localhost`. */
  readonly host: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** With it the same port speaks TLS, too: kubectl sends its token in no other way. */
  readonly certificate?: Certificate;
  /** Of a socket that listens already; absent: one is opened. */
  readonly handle?: object;
}

export interface ApiServer {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** What it accepts with. */
  readonly handle: object | null;
  /** Reads are answered; writes wait for `release`, or for `handOn`. */
  holdWrites(): void;
  releaseWrites(): void;
  /** Another process accepts at the same port: as `close`, and it gets what still comes here. */
  handOn(): Promise<void>;
  /** Ends the watches, lets requests under way finish for a while, then cuts them. */
  close(): Promise<void>;
}

/** The API cannot listen where it was told to; the fault says what to do. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly fault: Fault;

  constructor(fault: Fault, cause?: unknown) {
    super(`${fault.code}: ${fault.message}. ${fault.remedy}`, { cause });
    this.fault = fault;
  }
}

const HEADER_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 2_000;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
/**
 * An idle connection stays open for so long. Node's 5 s are so short that a busy client sends a
 * write on a connection that is being closed, and cannot know whether it was done.
 */
const IDLE_TIMEOUT_MS = 60_000;
const CLOSE_GRACE_MS = 5_000;
/** Node closes connections that were idle for 5 s, and says so in each answer. */
const PATIENT_CLOSE_MS = 60_000;

/** Rejects with `ListenError`. */
export async function startApiServer(
  dependencies: ServerDependencies,
  options: ListenOptions,
): Promise<ApiServer> {
  if (!isLoopback(options.host)) throw new ListenError(notLoopback(options.host));
  const streams = new StreamSet();
  const closing = new AbortController();
  const hold = new WriteHold();
  const lists = new ListTurns(dependencies.clock);
  const around = { dependencies, streams, lists, hold, closing: closing.signal };
  const servers = serversOf(around, options.certificate);
  const port = createPort((socket) => {
    assign(socket, servers, dependencies.clock);
  });
  port.maxConnections = CONNECTIONS_MAX;
  await listen(port, options);
  const { port: number } = port.address() as AddressInfo;
  const host = options.host.includes(":") ? `[${options.host}]` : options.host;
  const end = (): void => {
    closing.abort();
    streams.endAll();
  };
  return {
    host: options.host,
    port: number,
    url: `http://${host}:${number}`,
    handle: handleOf(port),
    holdWrites: () => {
      hold.hold();
    },
    releaseWrites: () => {
      hold.end(null);
    },
    handOn: () => {
      const closed = closeAll(port, servers, {
        ...{ clock: dependencies.clock, graceMs: PATIENT_CLOSE_MS, keepsIdle: true },
      });
      hold.end({ host: options.host, port: number });
      end();
      return closed;
    },
    close: () => {
      hold.end(null);
      end();
      return closeAll(port, servers, {
        ...{ clock: dependencies.clock, graceMs: CLOSE_GRACE_MS, keepsIdle: false },
      });
    },
  };
}

/** Neither listens: connections are handed to them. */
interface Servers {
  readonly plain: Server;
  readonly tls: Server | null;
}

const TLS = { minVersion: "TLSv1.2" } as const;
/**
 * A client is asked for a certificate, and may have none. The handshake judges none: each request
 * does. A resumed session would not tell the certificates between it and an authority.
 */
const ASKING = {
  ...{ requestCert: true, rejectUnauthorized: false },
  ca: [] as string[],
  secureOptions: constants.SSL_OP_NO_TICKET,
};

function serversOf(around: Surroundings, certificate: Certificate | undefined): Servers {
  const limits = {
    maxHeaderSize: HEADER_BYTES_MAX,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    void handle(around, request, response);
  };
  const plain = createServer(limits, listener);
  const asking = around.dependencies.certificates === undefined ? {} : ASKING;
  const tls =
    certificate === undefined
      ? null
      : createTlsServer({ ...limits, ...certificate, ...TLS, ...asking }, listener);
  // Node's servers watch over their connections' time limits only when they are told this.
  plain.emit("listening");
  tls?.emit("listening");
  return { plain, tls };
}

/** The first byte of a TLS handshake record (RFC 8446 section 5.1); no HTTP method begins so. */
const TLS_HANDSHAKE = 0x16;

function assign(socket: Socket, { plain, tls }: Servers, clock: Clock): void {
  const timer = clock.after(HEADERS_TIMEOUT_MS, () => socket.destroy(), { unref: true });
  socket.on("error", () => socket.destroy());
  socket.once("close", () => {
    timer.cancel();
  });
  socket.once("readable", () => {
    timer.cancel();
    const first = socket.read() as Buffer | null;
    if (first === null) return;
    socket.unshift(first);
    const server = tls !== null && first[0] === TLS_HANDSHAKE ? tls : plain;
    server.emit("connection", socket);
  });
}

interface Surroundings {
  readonly dependencies: ServerDependencies;
  readonly streams: StreamSet;
  readonly lists: ListTurns;
  readonly hold: WriteHold;
  readonly closing: AbortSignal;
}

/** Said by each request at its end: an error made for it would cost more than a refusal. */
const GONE = new Error("the client has gone, or was answered");

async function handle(
  around: Surroundings,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { dependencies, streams, lists, hold } = around;
  const elsewhere = await hold.admit(request);
  if (elsewhere !== null) {
    handOn(elsewhere, request, response);
    return;
  }
  const gone = new AbortController();
  response.once("close", () => {
    gone.abort(GONE);
  });
  const signal = AbortSignal.any([gone.signal, around.closing]);
  const url = urlOf(request);
  const query = url?.searchParams ?? new URLSearchParams();
  const { audit: log, clock } = dependencies;
  const audited = log === undefined ? null : new AuditedRequest({ log, clock }, request, response);
  const { method = "" } = request;
  const match = url === null ? null : matchRoute(url.pathname);
  const ask = askOf({ method, pathname: url?.pathname ?? "", query });
  const call: Call = {
    ...{ dependencies, request, response, query, signal, streams, lists, ask, audited },
    ...{ parameters: match?.parameters ?? NO_PARAMETERS, user: ANONYMOUS },
  };
  try {
    await dispatch(call, match);
  } catch (error) {
    answerError(call, error);
  }
}

const NO_PARAMETERS: Call["parameters"] = new Map();

async function dispatch(call: Call, match: RouteMatch | null): Promise<void> {
  const { request, ask, audited } = call;
  const isOpen = match?.route.isOpen === true;
  audited?.asked(ask, { isOpen });
  checkOrigin(request);
  const admitted = isOpen ? call : { ...call, user: admit(call) };
  if (match === null) {
    throw notFound(`the path ${ask.kind === "path" && ask.path !== "" ? ask.path : "asked for"}`);
  }
  const handler = match.route.verbs[request.method as Verb];
  if (handler === undefined) {
    const allowed = Object.keys(match.route.verbs).join(", ");
    call.response.setHeader("allow", allowed);
    const message = `${request.method ?? ""} is not served here; served: ${allowed}`;
    throw refuse(405, "MethodNotAllowed", message);
  }
  await handler(admitted);
}

/** Who asks, or in whose name; throws 401, and 403 for who may not do what is asked. */
function admit({ request, dependencies, ask, audited }: Call): User {
  const { store } = dependencies;
  const own = authenticate(request, dependencies);
  audited?.admitted(own, null);
  const other = impersonated(request, own, store);
  audited?.admitted(own, other);
  const user = other ?? own;
  const decision = authorize(store, user, ask);
  audited?.decided(decision);
  if (!decision.isAllowed) throw forbidden(user, ask, decision);
  return user;
}

function answerError(call: Call, error: unknown): void {
  const { response, request, dependencies } = call;
  if (response.headersSent || response.destroyed) {
    // A stream has begun: there is no other way left to say that it is not whole.
    response.destroy();
    void call.audited?.answering(error instanceof StatusError ? error.status.code : 500);
    if (!call.signal.aborted) {
      dependencies.logger.error("an answer broke off", { path: request.url, error });
    }
    return;
  }
  const status = error instanceof StatusError ? error.status : internal(call, error);
  if (status.code === 401) response.setHeader("www-authenticate", "Bearer");
  const retryAfter = status.details?.retryAfterSeconds;
  if (retryAfter !== undefined) response.setHeader("retry-after", String(retryAfter));
  // What is left of the body would be read as the next request.
  if (!request.complete) response.setHeader("connection", "close");
  sendJson(call, status.code, status);
}

function internal(call: Call, error: unknown): StatusError["status"] {
  const { request, dependencies } = call;
  dependencies.logger.error("a request failed", { path: request.url, error });
  const text = error instanceof Error ? error.message : String(error);
  return failure(500, "InternalError", `the request failed inside Graylane: ${text}`);
}

function urlOf(request: IncomingMessage): URL | null {
  const target = request.url ?? "/";
  // Only the origin form: a target with an authority of its own is not for us.
  if (!target.startsWith("/") || target.startsWith("//")) return null;
  return URL.canParse(target, "http://localhost") ? new URL(target, "http://localhost") : null;
}

function listen(server: PortServer, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      reject(new ListenError(listenFault(options, error), error));
    };
    server.once("error", fail);
    const done = (): void => {
      server.off("error", fail);
      resolve();
    };
    if (options.handle !== undefined) server.listen(options.handle, done);
    else server.listen({ host: options.host, port: options.port, exclusive: true }, done);
  });
}

function handleOf(server: PortServer): object | null {
  const handle: unknown = Reflect.get(server, "_handle");
  return typeof handle === "object" ? handle : null;
}

function notLoopback(host: string): Fault {
  const message = `the API may listen only on this machine, not on ${host}`;
  return fileFault("GL0611", message, null, "Choose 127.0.0.1:PORT or localhost:PORT with --api.");
}

function listenFault({ host, port }: ListenOptions, error: NodeJS.ErrnoException): Fault {
  const where = `${host}:${port}`;
  const why = error.code === "EADDRINUSE" ? "another process listens there" : error.message;
  const message = `the Graylane API cannot listen on ${where}: ${why}`;
  return fileFault("GL0610", message, null, "Choose another address with --api HOST:PORT.");
}

interface Closing {
  /** What still runs then is cut off. */
  readonly graceMs: number;
  /** Idle connections may be asked once more: what is sent as one is closed would be lost. */
  readonly keepsIdle: boolean;
}

/** Resolves when nothing is connected any more. */
function closeAll(
  port: PortServer,
  { plain, tls }: Servers,
  { clock, graceMs, keepsIdle }: Closing & Pick<ServerDependencies, "clock">,
): Promise<void> {
  const servers = tls === null ? [plain] : [plain, tls];
  return new Promise((resolve) => {
    const cut = clock.after(graceMs, () => {
      for (const server of servers) server.closeAllConnections();
    });
    port.close(() => {
      cut.cancel();
      for (const server of servers) server.close();
      resolve();
    });
    if (keepsIdle) return;
    for (const server of servers) {
      server.close();
      server.closeIdleConnections();
    }
  });
}
