//! One request with its response: moves bytes between a client and an endpoint, with back-pressure,
//! retries that cannot duplicate work, deadlines, and exactly one end.

import type { HttpFault } from "../../http/fault.ts";
import { Headers } from "../../http/headers.ts";
import type { RequestHead } from "../../http/request-parser.ts";
import type { ResponseHead } from "../../http/response-parser.ts";
import { removeHopByHop } from "../../http/hop-by-hop.ts";
import { reasonPhrase, serializeResponseHead } from "../../http/serialize.ts";
import type { LaneDecision } from "../../lane/decide.ts";
import type { TrafficContext } from "../context.ts";
import { NO_DEADLINE, type Expirable } from "../deadlines.ts";
import type { ExchangeRecord } from "../observer.ts";
import { proxyError, statusOf, type ProxyError } from "../proxy-error.ts";
import type { BodyTaker, Upstream, UpstreamFailureKind } from "../upstream/upstream.ts";
import type { UpstreamUser } from "../upstream/upstream.ts";
import type { MirrorCall } from "./mirror.ts";
import { frameRequest, mayReplay, RequestSender } from "./request-sender.ts";
import { UpstreamAttempt, type TryPlace } from "./upstream-attempt.ts";
import { Hedges } from "./hedges.ts";
import { framingFor, isBodiless, mayHaveBody, tellEnd } from "./response-framing.ts";
import { withLength, type BodyFraming } from "./response-framing.ts";
import { grpcReply } from "./grpc-reply.ts";
import { recordOf, type ExchangeOutcome } from "./exchange-record.ts";
import type { Downstream, ResponseWriter } from "./downstream.ts";
import { joinTunnel } from "./tunnel.ts";
import { addUpgrade, isSwitchTo, takeUpgrade } from "./upgrade.ts";
import { HELD, type BodyTap, type ExchangeHandler, type ForwardPlan } from "./handler.ts";
import type { Replacement, ResponseDraft } from "./handler.ts";

const NO_FIELDS: ExchangeRecord["headers"] = [];
const STATUS_CONTINUE = 100;
const STATUS_SWITCHING = 101;
const STATUS_FINAL_MIN = 200;

export class Exchange implements UpstreamUser, Expirable {
  readonly context: TrafficContext;
  readonly connection: Downstream;
  readonly head: RequestHead;
  readonly startedMs: number;
  readonly #sweeperStartMs: number;
  /** A body of at least one byte may come. */
  readonly hasBody: boolean;
  /** As the client sent it: a plug-in may change the method, not what the client waits for. */
  readonly #method: string;
  readonly #handler: ExchangeHandler;
  deadlineMs: number = NO_DEADLINE;

  /** Filled in by the handler, for log and metrics. */
  requestId = "";
  loggedHeaders: ExchangeRecord["headers"] = NO_FIELDS;
  routeId = "";
  decision: LaneDecision | null = null;
  /** As the client sent it, when the route has rewritten it since. */
  clientTarget: string | null = null;
  servedLane = "";
  fallback = "";
  /** Why it is answered here, in a plug-in's words or Envoy's; null: see the flag. */
  replyDetails: string | null = null;
  isClientReset = false;

  /** Set by the handler when filters read the body: it then hands on what passes them. */
  requestTap: BodyTap | null = null;
  responseTap: BodyTap | null = null;

  #attempt: UpstreamAttempt | null = null;
  #upstream: Upstream | null = null;
  #hedges: Hedges | null = null;
  #requestEnded = false;
  readonly #sender: RequestSender;

  /** The response that the handler has seen, and the upstream's own head unless it is ours. */
  #draft: ResponseDraft | null = null;
  #response: ResponseHead | null = null;
  #status = 0;
  #flag = "";
  readonly #writer: ResponseWriter;
  #keepAlive: boolean;
  #requestBytes = 0;
  #upstreamMs = -1;
  /** The protocol that the client asks to switch to, and the upstream is asked for; else null. */
  #upgrade: string | null = null;
  #over = false;

