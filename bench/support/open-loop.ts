//! An open-loop HTTP/1.1 client: it sends at a fixed rate whatever the answers do, never retries, and
//! checks every answer.
//!
//! A closed-loop client (wrk, hey, h2load) waits for an answer before it sends again, so a stall
//! slows the client down and hides itself. Here a request has its time, and its latency is counted
//! from that time even when no connection was free.

import { connect } from "node:net";
import type { Socket } from "node:net";
import { createHistogram } from "node:perf_hooks";
import type { RecordableHistogram } from "node:perf_hooks";
import { connect as connectTls } from "node:tls";

const CRLFCRLF = Buffer.from("\r\n\r\n");
/** How many failures are kept as text; all are counted. */
const FAILURES_KEPT = 20;
/** How many requests may wait for a connection. One more is a failure, not a delay. */
const WAITING_MAX = 100_000;

export interface Answer {
  readonly status: number;
  /** Status line and fields, Latin-1, without the empty line. */
  readonly head: string;
  readonly body: Buffer;
}

export interface PlannedRequest {
  /** The whole request as bytes on the wire; it must not ask for `connection: close`. */
  readonly bytes: string;
  /** What is wrong with the answer, or null. Called once, when the answer is complete. */
  readonly check: (answer: Answer) => string | null;
}

export interface OpenLoopOptions {
  readonly host: string;
  readonly port: number;
  readonly ratePerSecond: number;
  /** The request with that number, from 0; called when it is due. */
  readonly request: (index: number) => PlannedRequest;
  readonly connectionsMax?: number;
  readonly timeoutMs?: number;
  /**
   * Requests that fall due so soon after the start have no part in the latencies: in them the
   * client itself is compiled, and connections are opened.
   */
  readonly warmUpMs?: number;
  /** Over TLS, with whatever certificate the server has. */
  readonly isSecure?: boolean;
}

export interface OpenLoopResult {
  /** Requests that fell due. */
  readonly sent: number;
  /** Complete answers, right or wrong. */
  readonly received: number;
  readonly right: number;
  /** Answers that `check` refused, and requests without an answer. */
  readonly failed: number;
  /** The first of them. */
  readonly failures: readonly string[];
  readonly seconds: number;
  /** From the time a request was due to its last byte, microseconds; without the warm-up. */
  readonly latencyUs: RecordableHistogram;
}

interface Pending {
  readonly planned: PlannedRequest;
  readonly index: number;
  readonly dueMs: number;
}

/** Sends from `start` to `stop`; `stop` waits for the answers under way. */
export class OpenLoopClient {
  readonly #options: OpenLoopOptions;
  readonly #connectionsMax: number;
  readonly #timeoutMs: number;
  readonly #warmUpMs: number;
  readonly #idle: Connection[] = [];
  readonly #open = new Set<Connection>();
  readonly #waiting: Pending[] = [];
  readonly #failures: string[] = [];
  readonly #latencyUs = createHistogram();
  #timer: NodeJS.Timeout | null = null;
  #startMs = 0;
  #sent = 0;
  #received = 0;
  #right = 0;
  #failed = 0;
  #finished: (() => void) | null = null;

  constructor(options: OpenLoopOptions) {
    this.#options = options;
    this.#connectionsMax = options.connectionsMax ?? 64;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#warmUpMs = options.warmUpMs ?? 0;
  }

  /** Counts so far. */
  get progress(): { readonly sent: number; readonly right: number; readonly failed: number } {
    return { sent: this.#sent, right: this.#right, failed: this.#failed };
  }

  start(): void {
    this.#startMs = performance.now();
    // Timers are a millisecond apart at best: at high rates a tick sends several.
    this.#timer = setInterval(() => {
      this.#sendDue();
      this.#expire();
    }, 1);
  }

  async stop(): Promise<OpenLoopResult> {
    this.#sendDue();
    const seconds = (performance.now() - this.#startMs) / 1_000;
    if (this.#right + this.#failed < this.#sent) {
      await new Promise<void>((resolve) => {
        this.#finished = resolve;
        if (this.#timer !== null) clearInterval(this.#timer);
        this.#timer = setInterval(() => {
          this.#expire();
        }, 10);
      });
    }
    if (this.#timer !== null) clearInterval(this.#timer);
    for (const connection of this.#open) connection.destroy();
    return {
      sent: this.#sent,
      received: this.#received,
      right: this.#right,
      failed: this.#failed,
      failures: this.#failures,
      seconds,
      latencyUs: this.#latencyUs,
    };
  }

  #sendDue(): void {
    const { ratePerSecond, request } = this.#options;
    const due = Math.floor(((performance.now() - this.#startMs) * ratePerSecond) / 1_000);
    while (this.#sent < due) {
      const index = this.#sent;
      const dueMs = this.#startMs + (index * 1_000) / ratePerSecond;
      this.#sent += 1;
      this.#dispatch({ planned: request(index), index, dueMs });
    }
  }

  #dispatch(pending: Pending): void {
    const connection = this.#idle.pop();
    if (connection !== undefined) {
      connection.send(pending);
    } else if (this.#open.size < this.#connectionsMax) {
      const opened = new Connection(this.#connect(), {
        answered: (answer, of, reusable) => {
          this.#answered(answer, of);
          if (reusable) this.#release(opened);
        },
        failed: (reason, of) => {
          this.#fail(of, reason);
        },
        closed: () => {
          this.#forget(opened);
        },
      });
      this.#open.add(opened);
      opened.send(pending);
    } else if (this.#waiting.length < WAITING_MAX) {
      this.#waiting.push(pending);
    } else {
      this.#fail(pending, `more than ${WAITING_MAX} requests wait for a connection`);
    }
  }

  #connect(): Socket {
    const { host, port, isSecure = false } = this.#options;
    const socket = isSecure
      ? connectTls({ host, port, servername: "localhost", rejectUnauthorized: false })
      : connect({ host, port });
    return socket.setNoDelay();
  }

  #release(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#idle.push(connection);
    else connection.send(next);
  }

  /** A closed connection makes room for another, for the request that waits the longest. */
  #forget(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    const next = this.#waiting.shift();
    if (next !== undefined) this.#dispatch(next);
  }

  #expire(): void {
    const oldestMs = performance.now() - this.#timeoutMs;
    for (const connection of this.#open) {
      if (connection.dueMs < oldestMs) connection.fail(`no answer in ${this.#timeoutMs} ms`);
    }
  }

  #answered(answer: Answer, { planned, index, dueMs }: Pending): void {
    this.#received += 1;
    if (dueMs - this.#startMs >= this.#warmUpMs) {
      this.#latencyUs.record(Math.max(1, Math.round((performance.now() - dueMs) * 1_000)));
    }
    const wrong = planned.check(answer);
    if (wrong === null) this.#right += 1;
    else this.#note(index, wrong);
    this.#finishWhenDone();
  }

  #fail({ index }: Pending, reason: string): void {
    this.#note(index, reason);
    this.#finishWhenDone();
  }

  #note(index: number, reason: string): void {
    this.#failed += 1;
    if (this.#failures.length < FAILURES_KEPT) this.#failures.push(`request ${index}: ${reason}`);
  }

  #finishWhenDone(): void {
    if (this.#right + this.#failed === this.#sent) this.#finished?.();
  }
}

