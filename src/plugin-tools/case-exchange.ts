//! One exchange of a case: the gateway's own filter chain without sockets. What passes it is kept.

import { SeededPrng } from "../base/prng.ts";
import type { Peer } from "../dataplane/filter/caller.ts";
import type { BodyChain } from "../dataplane/filter/body-chain.ts";
import { GatewayPass, HELD } from "../dataplane/filter/gateway-pass.ts";
import type { PassOwner } from "../dataplane/filter/gateway-pass.ts";
import type { ResponseDraft } from "../dataplane/exchange/handler.ts";
import { proxyError, statusOf } from "../dataplane/proxy-error.ts";
import type { ProxyError } from "../dataplane/proxy-error.ts";
import type { ListenerRuntime, Runtime } from "../dataplane/runtime/runtime.ts";
import { Headers } from "../http/headers.ts";
import type { RequestHead } from "../http/request-parser.ts";
import type { Route, VirtualHost } from "../snapshot/snapshot.ts";
import type { LocalResponse } from "../wasm/stream-host.ts";
import type { Pair } from "./case-calls.ts";
import { GrowingFacts } from "./case-facts.ts";
import type { CaseRoute, CaseUpstream } from "./case-facts.ts";
import type { Action, CaseMessage, CaseRequest, CaseResponse, PluginCase } from "./case-file.ts";
import { CollectedBody, headersOf } from "./collected-body.ts";

export interface SeenMessage {
  readonly headers: readonly Pair[];
  readonly body: string;
}

export interface SeenRequest extends SeenMessage {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
}

export interface SeenReply extends SeenMessage {
  readonly status: number;
}

const TOO_LARGE = "a plug-in wants the whole body, and it is larger than may be held";

/** 2026-01-01T00:00:00Z: every case begins then. */
export const START_MS: number = 1_767_225_600_000;

export class CaseExchange implements PassOwner {
  readonly explaining = false;
  readonly unsentBytes = 0;
  readonly isSecure: boolean;
  readonly facts: GrowingFacts = new GrowingFacts(START_MS);
  /** `""` until the request goes on. */
  upstreamAddress = "";
  readonly remoteAddress: string;
  readonly peer: Peer;
  action: Action = "continue";
  /** What goes on to the upstream; null when nothing does. */
  request: SeenRequest | null = null;
  /** What the client gets; null when it gets nothing. */
  response: SeenReply | null = null;
  localReply: SeenReply | null = null;
  /** Why it failed, when it did. */
  error: ProxyError | null = null;

  readonly #head: RequestHead;
  readonly #pass: CasePass;
  readonly #upstream: CaseUpstream | null;
  readonly #listener: ListenerRuntime;
  /** Lets answers to the plug-in's calls come in. */
  readonly #settle: () => void;
  readonly #later: (() => void)[] = [];
  #isDecided = false;
  #isReleased = false;
  #reply: { readonly status: number; readonly headers: Headers; readonly body: Buffer } | null =
    null;
  #hasRequestBody = false;
  #requestBody: CollectedBody | null = null;
  #responseBody: CollectedBody | null = null;

  constructor(
    runtime: { readonly runtime: Runtime; readonly listener: ListenerRuntime },
    { request, facts }: Pick<PluginCase, "request" | "facts">,
    settle: () => void,
  ) {
    const { connection, upstream, route } = facts;
    this.#head = headOf(request);
    this.#upstream = upstream;
    this.remoteAddress = connection?.remoteAddress ?? "127.0.0.1";
    this.isSecure = connection !== null && connection.tls !== null;
    this.peer = {
      peerAddress: this.remoteAddress,
      clientNames: () => null,
      ...(connection !== null && { facts: connection }),
    };
    this.#listener = runtime.listener;
    this.#settle = () => {
      settle();
      for (const task of this.#later.splice(0)) task();
    };
    const deps = { prng: new SeededPrng(1), owner: this };
    this.#pass = new CasePass(runtime.runtime, runtime.listener, this.#head, deps);
    this.#pass.given = route;
  }

  run(request: CaseRequest, upstream: CaseResponse): void {
    const sent = this.#sendRequest(request);
    const isSent = this.#reply === null && this.action === "continue";
    if (isSent && sent !== null) this.request = sent;
    if (this.#reply !== null) this.#respond(this.#takeReply());
    else if (isSent && sent === null) this.action = "pause";
    else if (isSent) {
      this.#reachUpstream();
      this.#respond(upstreamReply(upstream));
      this.facts.backendMs = 0;
    }
    this.facts.durationMs = 0;
    this.#pass.finish();
  }

  #reachUpstream(): void {
    this.upstreamAddress = this.#upstream?.address ?? "";
    this.facts.attempts = 1;
    this.facts.upstream = this.#upstream;
  }

  /** What has passed the filters; null while they hold it. */
  #sendRequest(request: CaseRequest): SeenRequest | null {
    this.#hasRequestBody = hasBody(request);
    if (this.#listener.readsRequestBody) this.makeRequestChain();
    this.#pass.run();
    this.#settle();
    const body = this.#requestBody;
    body?.feed(request, this.#settle);
    if (!this.#isDecided || body?.hasEnded === false) return null;
    const { method, target: path, authority, headers } = this.#head;
    const text = body === null ? request.chunks.join("") : body.text;
    if (body === null) this.facts.requestBytes = Buffer.byteLength(text);
    return { method, path, authority, headers: pairsOf(headers), body: text };
  }

  /** Null: the request has no body. */
  makeRequestChain(): BodyChain | null {
    if (!this.#hasRequestBody) return null;
    this.#requestBody = new CollectedBody({
      isOver: () => this.#pass.isRequestOver,
      bytesHeldMax: () => this.#pass.requestBytesHeldMax,
      onBytes: (count) => {
        this.facts.requestBytes += count;
      },
      onHeadReleased: () => {
        this.#pass.resume();
      },
      onTooLarge: () => {
        this.#pass.fail(proxyError("request_body_too_large", TOO_LARGE));
      },
    });
    this.#pass.requestChain = this.#requestBody.chain;
    return this.#requestBody.chain;
  }

  #takeReply(): Upstream {
    const reply = this.#reply;
    this.#reply = null;
    return {
      status: reply?.status ?? 0,
      headers: reply?.headers ?? new Headers(),
      message: {
        headers: [],
        chunks: reply === null ? [] : [reply.body.toString()],
        trailers: null,
      },
      local: true,
    };
  }

