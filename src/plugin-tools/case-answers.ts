//! Answers a plug-in's calls with what its case says, in virtual time, and keeps what was asked.

import type { VirtualClock } from "../base/virtual-clock.ts";
import type { DnsLookUp } from "../wasm/dns-calls.ts";
import type { GrpcCaller, GrpcConnection, GrpcRequest, GrpcSink } from "../wasm/grpc-calls.ts";
import type { HttpCall, HttpCaller, HttpCallResponse } from "../wasm/http-calls.ts";
import type { RedisClient, RedisServer } from "../wasm/redis-calls.ts";
import type { PluginServices } from "../wasm/vm.ts";
import type { CaseDns, CaseGrpc, CaseRedis, GrpcAnswer, GrpcState, Pair } from "./case-calls.ts";
import type { SeenRequest } from "./case-exchange.ts";
import type { CaseCall, CaseResponse, PluginCase } from "./case-file.ts";
import { commandWords } from "./redis-text.ts";

export interface SeenCall extends SeenRequest {
  readonly cluster: string;
}

export interface SeenGrpc {
  readonly cluster: string;
  readonly service: string;
  readonly method: string;
  /** Null: as the cluster sees fit. */
  readonly authority: string | null;
  readonly metadata: readonly Pair[];
  readonly messages: readonly Buffer[];
  readonly state: GrpcState;
}

export interface SeenRedis {
  readonly cluster: string;
  readonly database: number;
  readonly command: readonly string[];
}

/** Calls of one case. More are refused, so that a plug-in that calls for ever comes to an end. */
export const CALLS_MAX = 10_000;
/** Messages of gRPC that are kept of one case. */
const MESSAGES_MAX = 10_000;
const DEADLINE_EXCEEDED = 4;

type Answered = "calls" | "grpc" | "redis" | "dns";

export class CaseAnswers {
  readonly calls: SeenCall[] = [];
  readonly grpc: SeenGrpc[] = [];
  readonly redis: SeenRedis[] = [];
  /** Names that were looked up. */
  readonly dns: string[] = [];
  readonly #answers: Pick<PluginCase, Answered>;
  readonly #clock: VirtualClock;
  readonly #used = new Set<unknown>();
  #made = 0;
  #messages = 0;

  constructor(answers: Pick<PluginCase, Answered>, clock: VirtualClock) {
    this.#answers = answers;
    this.#clock = clock;
  }

  /** Forgets what was asked, and answers from the first answer on. */
  renew(): void {
    this.calls.length = 0;
    this.grpc.length = 0;
    this.redis.length = 0;
    this.dns.length = 0;
    this.#used.clear();
    this.#made = 0;
    this.#messages = 0;
  }

  /** An `HttpCaller`. */
  startHttp(call: HttpCall, onDone: Parameters<HttpCaller>[1]): ReturnType<HttpCaller> {
    if (!this.#mayCall()) return null;
    this.calls.push(seenCall(call));
    const answer = this.#take(this.#answers.calls, (each) => fitsHttp(each, call));
    if (answer === null) return null;
    return this.#clock.after(0, () => {
      onDone(responseOf(answer.answer));
    });
  }

  /** A `GrpcCaller`. */
  startGrpc(request: GrpcRequest, sink: GrpcSink): ReturnType<GrpcCaller> {
    if (!this.#mayCall()) return "no_cluster";
    const { cluster, service, method, authority, metadata } = request;
    const seen = new OpenGrpc({ cluster, service, method, authority, metadata });
    this.grpc.push(seen);
    const found = this.#take(this.#answers.grpc, (each) => fitsGrpc(each, request));
    if (found === null) return "no_cluster";
    const mayKeep = (): boolean => this.#messages++ < MESSAGES_MAX;
    const answered = new AnsweredGrpc(found.answer, { clock: this.#clock, sink, seen, mayKeep });
    answered.begin(request.timeoutMs);
    return answered;
  }

  knowsRedis(name: string): boolean {
    return this.#answers.redis.some(({ cluster }) => cluster === name);
  }

  /** Null: none comes. */
  redisReply({ cluster, database }: RedisServer, bytes: Uint8Array): Buffer | null {
    if (!this.#mayCall()) return null;
    const command = commandWords(bytes);
    this.redis.push({ cluster, database, command });
    const fits = (each: CaseRedis): boolean =>
      each.cluster === cluster && beginsWith(command, each.command);
    return this.#take(this.#answers.redis, fits)?.reply ?? null;
  }

  /** A `DnsLookUp`. */
  lookUp(name: string, onDone: Parameters<DnsLookUp>[1]): void {
    const mayCall = this.#mayCall();
    if (mayCall) this.dns.push(name);
    const lowerCase = name.toLowerCase();
    const fits = (each: CaseDns): boolean => each.name.toLowerCase() === lowerCase;
    const found = mayCall ? this.#take(this.#answers.dns, fits) : null;
    this.#clock.after(0, () => {
      onDone(found?.records ?? null);
    });
  }

  #mayCall(): boolean {
    this.#made += 1;
    return this.#made <= CALLS_MAX;
  }

  /** Answers are used in their order; the last one that fits is used again. */
  #take<Answer>(answers: readonly Answer[], fits: (answer: Answer) => boolean): Answer | null {
    const fitting = answers.filter(fits);
    const answer = fitting.find((each) => !this.#used.has(each)) ?? fitting.at(-1) ?? null;
    this.#used.add(answer);
    return answer;
  }
}

