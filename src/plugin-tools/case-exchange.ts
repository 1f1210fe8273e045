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
import type { LocalResponse } from "../wasm/stream-host.ts";
import type { Pair } from "./case-calls.ts";
import type { Action, CaseMessage, CaseRequest, CaseResponse } from "./case-file.ts";
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
  readonly isSecure = false;
  readonly facts = null;
  readonly upstreamAddress = "";
  readonly remoteAddress = "127.0.0.1";
  readonly peer: Peer = { peerAddress: this.remoteAddress, clientNames: () => null };
  action: Action = "continue";
  /** What goes on to the upstream; null when nothing does. */
  request: SeenRequest | null = null;
  /** What the client gets; null when it gets nothing. */
  response: SeenReply | null = null;
  localReply: SeenReply | null = null;
  /** Why it failed, when it did. */
  error: ProxyError | null = null;

  readonly #head: RequestHead;
  readonly #pass: GatewayPass;
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
    request: CaseRequest,
    settle: () => void,
  ) {
    this.#head = headOf(request);
    this.#listener = runtime.listener;
    this.#settle = () => {
      settle();
      for (const task of this.#later.splice(0)) task();
    };
    const deps = { prng: new SeededPrng(1), owner: this };
    this.#pass = new GatewayPass(runtime.runtime, runtime.listener, this.#head, deps);
  }

  run(request: CaseRequest, upstream: CaseResponse): void {
    const sent = this.#sendRequest(request);
    const isSent = this.#reply === null && this.action === "continue";
    if (isSent && sent !== null) this.request = sent;
    if (this.#reply !== null) this.#respond(this.#takeReply());
    else if (isSent && sent === null) this.action = "pause";
    else if (isSent) this.#respond(upstreamReply(upstream));
    this.#pass.finish();
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
    return { method, path, authority, headers: pairsOf(headers), body: text };
  }

  /** Null: the request has no body. */
  makeRequestChain(): BodyChain | null {
    if (!this.#hasRequestBody) return null;
    this.#requestBody = new CollectedBody({
      isOver: () => this.#pass.isRequestOver,
      bytesHeldMax: () => this.#pass.requestBytesHeldMax,
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
      this.response = { status: own, headers: pairsOf(fields), body: body.toString() };
      return;
    }
    if (this.action === "reset") return;
    if (!this.#isReleased || this.#responseBody?.hasEnded === false) {
      this.action = "pause";
      return;
    }
    const text = this.#responseBody?.text ?? message.chunks.join("");
    this.response = { status: draft.status, headers: pairsOf(headers), body: text };
  }

  onDecided(): void {
    this.#isDecided = true;
  }

  onPluginResponse({ status, headers: pairs, body }: LocalResponse): void {
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
