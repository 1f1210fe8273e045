//! Sessions of HTTP/2: the app's session leads to one endpoint, and each of its requests goes by it
//! or by another session of its kind, to an endpoint of the request's lane.

import { isIP } from "node:net";
import { current } from "../carry.ts";
import { lookupIn, withContext } from "./call-headers.ts";
import { dialOptions } from "./dial.ts";
import type { ConnectHttp2, Words } from "./direct.ts";
import { DEFAULT_PORTS } from "./http.ts";
import type { Hop, Hops } from "./hops.ts";

interface Session {
  readonly closed: boolean;
  readonly destroyed: boolean;
  close(): void;
  on(event: string, listener: () => void): this;
  once(event: string, listener: () => void): this;
}

/** An app's session to a service, and what makes others like it. */
interface Opened {
  /** `host:port` of the service. */
  readonly authority: string;
  /** `address:port` of the endpoint that the session itself leads to. */
  readonly endpoint: string;
  readonly open: (hop: Hop) => Session;
  /** By endpoint. */
  readonly others: Map<string, Session>;
}

export class DirectSessions {
  readonly #hops: Hops;
  readonly #opened = new WeakMap<object, Opened>();

  constructor(hops: Hops) {
    this.#hops = hops;
  }

  /** Null: not to a service that is known, or by a connection of the app's own. */
  connect(connect: ConnectHttp2, words: Words): object | null {
    const [url, second, third] = words;
    const options = (typeof second === "function" ? {} : (second ?? {})) as Record<string, unknown>;
    if (options["createConnection"] !== undefined) return null;
    const { protocol, hostname, port: named } = new URL(String(url));
    if (protocol !== "http:" && protocol !== "https:") return null;
    const authority = `${hostname}:${named === "" ? DEFAULT_PORTS[protocol] : named}`;
    const hop = this.#hops.route(authority, lookupIn({}, current()));
    if (hop === null) return null;
    const servername =
      isIP(hostname) === 0 && protocol === "https:" ? { servername: hostname } : {};
    const open = (to: Hop, listener?: unknown): Session =>
      connect(url, { ...servername, ...options, ...dialOptions(to) }, listener) as Session;
    const session = open(hop, typeof second === "function" ? second : third);
    const others = new Map<string, Session>();
    this.#opened.set(session, { authority, endpoint: endpointOf(hop), open, others });
    session.once("close", () => {
      for (const other of others.values()) other.close();
    });
    return session;
  }

  /** Null: not a session of ours, or over: then Node says what it says. */
  stream(session: object, headers: unknown): { session: object; headers: unknown } | null {
    const opened = this.#opened.get(session);
    if (opened === undefined || isOver(session as Session)) return null;
    const carried = current();
    const hop = this.#hops.route(opened.authority, lookupIn(headers, carried));
    // A service that is not in the list any more: its session goes on.
    if (hop === null) return null;
    const sent = withContext(headers ?? {}, { carried, hop });
    const endpoint = endpointOf(hop);
    if (endpoint === opened.endpoint) return { session, headers: sent };
    const known = opened.others.get(endpoint);
    if (known !== undefined && !isOver(known)) return { session: known, headers: sent };
    const other = opened.open(hop);
    // Each stream hears of it by itself.
    other.on("error", () => undefined);
    opened.others.set(endpoint, other);
    other.once("close", () => {
      if (opened.others.get(endpoint) === other) opened.others.delete(endpoint);
    });
    return { session: other, headers: sent };
  }
}

/** `""` when there is none: a session that fails, with the reason. */
function endpointOf({ endpoints: [first] }: Hop): string {
  return first === undefined ? "" : `${first.address}:${first.port}`;
}

function isOver({ closed, destroyed }: Session): boolean {
  return closed || destroyed;
}
