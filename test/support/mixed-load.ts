//! Clients beside the open-loop one of HTTP/1.1: streams of HTTP/2 and WebSockets, at a fixed rate
//! whatever the answers do, never tried again; and the upstream that echoes for them.

import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket, WebSocketServer } from "ws";

const LOST_MS = 30_000;
const RECONNECT_MS = 50;

export interface Echo {
  readonly port: number;
  /** Requests that came, without WebSockets. */
  readonly requestCount: number;
  close(): void;
}

/** Answers a request with its body, and a message of a WebSocket with itself. */
export async function startEcho(): Promise<Echo> {
  let requestCount = 0;
  const server = createServer((request, response) => {
    requestCount += 1;
    const length = request.headers["content-length"] ?? "0";
    response.writeHead(200, { "content-length": length });
    request.pipe(response);
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => {
    socket.on("error", () => undefined);
    socket.on("message", (data) => {
      socket.send(data);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get requestCount() {
      return requestCount;
    },
    close: () => {
      for (const socket of sockets.clients) socket.terminate();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A stream every so often on one session, and a new session when that has ended. */
export class Http2Load {
  sent = 0;
  right = 0;
  /**
   * Streams that were refused, and sent again as any client may (RFC 9113 section 8.7). Most have never
   * left: Node's client refuses by itself what it has not written when it reads a GOAWAY.
   */
  again = 0;
  readonly wrong: string[] = [];
  readonly #origin: string;
  readonly #timer: NodeJS.Timeout;
  #session: ClientHttp2Session | null = null;

  /** Over TLS with whatever certificate the server has, where `isSecure`. */
  constructor(port: number, everyMs: number, isSecure = false) {
    this.#origin = `${isSecure ? "https" : "http"}://127.0.0.1:${port}`;
    this.#timer = setInterval(() => void this.#send(), everyMs);
  }

  get underWay(): number {
    return this.sent - this.right - this.wrong.length;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    for (let waitedMs = 0; this.underWay > 0 && waitedMs < LOST_MS; waitedMs += 10) await sleep(10);
    this.#session?.destroy();
  }

  async #send(): Promise<void> {
    this.sent += 1;
    let wrong = await this.#ask();
    if (wrong.includes("NGHTTP2_REFUSED_STREAM")) {
      this.again += 1;
      wrong = await this.#ask();
    }
    if (wrong === "") this.right += 1;
    else this.wrong.push(wrong);
  }

  async #ask(): Promise<string> {
    let session = this.#session;
    if (session === null || session.closed || session.destroyed) {
      session = connect(this.#origin, { rejectUnauthorized: false });
      session.on("error", () => undefined);
      this.#session = session;
    }
    try {
      const stream = session.request({ ":path": "/", ":authority": "web" });
      let [status, hasEnded] = ["none", false];
      stream.on("response", (headers) => (status = String(headers[":status"])));
      stream.on("end", () => (hasEnded = true));
      stream.resume();
      // A stream whose session ends has neither an end nor, with CANCEL, an error.
      await once(stream, "close");
      return hasEnded && status === "200" ? "" : `status ${status}, ended: ${String(hasEnded)}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

/** One WebSocket that sends a number every so often; each must come back, in order. */
export class WebSocketLoad {
  sent = 0;
  right = 0;
  /** Messages that were out when their connection ended. */
  lost = 0;
  /** Times that a connection ended, or could not be made. */
  ends = 0;
  readonly wrong: string[] = [];
  readonly #url: string;
  readonly #everyMs: number;
  #socket: WebSocket | null = null;
  #isStopping = false;

  constructor(port: number, everyMs: number) {
    this.#url = `ws://127.0.0.1:${port}/echo`;
    this.#everyMs = everyMs;
    this.#open();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const isDone = (): boolean => this.sent === this.right + this.lost + this.wrong.length;
    for (let waitedMs = 0; !isDone() && waitedMs < LOST_MS; waitedMs += 10) await sleep(10);
    this.#socket?.terminate();
  }

  #open(): void {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    const out: string[] = [];
    const timer = setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN || this.#isStopping) return;
      this.sent += 1;
      out.push(String(this.sent));
      socket.send(String(this.sent));
    }, this.#everyMs);
    socket.on("error", () => undefined);
    socket.on("message", (data: Buffer) => {
      const [want, got] = [out.shift(), data.toString()];
      if (got === want) this.right += 1;
      else this.wrong.push(`${got}, not ${want ?? "any"}`);
    });
    socket.on("close", () => {
      clearInterval(timer);
      this.lost += out.length;
      if (this.#isStopping) return;
      this.ends += 1;
      setTimeout(() => {
        if (!this.#isStopping) this.#open();
      }, RECONNECT_MS);
    });
  }
}
