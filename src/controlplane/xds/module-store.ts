//! The modules of plug-ins for Envoys elsewhere: `GET /wasm/sha256/DIGEST.wasm`, on the port of
//! xDS.
//!
//! Only what a plug-in of some Envoy names is there. Who knows the digest has read it from the
//! configuration, on the same port: no more is asked of him (RATIONALE.md).

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import type { ModuleFile } from "../../compile-envoy/envoy-config.ts";
import { MODULES_PATH } from "../../compile-envoy/module-code.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Counter, Family } from "../../telemetry/metrics.ts";
import type { FetchPhase, ModuleFetches } from "./module-waits.ts";

/** Of what Envoys were told; the oldest goes first. */
const MODULES_MAX = 1_000;
/** At one time; who comes later waits. */
const SENDING_MAX = 64;
/** Who comes later still is told to come again. */
const WAITING_MAX = 4_000;
const HEADERS_TIMEOUT_MS = 10_000;
/** Without a byte moving. */
const IDLE_TIMEOUT_MS = 30_000;
const IMMUTABLE = "public, max-age=31536000, immutable";
/** Its bootstrap says in it who asks. */
export const NODE_HEADER = "x-graylane-node";
const DIGEST_PATH = new RegExp(`^${MODULES_PATH}([0-9a-f]{64})\\.wasm(?:\\?attempt=\\d{1,9})?$`);

export type ModuleOutcome = "sent" | "unknown" | "busy" | "failed";

type Listener = (sha256: string, phase: FetchPhase) => void;

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly module: ModuleFile;
}

export class ModuleStore implements ModuleFetches {
  readonly #logger: Logger;
  readonly #sends: Family<Counter>;
  readonly #server: Server;
  readonly #modules = new Map<string, ModuleFile>();
  /** By path: what the file was when it had the right digest. */
  readonly #verified = new Map<string, string>();
  readonly #waiting: Asked[] = [];
  #sending = 0;
  readonly #listeners = new Map<string, Set<Listener>>();

  constructor(logger: Logger, sends: Family<Counter>) {
    this.#logger = logger;
    this.#sends = sends;
    for (const outcome of ["sent", "unknown", "busy", "failed"]) sends.with(outcome);
    this.#server = createServer({ requestTimeout: HEADERS_TIMEOUT_MS }, (request, response) => {
      this.#answer(request, response);
    });
    this.#server.headersTimeout = HEADERS_TIMEOUT_MS;
    this.#server.keepAliveTimeout = IDLE_TIMEOUT_MS;
    this.#server.timeout = IDLE_TIMEOUT_MS;
  }

  /** Envoys are told of it, and will ask. */
  offer(module: ModuleFile): void {
    this.#modules.delete(module.sha256);
    this.#modules.set(module.sha256, module);
    for (const oldest of [...this.#modules.keys()].slice(0, -MODULES_MAX)) {
      this.#modules.delete(oldest);
    }
  }

  /** Speaks HTTP/1.1 on the connection. */
  serve(socket: Socket): void {
    this.#server.emit("connection", socket);
  }

  watch(node: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(node) ?? new Set();
    this.#listeners.set(node, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(node);
    };
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader("x-content-type-options", "nosniff");
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { allow: "GET, HEAD" }).end();
      return;
    }
    const sha256 = DIGEST_PATH.exec(request.url ?? "")?.[1] ?? "";
    const module = this.#modules.get(sha256);
    if (module === undefined) {
      if (sha256 !== "") this.#tell(request, sha256, "failed");
      this.#end(response, 404, "unknown", "no plug-in of an Envoy names that module");
      return;
    }
    if (this.#waiting.length === WAITING_MAX) {
      this.#tell(request, sha256, "failed");
      response.setHeader("retry-after", "1");
      this.#end(response, 503, "busy", "too many wait");
      return;
    }
    this.#tell(request, sha256, "begun");
    this.#waiting.push({ request, response, module });
    this.#sendNext();
  }

  #sendNext(): void {
    while (this.#sending < SENDING_MAX) {
      const asked = this.#waiting.shift();
      if (asked === undefined) return;
      this.#sending += 1;
      void this.#send(asked).finally(() => {
        this.#sending -= 1;
        this.#sendNext();
      });
    }
  }

  /** Never rejects. */
  async #send({ request, response, module }: Asked): Promise<void> {
    const { path, sha256 } = module;
    try {
      const size = await this.#verifiedSize(module);
      const etag = `"${sha256}"`;
      response.setHeader("etag", etag);
      response.setHeader("cache-control", IMMUTABLE);
      if (request.headers["if-none-match"] === etag) response.writeHead(304).end();
      else {
        response.writeHead(200, { "content-type": "application/wasm", "content-length": size });
        if (request.method === "HEAD") response.end();
        else await pipeline(createReadStream(path), response);
      }
      this.#sends.with("sent").increment();
      this.#tell(request, sha256, "sent");
    } catch (cause) {
      const error = cause instanceof Error ? cause.message : String(cause);
      const node = nodeOf(request);
      this.#logger.warn("a module could not be sent", { sha256, node, error });
      this.#tell(request, sha256, "failed");
      if (response.headersSent) response.destroy();
      else this.#end(response, 500, "failed", "the module cannot be read");
    }
  }

  /** Rejects when the file is not what it was. */
  async #verifiedSize({ path, sha256 }: ModuleFile): Promise<number> {
    const { size, mtimeMs } = await stat(path);
    const state = `${sha256} ${size} ${mtimeMs}`;
    if (this.#verified.get(path) === state) return size;
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    const own = hash.digest("hex");
    if (own !== sha256) throw new Error(`${path} has the SHA-256 ${own}`);
    this.#verified.set(path, state);
    for (const oldest of [...this.#verified.keys()].slice(0, -MODULES_MAX)) {
      this.#verified.delete(oldest);
    }
    return size;
  }

  #end(response: ServerResponse, status: number, outcome: ModuleOutcome, words: string): void {
    this.#sends.with(outcome).increment();
    const head = { "content-type": "text/plain", "content-length": words.length + 1 };
    response.writeHead(status, head).end(`${words}\n`);
  }

  #tell(request: IncomingMessage, sha256: string, phase: FetchPhase): void {
    for (const listener of [...(this.#listeners.get(nodeOf(request)) ?? [])]) {
      listener(sha256, phase);
    }
  }
}

function nodeOf({ headers }: IncomingMessage): string {
  const named = headers[NODE_HEADER];
  return typeof named === "string" ? named : "";
}
