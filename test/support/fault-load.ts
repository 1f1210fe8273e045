//! The load of rows D8 to D10 of docs/reliability.md: endpoints that die and come back, clients that
//! go away. `load-faults` puts it on a gateway in its own process, `bench/envoy-faults` on real Envoy
//! and on the gateway, each in a process of its own.

import { once } from "node:events";
import { Agent, createServer, request } from "node:http";
import type { RequestListener, Server } from "node:http";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { atEnd } from "../../src/dataplane/testing/harness.ts";

const ABORTS_AT_ONCE = 100;
const ENDPOINTS = 3;

/** Listens until `endAll`. */
export async function serve(listener: RequestListener): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  // Coming back after a death: a client's socket may have the port for a moment.
  server.on("error", () => setImmediate(() => server.listen(port, "127.0.0.1")));
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return server;
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Endpoints that answer 200, count what they get, and die one after the other. */
export class MortalEndpoints {
  readonly ports: readonly number[];
  kills = 0;
  readonly #servers: readonly Server[];
  readonly #timesSeen: ReadonlyMap<string, number>;

  private constructor(servers: readonly Server[], timesSeen: ReadonlyMap<string, number>) {
    this.#servers = servers;
    this.ports = servers.map(portOf);
    this.#timesSeen = timesSeen;
  }

  static async start(): Promise<MortalEndpoints> {
    const timesSeen = new Map<string, number>();
    const listener: RequestListener = (asked, response) => {
      asked.resume().on("end", () => {
        const id = asked.headers["x-id"];
        if (typeof id === "string") timesSeen.set(id, (timesSeen.get(id) ?? 0) + 1);
        setImmediate(() => response.end("ok"));
      });
    };
    const servers = Array.from({ length: ENDPOINTS }, () => serve(listener));
    return new MortalEndpoints(await Promise.all(servers), timesSeen);
  }

  /** The next in turn: all its connections end, and it accepts new ones a moment later. */
  kill(): void {
    const victim = this.kills % ENDPOINTS;
    const server = this.#servers[victim];
    this.kills += 1;
    server?.close(() => server.listen(this.ports[victim], "127.0.0.1"));
    server?.closeAllConnections();
  }

  /** Requests that came more than once. */
  get twice(): number {
    return [...this.#timesSeen.values()].filter((times) => times > 1).length;
  }
}

export interface FaultLoad {
  readonly count: number;
  readonly clients: number;
  readonly method: "GET" | "POST";
  readonly path?: string;
  readonly onSent?: (n: number) => void;
}

/** Sends `count` requests, `clients` at once, none twice. Returns how many got no 200. */
export async function load(port: number, options: FaultLoad): Promise<number> {
  const { count, clients, onSent } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: clients });
  let [sent, failed] = [0, 0];
  const client = async (): Promise<void> => {
    while (sent < count) {
      const id = (sent += 1);
      onSent?.(id);
      if ((await statusOf(port, { ...options, agent, id })) !== 200) failed += 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  agent.destroy();
  return failed;
}

/** 0: no answer. */
function statusOf(
  port: number,
  { agent, method, id, path = "/" }: FaultLoad & { readonly agent: Agent; readonly id: number },
): Promise<number> {
  return new Promise((resolve) => {
    const headers = { "x-id": String(id) };
    const asked = request({ port, host: "127.0.0.1", method, path, agent, headers }, (response) => {
      response.on("error", () => {
        resolve(0);
      });
      response.resume().on("end", () => {
        resolve(response.statusCode ?? 0);
      });
    });
    asked.on("error", () => {
      resolve(0);
    });
    asked.end(method === "POST" ? "a body" : undefined);
  });
}

/** Connects and goes away, at whatever moment that is. */
async function abort(port: number, index: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const half = "GET / HTTP/1.1\r\nhost: a\r\n";
  if (index % 3 === 0) socket.destroy();
  else {
    await Promise.race([once(socket, "connect"), once(socket, "close")]);
    if (index % 3 === 1) socket.write(index % 2 === 0 ? half : `${half}\r\n`);
    socket.resetAndDestroy();
  }
  if (!socket.closed) await once(socket, "close");
}

export async function abortAll(port: number, count: number): Promise<void> {
  for (let index = 0; index < count; index += ABORTS_AT_ONCE) {
    await Promise.all(Array.from({ length: ABORTS_AT_ONCE }, (_, one) => abort(port, index + one)));
  }
}
