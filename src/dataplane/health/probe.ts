//! One question to one endpoint: is it well? In HTTP, gRPC or TCP.

import { connect } from "node:net";
import type { Socket } from "node:net";
import { Headers } from "../../http/headers.ts";
import type { ResponseHead } from "../../http/response-parser.ts";
import type { HealthCheck, HealthQuestion, StatusRange } from "../../snapshot/routing.ts";
import type { Cluster, Endpoint } from "../../snapshot/snapshot.ts";
import { dialled } from "../upstream/upstream.ts";
import { writtenProxyHeader } from "../upstream/written-proxy-header.ts";
import type { Upstream, UpstreamFailureKind, UpstreamUser } from "../upstream/upstream.ts";
import type { UpstreamPools } from "../upstream/upstream-pools.ts";
import type { CheckOutcome } from "./cluster-health.ts";

/** Of an answer at most this much is looked at. */
const ANSWER_BYTES_MAX = 65_536;
const GRPC_TARGET = "/grpc.health.v1.Health/Check";
const GRPC_PREFIX_BYTES = 5;
/** `HealthCheckResponse.status` is SERVING: field 1, varint, 1. */
const SERVING = Buffer.from([0x08, 0x01]);
const STATUS_OK = 200;

type OnOutcome = (outcome: CheckOutcome) => void;

export interface ProbeTarget {
  readonly check: HealthCheck;
  readonly cluster: Cluster;
  readonly endpoint: Endpoint;
}

/** Asks; `onOutcome` is called at most once. The result ends it without an outcome. */
export function probe(target: ProbeTarget, pools: UpstreamPools, onOutcome: OnOutcome): () => void {
  const { ask } = target.check;
  if (ask.kind === "tcp") return probeTcp(target, ask, onOutcome);
  const running = new HttpProbe(target, ask, onOutcome);
  running.start(pools, false);
  return () => {
    running.end();
  };
}

type HttpQuestion = Exclude<HealthQuestion, { kind: "tcp" }>;

class HttpProbe implements UpstreamUser {
  readonly #target: ProbeTarget;
  readonly #ask: HttpQuestion;
  readonly #onOutcome: OnOutcome;
  #pools: UpstreamPools | null = null;
  #connection: Upstream | null = null;
  #abandon: () => void = () => undefined;
  #status = 0;
  #body: Buffer = Buffer.alloc(0);
  #grpcStatus: string | undefined;
  #isOver = false;

  constructor(target: ProbeTarget, ask: HttpQuestion, onOutcome: OnOutcome) {
    this.#target = target;
    this.#ask = ask;
    this.#onOutcome = onOutcome;
  }

