//! A plug-in's way to one server of Redis: one connection at a time, made at the first call and
//! again after it has ended, with back-off while it cannot be made.

import type { Socket } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { Prng } from "../../base/prng.ts";
import type { UpstreamTls } from "../../snapshot/tls.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { OnRedisReply, RedisClient, RedisServer } from "../../wasm/redis-calls.ts";
import { RedisConnection } from "./redis-connection.ts";

/** Bytes of commands that wait for their reply; more are refused. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
/** When the plug-in gave no timeout. */
const TIMEOUT_MS_DEFAULT = 60_000;
/** The first pause after a connection that could not be made; each further one is twice as long. */
const BACK_OFF_MS_MIN = 100;
const BACK_OFF_MS_MAX = 10_000;

export interface RedisAddress {
  readonly address: string;
  readonly port: number;
  /** Absent: in clear. */
  readonly tls?: UpstreamTls;
}

/** The endpoints of one cluster, as the configuration that serves now has them. */
export interface RedisEndpoints {
  /** Another number when they may have changed. */
  readonly generation: number;
  /** A text: why there is none. */
  pick(): RedisAddress | string;
  /** Whether it is still one of them, and is still spoken to in the same way. */
  has(endpoint: RedisAddress): boolean;
}

export interface LinkDeps {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: Logger;
  /** A text: why it cannot be tried. */
  readonly connect: (endpoint: RedisAddress) => Socket | string;
}

interface Current {
  readonly endpoint: RedisAddress;
  readonly connection: RedisConnection;
  /** Of the endpoints, when this one was last seen among them. */
  generation: number;
}

export class RedisLink implements RedisClient {
  readonly #deps: LinkDeps;
  readonly #server: RedisServer;
  readonly #endpoints: RedisEndpoints;
  readonly #timeoutMs: number;
  /** All that have not ended: those before the current one answer what they were asked. */
  readonly #connections = new Set<RedisConnection>();
  #current: Current | null = null;
  #waitingBytes = 0;
  #backOffMs = BACK_OFF_MS_MIN;
  #retryAtMs = 0;
  #isClosed = false;

  constructor(deps: LinkDeps, server: RedisServer, endpoints: RedisEndpoints) {
    this.#deps = deps;
    this.#server = server;
    this.#endpoints = endpoints;
    this.#timeoutMs = server.timeoutMs === 0 ? TIMEOUT_MS_DEFAULT : server.timeoutMs;
  }

  call(command: Uint8Array, onReply: OnRedisReply): boolean {
    if (this.#isClosed || this.#waitingBytes + command.length > WAITING_BYTES_MAX) return false;
    this.#waitingBytes += command.length;
    const answer: OnRedisReply = (reply) => {
      this.#waitingBytes -= command.length;
      if (!this.#isClosed) onReply(reply);
    };
    const current = this.#connection();
    if (current !== null) current.connection.send(command, answer);
    else {
      const fail = (): void => {
        answer(null);
      };
      this.#deps.clock.after(0, fail, { unref: true });
    }
    return true;
  }

  retire(): void {
    this.#current = null;
    for (const connection of this.#connections) connection.retire();
  }

  close(): void {
    this.#isClosed = true;
    this.#current = null;
    for (const connection of [...this.#connections]) connection.close();
  }

  /** The one to use now; null: none can be made at present. */
  #connection(): Current | null {
    const { clock } = this.#deps;
    const current = this.#current;
    if (current !== null && this.#isStillThere(current)) return current;
    this.#current = null;
    current?.connection.retire();
    if (clock.monotonicMs() < this.#retryAtMs) return null;
    const endpoint = this.#endpoints.pick();
    if (typeof endpoint === "string") {
      this.#backOff(endpoint, "");
      return null;
    }
    const socket = this.#deps.connect(endpoint);
    if (typeof socket === "string") {
      this.#backOff(socket, addressText(endpoint));
      return null;
    }
    this.#current = this.#connect(endpoint, socket);
    return this.#current;
  }

  #isStillThere(current: Current): boolean {
    const { generation } = this.#endpoints;
    if (current.generation === generation) return true;
    current.generation = generation;
    return this.#endpoints.has(current.endpoint);
  }

  #connect(endpoint: RedisAddress, socket: Socket): Current {
    const { clock, logger } = this.#deps;
    const { cluster, username, password, database } = this.#server;
    const address = addressText(endpoint);
    const settings = {
      ...{ socket, username, password, database },
      timeoutMs: this.#timeoutMs,
    };
    const connection = new RedisConnection(clock, settings, {
      onServing: () => {
        this.#backOffMs = BACK_OFF_MS_MIN;
      },
      onEnd: (kind, reason) => {
        this.#connections.delete(connection);
        if (this.#current?.connection !== connection) return;
        this.#current = null;
        if (kind === "failed") this.#backOff(reason, address);
        else logger.info("a connection to Redis has ended", { cluster, address, reason });
      },
      onRefusedPassword: (reason) => {
        logger.warn("Redis refused a plug-in's user or password", { cluster, address, reason });
      },
    });
    this.#connections.add(connection);
    return { endpoint, connection, generation: this.#endpoints.generation };
  }

  #backOff(reason: string, address: string): void {
    const { clock, prng, logger } = this.#deps;
    // Between half and all of it, so that workers do not come back together.
    const half = this.#backOffMs / 2;
    const waitMs = half + prng.below(half + 1);
    this.#retryAtMs = clock.monotonicMs() + waitMs;
    this.#backOffMs = Math.min(this.#backOffMs * 2, BACK_OFF_MS_MAX);
    const { cluster } = this.#server;
    logger.warn("Redis cannot be used by a plug-in", { cluster, address, reason, waitMs });
  }
}

function addressText({ address, port }: RedisAddress): string {
  return `${address}:${port}`;
}
