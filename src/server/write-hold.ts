//! Lets writes wait while it is open whether this process or another one has the store, and hands
//! on what comes to this one when the other has it.

import { request as httpRequest } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { certificateOf } from "./access/client-certificates.ts";
import { failure } from "./status.ts";

const MOVED = failure(503, "ServiceUnavailable", "the server restarts; ask again");

export interface ServerPlace {
  readonly host: string;
  readonly port: number;
}

export class WriteHold {
  #isHeld = false;
  #elsewhere: ServerPlace | null = null;
  readonly #waiting: (() => void)[] = [];

  hold(): void {
    this.#isHeld = true;
  }

  /** `elsewhere`: who answers from now on; null: this process does. */
  end(elsewhere: ServerPlace | null): void {
    this.#isHeld = false;
    this.#elsewhere = elsewhere;
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Null: the request is to be answered here. */
  async admit({ method }: IncomingMessage): Promise<ServerPlace | null> {
    const isRead = method === "GET" || method === "HEAD";
    // As many as there are connections.
    if (this.#isHeld && !isRead) await new Promise<void>((go) => this.#waiting.push(go));
    return this.#elsewhere;
  }
}

/**
 * The other process answers, on this connection's last request. It cannot see a certificate that
 * was shown here: such a client is told to ask again, and comes to it by a new connection.
 */
export function handOn(
  { host, port }: ServerPlace,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (certificateOf(request.socket) !== null) {
    const again = { "retry-after": "1", connection: "close", "content-type": "application/json" };
    response.writeHead(503, again).end(JSON.stringify(MOVED));
    return;
  }
  const { method, url, headers } = request;
  const onward = httpRequest({ host, port, method, path: url, headers, agent: false });
  onward.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, { ...answer.headers, connection: "close" });
    answer.pipe(response);
    answer.on("error", () => response.destroy());
  });
  onward.on("error", () => response.destroy());
  response.once("close", () => onward.destroy());
  request.pipe(onward);
}