interface ConnectionEvents {
  readonly answered: (answer: Answer, pending: Pending, isReusable: boolean) => void;
  readonly failed: (reason: string, pending: Pending) => void;
  readonly closed: () => void;
}

/** One socket with at most one request under way. */
class Connection {
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  #pending: Pending | null = null;
  #bytes: Buffer = Buffer.alloc(0);
  #reason = "connection closed by the server before the answer was complete";

  constructor(socket: Socket, events: ConnectionEvents) {
    this.#socket = socket;
    this.#events = events;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      this.#read();
    });
    socket.on("error", (error) => {
      this.#reason = error.message;
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => {
      const pending = this.#pending;
      this.#pending = null;
      events.closed();
      if (pending !== null) events.failed(this.#reason, pending);
    });
  }

  /** When the request under way was due; Infinity without one. */
  get dueMs(): number {
    return this.#pending?.dueMs ?? Infinity;
  }

  send(pending: Pending): void {
    this.#pending = pending;
    this.#socket.write(pending.planned.bytes, "latin1");
  }

  fail(reason: string): void {
    this.#reason = reason;
    this.#socket.destroy();
  }

  destroy(): void {
    this.#pending = null;
    this.#socket.destroy();
  }

  #read(): void {
    const parsed = parseAnswer(this.#bytes);
    if (parsed === "incomplete") return;
    if (parsed === "malformed" || this.#pending === null) {
      this.fail(`not an answer: ${this.#bytes.subarray(0, 80).toString("latin1")}`);
      return;
    }
    const pending = this.#pending;
    this.#pending = null;
    this.#bytes = this.#bytes.subarray(parsed.bytes);
    const isReusable = !/\nconnection:[^\n]*\bclose\b/i.test(parsed.answer.head);
    this.#events.answered(parsed.answer, pending, isReusable);
    if (!isReusable) this.#socket.destroy();
  }
}

/** The first complete answer in `bytes`. It must have a length, chunks, or a status without a body. */
export function parseAnswer(
  bytes: Buffer,
): { readonly answer: Answer; readonly bytes: number } | "incomplete" | "malformed" {
  const headEnd = bytes.indexOf(CRLFCRLF);
  if (headEnd < 0) return "incomplete";
  const head = bytes.toString("latin1", 0, headEnd);
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? 0);
  if (status < 200) return "malformed";
  const start = headEnd + CRLFCRLF.length;
  if (status === 204 || status === 304) {
    return { answer: { status, head, body: Buffer.alloc(0) }, bytes: start };
  }
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    const end = start + Number(length);
    if (bytes.length < end) return "incomplete";
    return { answer: { status, head, body: bytes.subarray(start, end) }, bytes: end };
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return "malformed";
  return parseChunks({ status, head }, bytes, start);
}

function parseChunks(
  { status, head }: { readonly status: number; readonly head: string },
  bytes: Buffer,
  start: number,
): ReturnType<typeof parseAnswer> {
  const pieces: Buffer[] = [];
  let at = start;
  for (;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return "incomplete";
    const size = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    if (!(size >= 0)) return "malformed";
    const data = lineEnd + 2;
    if (bytes.length < data + size + 2) return "incomplete";
    if (size === 0) {
      return { answer: { status, head, body: Buffer.concat(pieces) }, bytes: data + 2 };
    }
    pieces.push(bytes.subarray(data, data + size));
    at = data + size + 2;
  }
}
