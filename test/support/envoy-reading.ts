//! What real Envoy reads of a byte stream: which requests reach the upstream behind it. A header
//! that Envoy adds tells from which connection each came, so many streams are sent at once.

import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { freePort } from "../../src/base/testing/free-port.ts";
import { RequestParser } from "../../src/http/request-parser.ts";
import type { RequestHead } from "../../src/http/request-parser.ts";
import { ANSWERED_ITSELF } from "../fuzz/http-differential.ts";
import type { KnownDifference, Reading, Seen } from "../fuzz/http-differential.ts";
import { Envoy, httpListener, socketAddress } from "./envoy.ts";

const PORT_HEADER = "x-client-port";
const ANSWER = "HTTP/1.1 200 OK\r\nx-upstream: 1\r\ncontent-length: 0\r\n\r\n";

/** Of one hop, or Envoy's own. */
const NOT_COMPARED =
  /^(connection|keep-alive|proxy-connection|te|upgrade|transfer-encoding|content-length|host|expect|x-forwarded-\w+|x-request-id|x-envoy-.*|x-client-port): ?/;

/** What is left of a message when a proxy has passed it on. */
export function endToEnd(message: Seen): Seen {
  const named = message.fields
    .filter((line) => line.startsWith("connection: "))
    .flatMap((line) => line.slice("connection: ".length).split(","))
    .map((token) => `${token.trim().toLowerCase()}: `);
  const kept = message.fields.filter(
    (line) => !NOT_COMPARED.test(line) && !named.some((start) => line.startsWith(start)),
  );
  return { ...message, fields: joined(kept), trailers: joined(message.trailers) };
}

/** Lines of one name as one, which is the same (RFC 9110 5.3), and in the order of the names. */
function joined(lines: readonly string[]): string[] {
  const byName = new Map<string, string>();
  for (const line of lines) {
    const at = line.indexOf(": ");
    const [name, value] = [line.slice(0, at), line.slice(at + 2)];
    const before = byName.get(name);
    const between = name === "cookie" ? "; " : ",";
    byName.set(name, before === undefined ? value : `${before}${between}${value}`);
  }
  return [...byName].map(([name, value]) => `${name}: ${value}`).sort();
}

export function withoutHops(reading: Reading): Reading {
  const { messages, open } = reading;
  return { ...reading, messages: messages.map(endToEnd), open: open && endToEnd(open) };
}

export class EnvoyReader {
  readonly #envoy: Envoy;
  readonly #port: number;
  readonly #upstream: Server;
  readonly #byClient: Map<string, Seen[]>;

  private constructor(parts: {
    readonly envoy: Envoy;
    readonly port: number;
    readonly upstream: Server;
    readonly byClient: Map<string, Seen[]>;
  }) {
    this.#envoy = parts.envoy;
    this.#port = parts.port;
    this.#upstream = parts.upstream;
    this.#byClient = parts.byClient;
  }

  static async start(binary: string): Promise<EnvoyReader> {
    const byClient = new Map<string, Seen[]>();
    const upstream = createServer((socket) => {
      keepRequests(socket, byClient);
    });
    upstream.listen(0, "127.0.0.1");
    await once(upstream, "listening");
    const port = await freePort();
    const { port: upstreamPort } = upstream.address() as AddressInfo;
    const envoy = await Envoy.start({ binary, staticResources: resources(port, upstreamPort) });
    return new EnvoyReader({ envoy, port, upstream, byClient });
  }

  /** Done when Envoy has closed, or has said nothing for `quietMs`. */
  async read(raw: string, quietMs: number): Promise<Reading> {
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    socket.on("error", () => undefined);
    await Promise.race([once(socket, "connect"), once(socket, "close")]);
    const client = String(socket.localPort);
    const messages: Seen[] = [];
    this.#byClient.set(client, messages);
    const answer = await exchange(socket, raw, quietMs);
    this.#byClient.delete(client);
    return readingOf(answer, messages);
  }

  async stop(): Promise<void> {
    await this.#envoy.stop();
    this.#upstream.close();
  }
}

/** Answers of Envoy's own to a request that it took: no route, no such upgrade, a lost upstream. */
const TAKEN = new Set(["403", "404", "503"]);

