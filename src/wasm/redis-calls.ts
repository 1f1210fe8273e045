//! Redis calls of plug-ins (Higress' 0.2.100): what is asked of the embedder, and which calls of a
//! root are pending. Bytes go out and come back as Redis speaks them (RESP).

import type { CallUnderWay } from "./calls-under-way.ts";
import type { RootContext } from "./root-context.ts";
import type { Vm } from "./vm.ts";

/** Servers, each with its own settings, that one root context may have prepared. */
const CLIENTS_PER_ROOT_MAX = 16;
/** The low two bits of a token tell what it is of: 3 a Redis call. */
const FIRST_TOKEN = 3;
const TOKEN_STEP = 4;
const TOKEN_MAX = 0xffff_ffff;

export interface RedisServer {
  /** A cluster's name, as the guest gave it, without its query. */
  readonly cluster: string;
  /** `""`: the default user, or none. */
  readonly username: string;
  /** `""`: no authentication. */
  readonly password: string;
  readonly database: number;
  /** Of connecting and of each call; 0: as the embedder sees fit. */
  readonly timeoutMs: number;
}

/** A server's reply, null when none came. */
export type OnRedisReply = (reply: Uint8Array | null) => void;

export interface RedisClient {
  /**
   * Sends one command; the bytes are the callee's. `onReply` comes later, once, and never from
   * inside this function. False: too much waits already.
   */
  call(command: Uint8Array, onReply: OnRedisReply): boolean;
  /** Nothing more will be called; what is pending is still answered. */
  retire(): void;
  /** Nobody waits for what is still pending: no `onReply` comes any more. */
  close(): void;
}

/** Null: there is no such cluster. No connection needs to be made before the first call. */
export type RedisOpener = (server: RedisServer) => RedisClient | null;

export type RedisRefusal = "no_cluster" | "full";

interface OpenClient {
  readonly server: RedisServer;
  readonly client: RedisClient;
}

/** The servers and pending calls of one root context. */
export class RedisTable {
  /** By the name that was given, with its query, and by the name alone: the latest counts. */
  readonly #byName = new Map<string, OpenClient>();
  readonly #pending = new Map<number, CallUnderWay>();
  readonly #vm: Vm;
  #lastToken = FIRST_TOKEN;

  constructor(vm: Vm) {
    this.#vm = vm;
  }

  /** Equal settings keep the client that is there, with its connection. */
  init(name: string, server: RedisServer, open: RedisOpener): RedisRefusal | null {
    const known = this.#byName.get(name) ?? this.#byName.get(server.cluster);
    if (known !== undefined && isSame(known.server, server)) {
      this.#byName.set(server.cluster, known);
      return null;
    }
    if (this.#clients().size >= CLIENTS_PER_ROOT_MAX) return "full";
    const client = open(server);
    if (client === null) return "no_cluster";
    const opened = { server, client };
    const before = this.#clients();
    this.#byName.set(name, opened);
    this.#byName.set(server.cluster, opened);
    const kept = this.#clients();
    for (const old of before) if (!kept.has(old)) old.client.retire();
    return null;
  }

  /** A token, or why there is none. */
  call(root: RootContext, name: string, command: Uint8Array): number | RedisRefusal {
    const known = this.#byName.get(name) ?? this.#byName.get(nameAlone(name));
    if (known === undefined) return "no_cluster";
    const { callsOut } = this.#vm;
    const place = callsOut.begin(this.#vm.caller);
    if (place === null) return "full";
    const token = this.#nextToken();
    const isTaken = known.client.call(command, (reply) => {
      if (!this.#pending.has(token)) return;
      const tell = (): void => {
        this.#end(token);
        root.onRedisReply(token, reply);
      };
      if (reply === null) callsOut.fail(place, tell);
      else tell();
    });
    if (!isTaken) {
      callsOut.end(place);
      return "full";
    }
    this.#lastToken = token;
    this.#pending.set(token, place);
    return token;
  }

  closeAll(): void {
    for (const { client } of this.#clients()) client.close();
    this.#byName.clear();
    for (const token of this.#pending.keys()) this.#end(token);
  }

  #end(token: number): void {
    const place = this.#pending.get(token);
    this.#pending.delete(token);
    if (place !== undefined) this.#vm.callsOut.end(place);
  }

  #clients(): Set<OpenClient> {
    return new Set(this.#byName.values());
  }

  #nextToken(): number {
    let token = this.#lastToken;
    do {
      token = token >= TOKEN_MAX ? FIRST_TOKEN + TOKEN_STEP : token + TOKEN_STEP;
    } while (this.#pending.has(token));
    return token;
  }
}

/** `name?db=1&buffer_flush_timeout=2` is a name with a query. */
export function nameAlone(name: string): string {
  const query = name.indexOf("?");
  return query === -1 ? name : name.slice(0, query);
}

function isSame(left: RedisServer, right: RedisServer): boolean {
  return (
    left.cluster === right.cluster &&
    left.username === right.username &&
    left.password === right.password &&
    left.database === right.database &&
    left.timeoutMs === right.timeoutMs
  );
}
