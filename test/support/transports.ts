//! One client for each way in which a gateway is spoken to: HTTP/1.1 and HTTP/2, plain and in TLS.

import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { Agent as TlsAgent, request as requestTls } from "node:https";
import type { TLSSocket } from "node:tls";
import { A_TEST, CA } from "../../src/dataplane/testing/certificates.ts";
import type { TlsServer } from "../../src/snapshot/tls.ts";

export interface Answer {
  readonly status: number;
  readonly good: string;
  readonly body: string;
}

export interface Client {
  /** A POST has a body. */
  send(method: "GET" | "POST"): Promise<Answer>;
  close(): void;
}

export interface Transport {
  readonly name: string;
  readonly isTls: boolean;
  readonly open: (port: number) => Promise<Client>;
}

/** Of a listener that these clients trust. */
export const TEST_TLS: TlsServer = {
  ...{ hosts: ["a.test"], ...A_TEST, clientCa: "" },
  ...{ minVersion: "TLSv1.2", maxVersion: "TLSv1.3" },
};
const TRUST = { ca: CA.certificate, servername: "a.test" };
const CONTENT = "some content";
/** Fewer than a gateway lets one connection have at once. */
const STREAMS_PER_SESSION = 50;

class Http1Client implements Client {
  readonly #agent: Agent;
  readonly #port: number;
  readonly #isTls: boolean;

  constructor(port: number, isTls: boolean) {
    this.#port = port;
    this.#isTls = isTls;
    const options = { maxSockets: Infinity, keepAlive: true };
    this.#agent = isTls ? new TlsAgent({ ...options, ...TRUST }) : new Agent(options);
  }

  send(method: "GET" | "POST"): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options = { port: this.#port, method, agent: this.#agent, host: "127.0.0.1" };
      const ask = this.#isTls ? requestTls : request;
      const outgoing = ask({ ...options, headers: { host: "a.test" } }, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (text: string) => {
          body += text;
        });
        response.on("end", () => {
          const good = String(response.headers["x-good"]);
          resolve({ status: response.statusCode ?? 0, good, body });
        });
        response.on("error", reject);
      });
      outgoing.on("error", reject);
      outgoing.end(method === "POST" ? CONTENT : undefined);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Opens another connection when the ones it has are full. */
class Http2Client implements Client {
  readonly #sessions: { readonly session: ClientHttp2Session; streamCount: number }[] = [];
  readonly #connect: () => ClientHttp2Session;

  constructor(connect: () => ClientHttp2Session) {
    this.#connect = connect;
  }

  send(method: "GET" | "POST"): Promise<Answer> {
    const place = this.#place();
    place.streamCount += 1;
    const answered = new Promise<Answer>((resolve, reject) => {
      place.session.on("error", reject);
      const head = { ":method": method, ":path": "/", ":authority": "a.test" };
      const stream = place.session.request(head, { endStream: method === "GET" });
      let [status, good, body] = [0, "", ""];
      stream.setEncoding("utf8");
      stream.on("response", (headers) => {
        status = Number(headers[":status"]);
        good = String(headers["x-good"]);
      });
      stream.on("data", (text: string) => {
        body += text;
      });
      stream.on("error", reject);
      stream.on("end", () => {
        place.session.off("error", reject);
        resolve({ status, good, body });
      });
      if (method === "POST") stream.end(CONTENT);
    });
    return answered.finally(() => {
      place.streamCount -= 1;
    });
  }

  close(): void {
    for (const { session } of this.#sessions) session.destroy();
  }

  #place(): { readonly session: ClientHttp2Session; streamCount: number } {
    const free = this.#sessions.find(({ streamCount }) => streamCount < STREAMS_PER_SESSION);
    if (free !== undefined) return free;
    const session = this.#connect();
    // One listener for each of its streams.
    session.setMaxListeners(STREAMS_PER_SESSION + 10);
    const place = { session, streamCount: 0 };
    this.#sessions.push(place);
    return place;
  }
}

async function openTlsHttp2(port: number): Promise<Client> {
  const connect = (): ClientHttp2Session =>
    connectHttp2(`https://127.0.0.1:${port}`, { ...TRUST, ALPNProtocols: ["h2"] });
  const probe = connect();
  await once(probe, "connect");
  const { alpnProtocol } = probe.socket as TLSSocket;
  probe.destroy();
  if (alpnProtocol !== "h2") throw new Error(`the gateway chose ${String(alpnProtocol)}`);
  return new Http2Client(connect);
}

export const TRANSPORTS: readonly Transport[] = [
  {
    name: "HTTP/1.1",
    isTls: false,
    open: (port) => Promise.resolve(new Http1Client(port, false)),
  },
  {
    name: "HTTP/2",
    isTls: false,
    open: (port) =>
      Promise.resolve(new Http2Client(() => connectHttp2(`http://127.0.0.1:${port}`))),
  },
  {
    name: "HTTP/1.1 in TLS",
    isTls: true,
    open: (port) => Promise.resolve(new Http1Client(port, true)),
  },
  { name: "HTTP/2 in TLS", isTls: true, open: openTlsHttp2 },
];