  constructor(connection: Downstream, head: RequestHead, handler: ExchangeHandler) {
    this.connection = connection;
    this.context = connection.context;
    this.head = head;
    this.#handler = handler;
    this.#keepAlive = head.keepAlive;
    this.#writer = connection.makeWriter(() => this.#upstream?.pause());
    this.#method = head.method;
    this.hasBody = head.body === "chunked" || head.contentLength > 0;
    this.#requestEnded = !this.hasBody;
    this.#sender = new RequestSender(this.hasBody);
    this.startedMs = this.context.sweeper.clock.realMs();
    this.#sweeperStartMs = this.startedMs - this.context.sweeper.clock.lostMs;
  }

  get responseStarted(): boolean {
    return this.#status !== 0;
  }

  /** Asked anew after each callback: any of them may have ended the exchange. */
  get isOver(): boolean {
    return this.#over;
  }

  get upstreamAddress(): string {
    return this.#attempt?.address ?? "";
  }

  begin(): void {
    // Before anything of ours is added: what Connection names is the client's own affair, and must
    // not take the gateway's fields away.
    this.#upgrade = takeUpgrade(this.head);
    this.#handler.onRequest(this);
  }

  /** Sends the request, as its head now reads, to one of the plan's endpoints. */
  forward(plan: ForwardPlan): void {
    if (this.#over) return;
    const { headers } = this.head;
    frameRequest(headers, this.hasBody);
    if (this.head.expectContinue) this.inviteBody();
    else if (this.head.versionMinor === 0) headers.remove("expect");
    if (plan.timeoutMs > 0) {
      this.deadlineMs = this.#sweeperStartMs + plan.timeoutMs;
      this.context.sweeper.add(this);
    }
    this.#attempt = new UpstreamAttempt(this, plan);
    const { method, target } = this.head;
    this.#sender.begin({ method, target, headers, hasBody: this.hasBody }, this.#attempt);
    this.#attempt.start();
  }

  /** Answers an expectation, so that the upstream need not (RFC 9110 section 10.1.1). */
  inviteBody(): void {
    if (!this.head.expectContinue || !this.head.headers.has("expect")) return;
    this.head.headers.remove("expect");
    this.#writer.interim(STATUS_CONTINUE, "Continue", new Headers());
  }

  /** Sends copies of the request, whose body may have begun to come. */
  mirrorTo(calls: readonly MirrorCall[]): void {
    this.#sender.mirrorTo(calls);
  }

  /** Answers with an error of ours. */
  fail(error: ProxyError): void {
    this.#flag = error.code;
    this.replyDetails = error.details ?? null;
    this.reply(statusOf(error), `${error.code}: ${error.message}\n`, null);
  }

  /** Answers without an upstream. `body` is Latin-1 text on the wire as UTF-8. */
  reply(status: number, body: string | Uint8Array, headers: Headers | null): void {
    if (this.#over) return;
    if (this.responseStarted) {
      this.#abort();
      return;
    }
    const text = Buffer.from(body as Uint8Array);
    const grpc = headers === null ? grpcReply(this.head, status, text) : null;
    if (grpc !== null) this.#replyLocally(grpc, Buffer.alloc(0));
    else this.#replyLocally(withLength(status, headers ?? new Headers(), text.length), text);
  }

  #replyLocally(draft: ResponseDraft, bytes: Buffer): void {
    this.#attempt?.abandon();
    this.#hedges?.end();
    this.#dropUpstream();
    const replacement = this.#filterOwn(draft);
    if (this.isOver) return;
    if (replacement === null) this.#writeLocal(draft, bytes);
    else if (replacement !== HELD) this.#replace(replacement);
    else if (bytes.length > 0) this.responseTap?.onData(bytes, true);
  }

  /** What takes the place of a response that has been through the filters does not go there. */
  #filterOwn(draft: ResponseDraft): ReturnType<ExchangeHandler["onResponse"]> {
    if (this.#draft !== null) return null;
    this.#draft = draft;
    return this.#handler.onResponse(this, draft);
  }

  /** The rest of the request is no HTTP. */
  refuse(fault: HttpFault): void {
    this.#flag = fault.code;
    this.reply(fault.status, `${fault.code}: ${fault.message}\n`, null);
  }

  onRequestBody(chunk: Buffer): void {
    if (this.#over) return;
    this.#requestBytes += chunk.length;
    if (this.requestTap !== null) this.requestTap.onData(chunk);
    else this.passRequestBody(chunk);
  }

  /** Asked before each part of the request's body. Null: whoever is given it may keep it. */
  get requestTaker(): BodyTaker | null {
    return this.requestTap === null ? this.#sender.takerOf(this.#upstream) : null;
  }

  /** Sends a part of the body on, or keeps it until there is somebody to send it to. */
  passRequestBody(chunk: Buffer): void {
    if (!this.#sender.body(this.#upstream, chunk)) this.connection.pauseReading();
  }

  /** The filters hold as much of the body as they may, or no longer do. */
  holdRequestBody(isMuch: boolean): void {
    if (this.#sender.hold(isMuch)) this.connection.resumeReading();
    else this.connection.pauseReading();
  }

  onRequestEnd(trailers: Headers | null): void {
    this.#requestEnded = true;
    if (this.requestTap !== null) this.requestTap.onEnd(trailers);
    else this.passRequestEnd(trailers);
  }

  passRequestEnd(trailers: Headers | null): void {
    this.#sender.end(this.#upstream, trailers);
  }

  onDownstreamDrain(): void {
    this.#upstream?.resume();
  }

  /** The client has gone (`isReset`: of its stream only), or has broken its message. */
  onDownstreamClosed(isReset = false): void {
    this.isClientReset = isReset;
    if (this.#flag === "") this.#flag = "downstream_gone";
    this.#abort();
  }

  onDeadline(): void {
    const waited = `no complete answer from ${this.#attempt?.service ?? "upstream"} in time`;
    this.fail(proxyError("upstream_timeout", waited));
  }

  onUpstreamReady(connection: Upstream): void {
    if (this.#over || this.responseStarted) {
      connection.abort();
      return;
    }
    this.#upstream = connection;
    this.#attempt?.onReady(connection);
    if (this.#sender.sendTo(connection)) this.connection.resumeReading();
  }

  onUpstreamDrain(): void {
    if (this.#sender.drained()) this.connection.resumeReading();
  }

  onUpstreamFailure(kind: UpstreamFailureKind, detail: string): void {
    const used = this.#upstream;
    if (kind === "timeout") this.#dropUpstream();
    const attempt = this.#attempt;
    if (this.#over || attempt === null) return;
    attempt.onFailure(kind, detail);
    if (this.responseStarted) {
      this.#flag = "upstream_reset";
      this.#abort();
      return;
    }
    // A response that filters have seen cannot be taken back.
    const mayRetry = this.#draft === null;
    const isSafe = mayReplay(this.head, this.hasBody);
    const again = mayRetry ? attempt.retryAfter(kind, used, isSafe) : "no";
    if (again === "resent") this.#sender.rewind();
    if (again !== "no") return;
    const error = attempt.errorOf(kind, detail);
    if (!mayRetry || this.#hedges?.awaits(error) !== true) this.fail(error);
    else this.#upstream = null;
  }

  /** A try takes long. True: it is waited for, perhaps beside another one. */
  hedge(): boolean {
    if (this.#upstream === null || this.#attempt === null || !this.#sender.isWhole) return false;
    this.#hedges ??= new Hedges(this, this.#attempt);
    if (this.#hedges.begin(this.#upstream, this.#sender)) this.#upstream = null;
    return true;
  }

  /** A late try has its answer before the one that began after it. */
  takeLate(connection: Upstream, place: TryPlace, head: ResponseHead): void {
    this.#attempt?.returnTo(place);
    this.#dropUpstream();
    this.#upstream = connection;
    connection.handOver(this);
    this.onResponseHead(head);
  }

  onInformational(response: ResponseHead): void {
    // 100 was answered or is not awaited; a client of HTTP/1.0 knows no interim response.
    if (this.#over || response.status === STATUS_CONTINUE || this.head.versionMinor === 0) return;
    removeHopByHop(response.headers);
    this.#writer.interim(response.status, response.reason, response.headers);
  }

  onResponseHead(response: ResponseHead): void {
    if (this.#over) return;
    if (response.status < STATUS_FINAL_MIN && !isSwitchTo(this.#upgrade, response)) {
      this.fail(proxyError("upstream_protocol", "the upstream switched protocols unasked"));
      return;
    }
    if (this.#passOver(response)) return;
    const { headers, status } = response;
    this.#upstreamMs = this.context.clock.monotonicMs() - this.startedMs;
    removeHopByHop(headers);
    const hasBody = mayHaveBody(response);
    if (!hasBody) this.#attempt?.onAnswered(null);
    this.#draft = { status, headers, local: false, hasBody };
    this.#response = response;
    const replacement = this.#handler.onResponse(this, this.#draft);
    if (this.isOver || replacement === HELD) return;
    if (replacement !== null) {
      this.#dropUpstream();
      this.#replace(replacement);
    } else this.startResponse();
  }

  /** Another try is awaited in the place of this answer. */
  #passOver(response: ResponseHead): boolean {
    const isRetried = this.#attempt?.retryAnswer(response) === true;
    const isPassed = isRetried || this.#hedges?.awaitsBetter(response) === true;
    if (isPassed) this.#dropUpstream();
    else this.#hedges?.end();
    if (isRetried) this.#sender.rewind();
    return isPassed;
  }

  /** Sends the head of the response that the handler has seen. */
  startResponse(): void {
    const draft = this.#draft;
    const response = this.#response;
    if (draft === null || this.#over || this.responseStarted) return;
    if (response !== null && response.status < STATUS_FINAL_MIN) {
      this.#enterTunnel(response);
      return;
    }
    const isKept = response?.status === draft.status;
    const reason = isKept ? response.reason : reasonPhrase(draft.status);
    const framing = framingFor(draft, response, this.#method, this.head);
    this.#startResponse(draft, reason, framing);
  }

  get bodyTaker(): BodyTaker | null {
    return this.responseTap === null ? this.#writer : null;
  }

  onResponseBody(chunk: Buffer): void {
    if (this.responseTap !== null) this.responseTap.onData(chunk);
    else this.#writer.body(chunk);
  }

  onResponseEnd(trailers: Headers | null): void {
    this.#attempt?.onAnswered(trailers);
    if (this.responseTap === null && this.responseStarted) {
      this.#endResponse(trailers);
      return;
    }
    // The filters may hold the response for long: others may have the connection meanwhile.
    const upstream = this.#upstream;
    this.#upstream = null;
    upstream?.release(this.#sender.isPassed);
    this.responseTap?.onEnd(trailers);
  }

  passResponseBody(chunk: Buffer): void {
    if (this.#over) return;
    if (this.#method !== "HEAD") this.#writer.body(chunk);
    this.#writer.flush();
  }

  passResponseEnd(trailers: Headers | null): void {
    this.#dropUpstream();
    if (!this.#over) this.#endResponse(trailers);
  }

  /** The filters hold as much of the response as they may. */
  pauseResponse(): void {
    this.#upstream?.pause();
  }

  resumeResponse(): void {
    this.#upstream?.resume();
  }

  #dropUpstream(): void {
    this.#upstream?.abort();
    this.#upstream = null;
  }

  #endResponse(trailers: Headers | null): void {
    this.#writer.end(trailers);
    const upstream = this.#upstream;
    this.#upstream = null;
    upstream?.release(this.#sender.isPassed);
    this.#finish();
  }

  onUpstreamBatchEnd(): void {
    this.#writer.flush();
  }

  onUpstreamAssertion(error: unknown): void {
    this.#upstream = null;
    this.context.observer.onAssertion(error);
    this.fail(proxyError("internal", "a fault of ours; it has been logged"));
  }

  /** The upstream has switched as asked: from here on both sides' bytes pass as they are. */
  #enterTunnel({ reason, headers }: ResponseHead): void {
    const upstream = this.#upstream?.switchable ?? null;
    const downstream = this.connection.switchable;
    if (upstream === null || downstream === null) return;
    this.#upstream = null;
    this.#status = STATUS_SWITCHING;
    if (this.deadlineMs !== NO_DEADLINE) this.context.sweeper.remove(this);
    addUpgrade(headers, this.#upgrade ?? "");
    downstream.writeText(serializeResponseHead(STATUS_SWITCHING, reason, headers));
    this.#handler.onTunnel?.();
    joinTunnel({ downstream, upstream, observer: this.context.observer }, (counts) => {
      this.#requestBytes += counts.fromDownstreamBytes;
      this.#writer.bodyBytes += counts.fromUpstreamBytes;
      this.#end();
    });
  }

  #startResponse(draft: ResponseDraft, reason: string, framing: BodyFraming): void {
    this.#status = draft.status;
    const { headers, status, local } = draft;
    this.#keepAlive &&= framing !== "close" && !this.connection.isDraining;
    // An answer before the request's end: the rest is not worth reading (RFC 9112 section 9.6).
    if (!this.#requestEnded && local) this.#keepAlive = false;
    tellEnd(headers, framing, { keepAlive: this.#keepAlive, head: this.head });
    this.#writer.head({ status, reason, headers, framing });
  }

  /** A plug-in answers in the place of the response. */
  #replace(replacement: Replacement): void {
    const { status, headers, body, flag } = replacement;
    this.#flag = flag;
    this.#writeLocal(withLength(status, headers, body.length), Buffer.from(body));
  }

  #writeLocal(draft: ResponseDraft, body: Buffer): void {
    const { status, headers } = draft;
    const framing = isBodiless(status) ? "none" : "raw";
    if (framing === "none") headers.remove("content-length");
    else headers.set("content-length", String(body.length));
    this.#startResponse(draft, reasonPhrase(status), framing);
    if (this.#method !== "HEAD") this.#writer.body(body);
    this.#writer.end(null);
    this.#finish();
  }

  #finish(): void {
    this.#writer.flush();
    this.#end();
    this.connection.onExchangeEnd(this.#keepAlive && this.#requestEnded);
  }

  #abort(): void {
    if (this.#over) return;
    this.#writer.drop();
    this.#end();
    this.connection.destroy();
  }

  /** The one end of an exchange: every path comes through here once. */
  #end(): void {
    this.#over = true;
    if (this.deadlineMs !== NO_DEADLINE) this.context.sweeper.remove(this);
    this.#attempt?.abandon();
    this.#hedges?.end();
    this.#sender.abandon();
    this.#dropUpstream();
    this.#handler.onEnd(this);
    const record = recordOf(this, this.outcome());
    this.context.observer.onExchangeEnd(record, this);
    this.#handler.onRecord?.(this, record);
  }

  /** What is known of it so far. */
  outcome(): ExchangeOutcome {
    return {
      handler: this.#handler,
      response: this.#draft,
      status: this.#status,
      flag: this.#flag,
      bytesReceived: this.#requestBytes,
      bytesSent: this.#writer.bodyBytes,
      upstreamMs: this.#upstreamMs,
      attempt: this.#attempt,
    };
  }
}