/** Puts what the upstream got and what Envoy answered by itself in the order of the answers. */
function readingOf(answer: string, forwarded: readonly Seen[]): Reading {
  const messages: Seen[] = [];
  const faults: string[] = [];
  const left = [...forwarded];
  for (const [head, status = ""] of answer.matchAll(/HTTP\/1\.[01] ([2-5]\d\d).*?\r\n\r\n/gs)) {
    if (head.includes("x-upstream: 1")) messages.push(left.shift() ?? ANSWERED_ITSELF);
    else if (TAKEN.has(status)) messages.push(ANSWERED_ITSELF);
    else faults.push(status);
  }
  // An upgrade that it refuses, or a body behind its own answer: it may read no more.
  const isClosed = messages.includes(ANSWERED_ITSELF);
  return { messages: [...messages, ...left], open: null, fault: faults.join(), isClosed };
}

function exchange(socket: Socket, raw: string, quietMs: number): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const end = (): void => void socket.destroy();
    let timer = setTimeout(end, quietMs);
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      answer += text;
      clearTimeout(timer);
      timer = setTimeout(end, quietMs);
    });
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(answer);
    });
    socket.write(raw, "latin1");
  });
}

function keepRequests(socket: Socket, byClient: ReadonlyMap<string, Seen[]>): void {
  let [body, head]: [string, RequestHead | null] = ["", null];
  const sink = {
    onRequestHead: (one: RequestHead) => {
      [head, body] = [one, ""];
    },
    onRequestBody: (chunk: Buffer) => {
      body += chunk.toString("latin1");
    },
    onRequestEnd: (trailers: RequestHead["headers"] | null) => {
      if (head === null) return;
      const { method, target, authority, headers } = head;
      const linesOf = (of: RequestHead["headers"] | null): string[] =>
        of?.names.map((name, at) => `${name}: ${of.values[at] ?? ""}`) ?? [];
      const message = { method, target, authority, body };
      const seen = { ...message, fields: linesOf(headers), trailers: linesOf(trailers) };
      byClient.get(headers.get(PORT_HEADER) ?? "")?.push(endToEnd(seen));
      socket.write(ANSWER);
    },
  };
  const parser = new RequestParser(sink, { fieldCountMax: 256 });
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    let rest = chunk;
    while (rest.length > 0) {
      const took = parser.execute(rest);
      if (typeof took !== "number") return void socket.destroy();
      rest = rest.subarray(took);
      parser.next();
    }
  });
}

function resources(port: number, upstreamPort: number): object {
  const header = { key: PORT_HEADER, value: "%DOWNSTREAM_REMOTE_PORT%" };
  const route = {
    match: { prefix: "/" },
    route: { cluster: "up" },
    request_headers_to_add: [{ header, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }],
  };
  const options = { accept_http_10: true, enable_trailers: true, allow_chunked_length: false };
  return {
    listeners: [
      httpListener(port, [], [route], { http_protocol_options: options, codec_type: "HTTP1" }),
    ],
    clusters: [
      {
        ...{ name: "up", type: "STATIC", connect_timeout: "5s" },
        circuit_breakers: { thresholds: [{ max_requests: 9_999, max_pending_requests: 9_999 }] },
        typed_extension_protocol_options: {
          "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            explicit_http_config: { http_protocol_options: { enable_trailers: true } },
          },
        },
        load_assignment: {
          cluster_name: "up",
          endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(upstreamPort) } }] }],
        },
      },
    ],
  };
}

const METHODS = new Set("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split(" "));

/** Where Envoy refuses or rewrites what the RFCs allow or ask for. */
export const ENVOY_DIFFERENCES: readonly KnownDifference[] = [
  {
    reason: /^laxer: [\d,]*400$/,
    holds: ({ method }) => !METHODS.has(method),
    why: "it knows a list of methods; RFC 9110 9.1 takes any token",
  },
  {
    reason: /^laxer: it waits$/,
    holds: (_message, raw) => /proxy-connection:[^\r]*close/i.test(raw),
    why: "it takes Proxy-Connection for Connection; no RFC does",
  },
  {
    reason: /^another target$/,
    holds: ({ method, target }) => method === "OPTIONS" && target === "*",
    why: "OPTIONS of a host goes on as an asterisk (RFC 9112 3.2.4), which it does not do",
  },
  {
    reason: /^laxer: [\d,]*400$/,
    holds: ({ authority }) => authority === "",
    why: "HTTP/1.0 needs no Host (RFC 9112 3.2)",
  },
  {
    reason: /^laxer: [\d,]*400$/,
    holds: ({ authority }, raw) => authority.endsWith(":") && /http:\/\//i.test(raw),
    why: "it takes no empty port in a target (RFC 3986 3.2.3 has one)",
  },
  {
    reason: /^laxer: [\d,]*400$/,
    holds: ({ authority }, raw) => /[^\w.:[\]-]/.test(authority) && /http:\/\//i.test(raw),
    why: "it takes fewer characters in the host of a target than RFC 3986 3.2.2",
  },
];
