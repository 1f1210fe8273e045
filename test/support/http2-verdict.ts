//! Sends cases of raw HTTP/2 frames through a proxy and says what became of each.

import { connect } from "node:net";
import {
  ACK,
  END_HEADERS,
  END_STREAM,
  PADDED,
  PREFACE,
  TYPE,
  frame,
  headersFrame,
  readFrames,
  setting,
  statusOf,
  type Frame,
} from "../../src/dataplane/testing/http2-frames.ts";
import { GET } from "../fuzz/http2-frame-case.ts";
import type { FrameCase } from "../fuzz/http2-frame-case.ts";
import type { ResponseCase } from "../fuzz/http2-response-cases.ts";
import type { RecordingUpstream } from "./recording-upstream.ts";
import type { ScriptedUpstream } from "./scripted-upstream.ts";
import type { Judged } from "./verdict-page.ts";

/** Nothing more comes for this long after what must be served is answered. */
const SERVED_QUIET_MS = 30;
/** The same where something must be refused, after the answer to our PING. */
const REFUSED_QUIET_MS = 120;
const SERVED_MS_MAX = 5_000;
/** Of what must be refused it may be that nothing comes. */
const REFUSED_MS_MAX = 500;
const NO_TABLE = setting(1, 0);
const MARK_BYTE = 0x6d;
const MARK = frame("ping", Buffer.alloc(8, MARK_BYTE));
const PREFIX = Buffer.concat([PREFACE, frame("settings", NO_TABLE)]);

/** What the client saw of one stream. */
export interface SeenStream {
  /** The final one; 0 without. */
  readonly status: number;
  /** Ended by END_STREAM, and not reset. */
  readonly isWhole: boolean;
  /** The code of its RST_STREAM. */
  readonly reset: number | null;
  readonly body: string;
}

export interface Answer {
  readonly streams: ReadonlyMap<number, SeenStream>;
  /** The code of the last GOAWAY. */
  readonly goaway: number | null;
  readonly isClosed: boolean;
}

export interface FrameVerdict {
  readonly answer: Answer;
  readonly forwardedCount: number;
  readonly isBroken: boolean;
  /** The text at the upstream is not what it must be. */
  readonly isOther: boolean;
}

export async function judgeFrames(
  port: number,
  upstream: RecordingUpstream,
  one: FrameCase,
): Promise<FrameVerdict> {
  upstream.mark();
  const served = one.must === "refuse" ? 0 : one.must;
  const waitMs = served === 0 ? REFUSED_MS_MAX : SERVED_MS_MAX;
  const answer = await exchangeFrames(port, one.bytes, { served, waitMs });
  const { whole, isBroken } = upstream.count();
  const { text } = upstream;
  const isOther = one.upstream?.test(text) === false;
  return { answer, forwardedCount: whole, isBroken, isOther };
}

/** Did the proxy do what it must? A served request is one that the upstream got. */
export function isRightVerdict(one: FrameCase, verdict: FrameVerdict): boolean {
  const { forwardedCount, isBroken, isOther } = verdict;
  if (isBroken) return false;
  if (one.must === "refuse") return forwardedCount <= one.before;
  return forwardedCount === one.must && !isOther;
}

export function wordsOfVerdict({
  answer,
  forwardedCount,
  isBroken,
  isOther,
}: FrameVerdict): string {
  const passed = forwardedCount === 0 ? "" : `, ${forwardedCount} forwarded`;
  const other = isOther ? ", changed" : "";
  return `${wordsOfAnswer(answer)}${passed}${other}${isBroken ? ", broken bytes forwarded" : ""}`;
}

const REQUEST = headersFrame(GET);

/** What a client of HTTP/2 sees of the answer to one request. */
export async function judgeResponse(
  port: number,
  upstream: ScriptedUpstream,
  one: ResponseCase,
): Promise<Judged> {
  upstream.dropConnections();
  upstream.case = one;
  const waitMs = one.must === "refuse" ? REFUSED_MS_MAX : SERVED_MS_MAX;
  const answer = await exchangeFrames(port, REQUEST, { served: 1, waitMs });
  const [stream] = answer.streams.values();
  const { status = 0, isWhole = false } = stream ?? {};
  // 502 and the like are the proxy's own words.
  const isPassed = isWhole && status < 500;
  const isRight = one.must === "refuse" ? !isPassed : isWhole && status === one.must;
  return { words: wordsOfAnswer(answer), isRight };
}

