//! An upstream that keeps what reaches it, and answers each whole request.

import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { RequestParser } from "../../src/http/request-parser.ts";
import type { RequestHead } from "../../src/http/request-parser.ts";
import { countRequests } from "./four-readings.ts";
import type { Count } from "./four-readings.ts";

const HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n";

interface Connection {
  readonly socket: Socket;
  /** What has come on it since the mark. */
  text: string;
}

export class RecordingUpstream {
  readonly port: number;
  readonly #connections: Set<Connection>;
  readonly #close: () => void;

  private constructor(port: number, connections: Set<Connection>, close: () => void) {
    this.port = port;
    this.#connections = connections;
    this.#close = close;
  }

  static async start(): Promise<RecordingUpstream> {
    const connections = new Set<Connection>();
    const server = createServer((socket) => {
      const connection: Connection = { socket, text: "" };
      connections.add(connection);
      serve(connection);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    return new RecordingUpstream(port, connections, () => void server.close());
  }

  /** A case begins: forgets what came before it. */
  mark(): void {
    for (const connection of this.#connections) {
      connection.text = "";
      if (connection.socket.destroyed) this.#connections.delete(connection);
    }
  }

  /** All that has come since the mark. */
  get text(): string {
    return [...this.#connections].map(({ text }) => text).join("");
  }

  /** Of what has come since the mark. */
  count(): Count {
    const counts = [...this.#connections].map(({ text }) => countRequests(text));
    return {
      whole: counts.reduce((sum, { whole }) => sum + whole, 0),
      isBroken: counts.some(({ isBroken }) => isBroken),
    };
  }

  close(): void {
    this.#close();
    for (const { socket } of this.#connections) socket.destroy();
  }
}

function serve(connection: Connection): void {
  const { socket } = connection;
  let isHead = false;
  const sink = {
    onRequestHead: ({ method }: RequestHead) => {
      isHead = method === "HEAD";
    },
    onRequestBody: () => undefined,
    onRequestEnd: () => void socket.write(isHead ? HEAD : `${HEAD}ok`),
  };
  const parser = new RequestParser(sink, { fieldCountMax: 256 });
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    connection.text += chunk.toString("latin1");
    let rest = chunk;
    while (rest.length > 0) {
      const took = parser.execute(rest);
      if (typeof took !== "number") {
        socket.destroy();
        return;
      }
      rest = rest.subarray(took);
      parser.next();
    }
  });
}
