//! Requests to a Kubernetes API server: JSON in and out, and watches as lines of JSON.

import { Agent as HttpAgent, request as httpRequest } from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { ClusterAccess } from "./kubeconfig.ts";

/** A page of a list, or one line of a watch, is not longer. */
const BODY_BYTES_MAX = 64 << 20;
const REQUEST_MS_MAX = 30_000;
/** How soon a peer that is gone without a word is noticed on a connection where nobody speaks. */
const KEEPALIVE_MS = 30_000;
/** Beside watches, which have a connection each. */
const CONNECTIONS_MAX = 8;
const PATCH_TYPE = "application/json-patch+json";

export interface ClusterAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface Ask {
  readonly method: "GET" | "POST" | "PUT" | "PATCH";
  /** With its query. */
  readonly path: string;
  /** Of PATCH: a JSON Patch. */
  readonly body?: unknown;
  readonly accept?: string;
}

export interface WatchAsk {
  readonly path: string;
  readonly accept?: string;
  /** Each line as it comes. What it throws ends the watch. */
  readonly onLine: (line: unknown) => void;
  readonly signal: AbortSignal;
}

/** What the API server says of itself in a Status, for a message. */
export function statusText({ status, body }: ClusterAnswer): string {
  const message = (body as { readonly message?: unknown } | null)?.message;
  return typeof message === "string" ? `${status}: ${message}` : `status ${status}`;
}

export class ClusterClient {
  readonly #access: ClusterAccess;
  readonly #userAgent: string;
  readonly #short: HttpAgent;
  readonly #watches: HttpAgent;

  constructor(access: ClusterAccess, userAgent: string) {
    this.#access = access;
    this.#userAgent = userAgent;
    this.#short = agentOf(access, CONNECTIONS_MAX);
    this.#watches = agentOf(access, Infinity);
  }

  /** Rejects when there is no answer; a refusal is an answer. */
  ask(ask: Ask, signal?: AbortSignal): Promise<ClusterAnswer> {
    const limit = AbortSignal.timeout(REQUEST_MS_MAX);
    const both = signal === undefined ? limit : AbortSignal.any([signal, limit]);
    return new Promise((resolve, reject) => {
      const request = this.#request(ask, this.#short, both);
      request.on("error", reject);
      request.on("response", (response) => {
        readBody(response).then((text) => {
          resolve({ status: response.statusCode ?? 0, body: parseBody(text) });
        }, reject);
      });
      request.end(ask.body === undefined ? undefined : JSON.stringify(ask.body));
    });
  }

  /** Resolves when the server has ended it, with a refusal when there was no watch. */
  watch({ path, accept, onLine, signal }: WatchAsk): Promise<ClusterAnswer | null> {
    return new Promise((resolve, reject) => {
      const ask = { method: "GET", path, ...(accept === undefined ? {} : { accept }) } as const;
      const request = this.#request(ask, this.#watches, signal);
      request.on("error", reject);
      request.on("response", (response) => {
        const status = response.statusCode ?? 0;
        if (status !== 200) {
          readBody(response).then((text) => {
            resolve({ status, body: parseBody(text) });
          }, reject);
          return;
        }
        readLines(response, onLine).then(() => {
          resolve(null);
        }, reject);
      });
      request.end();
    });
  }

  close(): void {
    this.#short.destroy();
    this.#watches.destroy();
  }

  #request(ask: Ask, agent: HttpAgent, signal: AbortSignal): ClientRequest {
    const { server } = this.#access;
    const token = this.#access.token();
    const type = ask.method === "PATCH" ? PATCH_TYPE : "application/json";
    const base = server.pathname.replace(/\/$/, "");
    const send = server.protocol === "https:" ? httpsRequest : httpRequest;
    return send({
      host: server.hostname.replace(/^\[|\]$/g, ""),
      port: server.port === "" ? (server.protocol === "https:" ? 443 : 80) : Number(server.port),
      ...{ path: `${base}${ask.path}`, method: ask.method, agent, signal },
      headers: {
        ...{ accept: ask.accept ?? "application/json", "user-agent": this.#userAgent },
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(ask.body === undefined ? {} : { "content-type": type }),
      },
    });
  }
}

function agentOf(access: ClusterAccess, maxSockets: number): HttpAgent {
  const common = { keepAlive: true, keepAliveMsecs: KEEPALIVE_MS, maxSockets };
  if (access.server.protocol === "http:") return new HttpAgent(common);
  const { ca, cert, key, serverName } = access;
  return new HttpsAgent({
    ...common,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  });
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) throw new Error(`the answer is longer than ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

async function readLines(
  response: IncomingMessage,
  onLine: (line: unknown) => void,
): Promise<void> {
  response.socket.setKeepAlive(true, KEEPALIVE_MS);
  response.setEncoding("utf8");
  let rest = "";
  for await (const chunk of response as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > BODY_BYTES_MAX) throw new Error("a line of the watch is too long");
    for (const line of lines) if (line !== "") onLine(JSON.parse(line));
  }
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text === "" ? null : { message: text.slice(0, 1_000) };
  }
}