/** Of several cases that one plug-in meets in turn, `current` answers. */
export function answeringServices(
  all: readonly CaseAnswers[],
  current: () => CaseAnswers,
  clock: VirtualClock,
): Required<Pick<PluginServices, "httpCall" | "grpcCall" | "redis" | "dns">> {
  return {
    httpCall: (call, onDone) => current().startHttp(call, onDone),
    grpcCall: (request, sink) => current().startGrpc(request, sink),
    dns: (name, onDone) => {
      current().lookUp(name, onDone);
    },
    redis: (server) =>
      all.some((answers) => answers.knowsRedis(server.cluster))
        ? answeredRedis(server, current, clock)
        : null,
  };
}

function fitsHttp({ cluster, path }: CaseCall, call: HttpCall): boolean {
  return cluster === call.cluster && (path === "" || path === call.path);
}

function fitsGrpc({ cluster, service, method }: CaseGrpc, request: GrpcRequest): boolean {
  return (
    cluster === request.cluster &&
    (service === "" || service === request.service) &&
    (method === "" || method === request.method)
  );
}

/** Redis does not mind how a command's name is written. */
function beginsWith(command: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((word, index) => {
    const own = command[index];
    return index === 0 ? own?.toLowerCase() === word.toLowerCase() : own === word;
  });
}

function seenCall({ cluster, method, path, authority, headers, body }: HttpCall): SeenCall {
  return { cluster, method, path, authority, headers, body: Buffer.from(body).toString() };
}

function responseOf({ status, headers, chunks, trailers }: CaseResponse): HttpCallResponse {
  return {
    headers: [[":status", String(status)], ...headers],
    body: Buffer.from(chunks.join("")),
    trailers: trailers ?? [],
  };
}

class OpenGrpc implements SeenGrpc {
  readonly cluster: string;
  readonly service: string;
  readonly method: string;
  readonly authority: string | null;
  readonly metadata: readonly Pair[];
  readonly messages: Buffer[] = [];
  state: GrpcState = "open";

  constructor(
    request: Pick<GrpcRequest, "cluster" | "service" | "method" | "authority" | "metadata">,
  ) {
    this.cluster = request.cluster;
    this.service = request.service;
    this.method = request.method;
    this.authority = request.authority;
    this.metadata = request.metadata;
  }
}

interface AnsweredDeps {
  readonly clock: VirtualClock;
  readonly sink: GrpcSink;
  readonly seen: OpenGrpc;
  readonly mayKeep: () => boolean;
}

/** The server's side of one call or stream. */
class AnsweredGrpc implements GrpcConnection {
  readonly #answer: GrpcAnswer;
  readonly #deps: AnsweredDeps;
  #received = 0;
  #replied = 0;
  #isOver = false;

  constructor(answer: GrpcAnswer, deps: AnsweredDeps) {
    this.#answer = answer;
    this.#deps = deps;
  }

  begin(timeoutMs: number): void {
    const { clock, sink } = this.#deps;
    const { metadata, messages, open } = this.#answer;
    this.#later(() => {
      sink.onInitialMetadata([[":status", "200"], ...metadata]);
      for (const message of messages) if (!this.#isOver) sink.onMessage(message);
      this.#endWhenDone();
    });
    if (!open || timeoutMs === 0) return;
    clock.after(timeoutMs, () => {
      this.#close(DEADLINE_EXCEEDED, "");
    });
  }

  send(message: Uint8Array): boolean {
    const { seen, sink, mayKeep } = this.#deps;
    if (mayKeep()) seen.messages.push(Buffer.from(message));
    const reply = this.#answer.replies[this.#received++];
    if (reply === undefined) return true;
    this.#later(() => {
      this.#replied += 1;
      sink.onMessage(reply);
      this.#endWhenDone();
    });
    return true;
  }

  end(): void {
    this.#deps.seen.state = "ended";
  }

  cancel(): void {
    this.#isOver = true;
    this.#deps.seen.state = "cancelled";
  }

  #later(task: () => void): void {
    this.#deps.clock.after(0, () => {
      if (!this.#isOver) task();
    });
  }

  #endWhenDone(): void {
    const { replies, status, statusMessage, open } = this.#answer;
    if (!open && this.#replied >= replies.length) this.#close(status, statusMessage);
  }

  #close(status: number, text: string): void {
    if (this.#isOver) return;
    const { sink } = this.#deps;
    const { trailers } = this.#answer;
    sink.onTrailingMetadata([["grpc-status", String(status)], ...trailers]);
    // The guest may have cancelled it in that callback.
    if (this.#isEnded()) return;
    this.#isOver = true;
    sink.onClose(status, text);
  }

  #isEnded(): boolean {
    return this.#isOver;
  }
}

function answeredRedis(
  server: RedisServer,
  current: () => CaseAnswers,
  clock: VirtualClock,
): RedisClient {
  let isClosed = false;
  return {
    call: (command, onReply) => {
      const reply = current().redisReply(server, command);
      clock.after(0, () => {
        if (!isClosed) onReply(reply);
      });
      return true;
    },
    retire: () => undefined,
    close: () => {
      isClosed = true;
    },
  };
}