export function wordsOfAnswer({ streams, goaway, isClosed }: Answer): string {
  const words = [...streams.values()].map(({ status, isWhole, reset }) => {
    const end = reset === null || reset === 0 ? "" : "RST_STREAM";
    if (status === 0) return end;
    return isWhole ? String(status) : `${status} ${end === "" ? "unended" : end}`;
  });
  if (goaway !== null && goaway !== 0) words.push("GOAWAY");
  else if (isClosed) words.push("closed");
  const said = words.filter((word) => word !== "");
  return said.length === 0 ? "no answer" : said.join(", ");
}

interface Waiting {
  /** So many answers are waited for. */
  readonly served: number;
  readonly waitMs: number;
}

/** All that comes back until nothing does. */
export function exchangeFrames(
  port: number,
  bytes: Buffer,
  { served, waitMs }: Waiting,
): Promise<Answer> {
  return new Promise((resolve) => {
    const reader = new AnswerReader();
    const socket = connect(port, "127.0.0.1");
    let timer = setTimeout(end, waitMs);
    function end(): void {
      clearTimeout(timer);
      socket.destroy();
      resolve(reader.answer(false));
    }
    socket.on("data", (chunk: Buffer) => {
      if (reader.read(chunk)) socket.write(frame("settings", Buffer.alloc(0), { flags: ACK }));
      if (!reader.hasMark || reader.endedCount < served) return;
      clearTimeout(timer);
      timer = setTimeout(end, served > 0 ? SERVED_QUIET_MS : REFUSED_QUIET_MS);
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(reader.answer(true));
    });
    socket.write(Buffer.concat([PREFIX, bytes, MARK]));
  });
}

interface Stream {
  status: number;
  hasEnded: boolean;
  reset: number | null;
  body: string;
  head: Buffer;
}

class AnswerReader {
  #rest: Buffer = Buffer.alloc(0);
  readonly #streams = new Map<number, Stream>();
  #goaway: number | null = null;
  /** Our PING behind the case has been answered. */
  hasMark = false;
  /** Whose fields are being read, until END_HEADERS. */
  #open: Stream | null = null;

  get endedCount(): number {
    const all = [...this.#streams.values()];
    return all.filter(({ hasEnded, reset }) => hasEnded || reset !== null).length;
  }

  answer(isClosed: boolean): Answer {
    const streams = [...this.#streams].map(([id, { status, hasEnded, reset, body }]) => {
      const isWhole = hasEnded && (reset === null || reset === 0);
      return [id, { status, isWhole, reset, body }] as const;
    });
    return { streams: new Map(streams), goaway: this.#goaway, isClosed };
  }

  /** True when SETTINGS came that want an acknowledgement. */
  read(chunk: Buffer): boolean {
    const { frames, rest } = readFrames(Buffer.concat([this.#rest, chunk]));
    this.#rest = rest;
    for (const one of frames) this.#take(one);
    return frames.some(({ type, flags }) => type === TYPE.settings && (flags & ACK) === 0);
  }

  #take(one: Frame): void {
    if (one.type === TYPE.goaway) this.#goaway = one.payload.readUInt32BE(4);
    if (one.type === TYPE.ping) this.hasMark ||= one.payload.every((byte) => byte === MARK_BYTE);
    if (one.type === TYPE.reset) this.#stream(one.stream).reset = one.payload.readUInt32BE(0);
    if (one.type === TYPE.headers || one.type === TYPE.continuation) this.#takeHead(one);
    if (one.type !== TYPE.data) return;
    const stream = this.#stream(one.stream);
    stream.body += payloadOf(one).toString("latin1");
    stream.hasEnded ||= (one.flags & END_STREAM) !== 0;
  }

  #takeHead(one: Frame): void {
    const stream = this.#open ?? this.#stream(one.stream);
    stream.head = Buffer.concat([stream.head, payloadOf(one)]);
    if (one.type === TYPE.headers) stream.hasEnded ||= (one.flags & END_STREAM) !== 0;
    this.#open = (one.flags & END_HEADERS) === 0 ? stream : null;
    if (this.#open !== null) return;
    const status = statusOf(stream.head);
    // An interim head is followed by another; trailers have no status.
    if (status >= 200 || stream.status === 0) stream.status = status;
    stream.head = Buffer.alloc(0);
  }

  #stream(id: number): Stream {
    const known = this.#streams.get(id);
    if (known !== undefined) return known;
    const made = { status: 0, hasEnded: false, reset: null, body: "", head: Buffer.alloc(0) };
    this.#streams.set(id, made);
    return made;
  }
}

function payloadOf({ flags, payload }: Frame): Buffer {
  if ((flags & PADDED) === 0) return payload;
  return payload.subarray(1, payload.length - payload.readUInt8(0));
}