  #respond({ status, headers, message, local }: Upstream): void {
    const draft: ResponseDraft = { status, headers, local, hasBody: hasBody(message) };
    if (draft.hasBody && this.#listener.readsResponseBody) this.makeResponseChain();
    const verdict = this.#pass.runResponse(draft, draft.hasBody);
    if (verdict !== HELD) this.onResponseReleased(verdict);
    this.#settle();
    this.#responseBody?.feed(message, this.#settle);
    this.#settle();
    if (this.#reply !== null) {
      const { status: own, headers: fields, body } = this.#reply;
      this.facts.status = own;
      this.response = { status: own, headers: pairsOf(fields), body: body.toString() };
      return;
    }
    if (this.action === "reset") return;
    if (!this.#isReleased || this.#responseBody?.hasEnded === false) {
      this.action = "pause";
      return;
    }
    const text = this.#sentBody(message);
    this.response = { status: draft.status, headers: pairsOf(headers), body: text };
  }

  #sentBody({ chunks }: CaseMessage): string {
    if (this.#responseBody !== null) return this.#responseBody.text;
    const text = chunks.join("");
    this.facts.responseBytes = Buffer.byteLength(text);
    return text;
  }

  onDecided(): void {
    this.#isDecided = true;
  }

  onPluginResponse({ status, headers: pairs, body, details }: LocalResponse): void {
    this.facts.replyDetails = details;
    const headers = headersOf(pairs);
    this.action = "reply";
    this.#reply = { status, headers, body: Buffer.from(body) };
    const text = Buffer.from(body).toString();
    this.localReply ??= { status, headers: pairsOf(headers), body: text };
    if (body.length > 0 && !headers.has("content-type")) headers.add("content-type", "text/plain");
  }

  onPassFailed(error: ProxyError): void {
    this.action = error.code.startsWith("plugin_") ? "trap" : "reply";
    this.error = error;
    const body = Buffer.from(`${error.code}: ${error.message}\n`);
    this.#reply = { status: statusOf(error), headers: new Headers(), body };
  }

  onBaggageDropped(): void {
    // A case has no lanes: nothing is put into its baggage.
  }

  nowMs(): number {
    return START_MS;
  }

  later(task: () => void): void {
    this.#later.push(task);
  }

  onContextRefused(): void {
    // As above: a case has no lane groups.
  }

  onReset(): void {
    this.action = "reset";
  }

  onResponseReleased(replacement: LocalResponse | ProxyError | null): void {
    if (replacement === null) this.#isReleased = true;
    else if ("code" in replacement) this.onPassFailed(replacement);
    else this.onPluginResponse(replacement);
  }

  makeResponseChain(): BodyChain {
    this.#responseBody = new CollectedBody({
      isOver: () => this.#pass.isResponseOver,
      bytesHeldMax: () => this.#pass.responseBytesHeldMax,
      onBytes: (count) => {
        this.facts.responseBytes += count;
      },
      onHeadReleased: () => {
        this.#pass.resumeResponse();
      },
      onTooLarge: () => {
        this.#pass.fail(proxyError("response_body_too_large", TOO_LARGE));
      },
    });
    this.#pass.responseChain = this.#responseBody.chain;
    return this.#responseBody.chain;
  }
}

/** Under a route that the case names. */
class CasePass extends GatewayPass {
  given: CaseRoute | null = null;

  override route(): Route | null {
    const route = super.route();
    const name = this.given?.name ?? null;
    return route === null || name === null ? route : { ...route, label: name };
  }

  override virtualHost(): VirtualHost | null {
    const host = super.virtualHost();
    const name = this.given?.virtualHost ?? null;
    return host === null || name === null ? host : { ...host, name };
  }

  override routeCluster(): string | null {
    return this.given?.cluster ?? super.routeCluster();
  }
}

interface Upstream {
  readonly status: number;
  readonly headers: Headers;
  readonly message: CaseMessage;
  readonly local: boolean;
}

function upstreamReply(response: CaseResponse): Upstream {
  const headers = headersOf(response.headers);
  return { status: response.status, headers, message: response, local: false };
}

function hasBody({ chunks, trailers }: CaseMessage): boolean {
  return chunks.length > 0 || trailers !== null;
}

function headOf(request: CaseRequest): RequestHead {
  const { method, path: target, authority } = request;
  const headers = headersOf(request.headers);
  headers.set("host", authority);
  return {
    ...{ method, target, authority, headers, scheme: null, versionMinor: 1 },
    body: hasBody(request) ? "chunked" : "none",
    contentLength: 0,
    keepAlive: true,
    expectContinue: false,
    upgrade: null,
  };
}

function pairsOf(headers: Headers): Pair[] {
  return headers.names.flatMap((name, index) =>
    name === "host" ? [] : [[name, headers.values[index] ?? ""] as const],
  );
}
