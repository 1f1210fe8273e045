//! Single calls of the API by a client that expects the server to end at any moment.

import { EventEmitter, once } from "node:events";
import { request as httpRequest } from "node:http";
import type { Agent, IncomingMessage } from "node:http";

export interface Server {
  readonly url: string;
  readonly token: string;
}

/** Where the server is now. */
export class Place {
  /** How often one has been started. */
  life = 0;
  #server: Server | null = null;
  readonly #starts = new EventEmitter().setMaxListeners(0);

  started(server: Server): void {
    this.#server = server;
    this.life += 1;
    this.#starts.emit("start");
  }

  get server(): Server {
    if (this.#server === null) throw new Error("no server was started");
    return this.#server;
  }

  /** Resolves when there is another server than that of `life`. */
  async after(life: number): Promise<void> {
    if (this.life === life) await once(this.#starts, "start");
  }
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

/** An object, a list or a refusal, as far as it is read here. */
export interface Shape {
  readonly metadata?: { readonly name?: string; readonly resourceVersion?: string };
  readonly data?: { readonly value?: string };
  readonly items?: readonly Shape[];
  readonly code?: number;
  readonly reason?: string;
}

export interface Answered {
  readonly code: number;
  readonly body: Shape;
}

/** `refused`: nobody was there, so nothing was done. `cut`: nobody knows. */
export type Lost = "refused" | "cut";

export function send(asked: Asked, server: Server, agent: Agent): Promise<Answered | Lost> {
  const { method, path, body } = asked;
  const text = body === undefined ? "" : JSON.stringify(body);
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      resolve(lostBy(error));
    };
    const headers = { ...headersFor(server), "content-length": Buffer.byteLength(text) };
    const request = httpRequest(server.url + path, { method, agent, headers }, (response) => {
      let answer = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (answer += chunk));
      response.on("error", fail);
      response.on("end", () => {
        resolve({ code: response.statusCode ?? 0, body: JSON.parse(answer) as Shape });
      });
    });
    request.on("error", fail);
    request.end(text);
  });
}

function headersFor({ token }: Server): Record<string, string> {
  return { authorization: `Bearer ${token}`, "content-type": "application/json" };
}

function lostBy({ code }: NodeJS.ErrnoException): Lost {
  return code === "ECONNREFUSED" ? "refused" : "cut";
}

/** An answer that goes on, on a connection of its own. */
export function openStream(
  server: Server,
  path: string,
  signal: AbortSignal,
): Promise<IncomingMessage | Lost> {
  return new Promise((resolve) => {
    const headers = headersFor(server);
    const request = httpRequest(server.url + path, { agent: false, headers, signal }, resolve);
    request.on("error", (error) => {
      resolve(lostBy(error));
    });
    request.end();
  });
}

/** Whole lines; ends with the stream, however that ends. */
export async function* linesOf(response: IncomingMessage): AsyncGenerator<string> {
  let text = "";
  response.setEncoding("utf8");
  try {
    for await (const chunk of response as AsyncIterable<string>) {
      const lines = (text + chunk).split("\n");
      text = lines.pop() ?? "";
      yield* lines;
    }
  } catch {
    // Cut off: the rest of a line says nothing.
  }
}