  start(pools: UpstreamPools, wantsNew: boolean): void {
    this.#pools = pools;
    const { cluster, endpoint, check } = this.#target;
    const isHttp2 = this.#ask.kind === "grpc" || cluster.protocol === "h2";
    const pool = pools.poolFor(endpoint, cluster, { subset: null, client: null, isHttp2 });
    if (typeof pool === "string") {
      this.#failLater();
      return;
    }
    const options = { connectTimeoutMs: check.timeoutMs, cluster: null };
    const acquired = pool.acquire(this, options, wantsNew);
    if (acquired.kind === "ready") this.onUpstreamReady(acquired.connection);
    else if (acquired.kind === "connecting") {
      this.#abandon = () => {
        acquired.connection.abandonConnect();
      };
    } else if (acquired.kind === "waiting") {
      this.#abandon = () => {
        pool.cancel(acquired.waiting);
      };
    } else this.#failLater();
  }

  /** Who asks hears of nothing while he asks. */
  #failLater(): void {
    setImmediate(() => {
      this.#settle("bad");
    });
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#abandon();
    this.#connection?.abort();
    this.#connection = null;
  }

  onUpstreamReady(connection: Upstream): void {
    this.#abandon = () => undefined;
    if (this.#isOver) {
      connection.abort();
      return;
    }
    this.#connection = connection;
    const ask = this.#ask;
    const headers = new Headers();
    const { host } = this.#target.cluster;
    const wanted = ask.kind === "http" ? ask.host : ask.authority;
    headers.add("host", wanted === "" ? host : wanted);
    headers.add("user-agent", "Graylane/HC");
    if (ask.kind === "http") {
      connection.sendHead({ method: ask.method, target: ask.path, headers, hasBody: false });
      return;
    }
    headers.add("te", "trailers");
    headers.add("content-type", "application/grpc");
    connection.sendHead({ method: "POST", target: GRPC_TARGET, headers, hasBody: true });
    connection.sendBody(grpcQuestion(ask.service));
    connection.sendEnd(null);
  }

  onUpstreamFailure(kind: UpstreamFailureKind): void {
    // An idle connection may have been closed under the question: it says nothing.
    const isReset = kind === "reset" || kind === "stream";
    const mayAskAgain = isReset && this.#connection?.reused === true;
    this.#connection = null;
    if (this.#isOver) return;
    if (mayAskAgain && this.#pools !== null) this.start(this.#pools, true);
    else this.#settle("bad");
  }

  onUpstreamDrain(): void {
    // The question is short.
  }

  onInformational(): void {
    // No outcome.
  }

  onResponseHead({ status, headers }: ResponseHead): void {
    this.#status = status;
    this.#grpcStatus = headers.get("grpc-status");
  }

  onResponseBody(chunk: Buffer): void {
    const isWanted = this.#ask.kind === "grpc" && this.#body.length < ANSWER_BYTES_MAX;
    if (isWanted) this.#body = Buffer.concat([this.#body, chunk]);
  }

  onResponseEnd(trailers: Headers | null): void {
    const connection = this.#connection;
    this.#connection = null;
    connection?.release(true);
    this.#grpcStatus ??= trailers?.get("grpc-status");
    this.#settle(this.#outcome());
  }

  onUpstreamBatchEnd(): void {
    // Nothing is written on.
  }

  onUpstreamAssertion(): void {
    this.#connection = null;
    this.#settle("bad");
  }

  #outcome(): CheckOutcome {
    const ask = this.#ask;
    if (ask.kind === "http") {
      if (isIn(ask.statuses, this.#status)) return "good";
      return isIn(ask.retriable, this.#status) ? "bad" : "refused";
    }
    const isAnswer = this.#status === STATUS_OK && this.#grpcStatus === "0";
    const isServing = this.#body.subarray(GRPC_PREFIX_BYTES).equals(SERVING);
    return isAnswer && isServing ? "good" : "refused";
  }

  #settle(outcome: CheckOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onOutcome(outcome);
  }
}

function isIn(ranges: readonly StatusRange[], status: number): boolean {
  return ranges.some(([from, to]) => status >= from && status < to);
}

/** `HealthCheckRequest` in its frame: field 1, the service's name. */
function grpcQuestion(service: string): Buffer {
  const name = Buffer.from(service);
  const field = name.length === 0 ? [] : [Buffer.from([0x0a]), varint(name.length), name];
  const message = Buffer.concat(field);
  const prefix = Buffer.alloc(GRPC_PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** In clear: whether something listens there, and perhaps whether it answers as it should. */
function probeTcp(
  { endpoint: { address, port }, cluster: { policy } }: ProbeTarget,
  ask: Extract<HealthQuestion, { kind: "tcp" }>,
  onOutcome: OnOutcome,
): () => void {
  const version = policy?.proxyProtocol;
  const proxyHeader = version === undefined ? null : writtenProxyHeader(version, null);
  const socket: Socket = connect(dialled({ address, port, from: "", proxyHeader }));
  let received = Buffer.alloc(0);
  let isOver = false;
  const settle = (outcome: CheckOutcome | null): void => {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    if (outcome !== null) onOutcome(outcome);
  };
  socket.on("connect", () => {
    if (proxyHeader !== null) socket.write(proxyHeader);
    if (ask.send !== "") socket.write(Buffer.from(ask.send, "hex"));
    if (ask.receive.length === 0) settle("good");
  });
  socket.on("data", (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]).subarray(0, ANSWER_BYTES_MAX);
    if (hasInOrder(received, ask.receive)) settle("good");
  });
  for (const event of ["error", "close"]) {
    socket.on(event, () => {
      settle("bad");
    });
  }
  return () => {
    settle(null);
  };
}

/** As Envoy's: the blocks need not follow one another at once. */
function hasInOrder(bytes: Buffer, blocks: readonly string[]): boolean {
  let from = 0;
  for (const block of blocks) {
    const wanted = Buffer.from(block, "hex");
    const at = bytes.indexOf(wanted, from);
    if (at === -1) return false;
    from = at + wanted.length;
  }
  return true;
}
