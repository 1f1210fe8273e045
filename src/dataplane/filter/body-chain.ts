//! The body of one message on its way through the filters that read bodies, in their order.
//!
//! Exists only for a message whose body a filter wants to see; every other body never comes here.
//! It knows no plug-in and no socket: stages look at data, a sink takes what has passed them all.
//! The rules are those of Envoy's filter manager (decodeData, commonContinue).

import type { Headers } from "../../http/headers.ts";
import { BodyBuffer } from "../../wasm/body-buffer.ts";
import { BodyAction } from "../../wasm/enums.ts";

/**
 * What one stage may hold back of one body: Envoy's default (`per_connection_buffer_limit_bytes`).
 * More of a request is answered with 413, more of a response with 500. A stage that does not ask
 * for the whole body (`watermark`, or headers that stop everything) makes the sender wait instead.
 */
export const BODY_HELD_BYTES_MAX: number = 1024 * 1024;
/** As far as plug-ins of Higress may raise it. */
export const BODY_HELD_BYTES_LIMIT: number = 100 * 1024 * 1024;

/** How far a stage has let the head pass. */
export type HeadState = "passed" | "stop" | "stopAll";

/** One filter's part in it. */
export interface BodyStage {
  /** `body` may be changed. Whatever is answered, `isOver` of the sink is asked next. */
  onBody(body: BodyBuffer, endOfStream: boolean): BodyAction;
  /** Anything but `continue` holds the trailers and all that is held before them. */
  onTrailers(): BodyAction;
}

export interface BodySink {
  /** The message has an outcome already: nothing more is passed or asked. */
  readonly isOver: boolean;
  /** What one stage may hold back; asked anew each time. */
  readonly bytesHeldMax: number;
  /** Stage `index` lets the head pass that it held: run what comes after it. */
  onHeadReleased(index: number): void;
  /** Bytes that have passed every stage. `endOfStream`: the last ones, and no trailers follow. */
  onPassed(body: BodyBuffer, endOfStream: boolean): void;
  onTrailersPassed(trailers: Headers): void;
  /** A stage asked for the whole body, and it is larger than may be held. */
  onTooLarge(): void;
  /** More is held than a sender may push ahead; `false`: it has been let go. */
  onHeldMuch(isMuch: boolean): void;
}

interface StageState {
  readonly stage: BodyStage;
  head: HeadState;
  /** It is shown nothing before it goes on, also when what it has put in has released its head. */
  stopsAll: boolean;
  held: BodyBuffer | null;
  /** The stage has asked to see all that is held (`buffer`). */
  showsAll: boolean;
  isStopped: boolean;
  /** The end has come to this stage and waits in it. */
  hasEnd: boolean;
  hasTrailers: boolean;
}

export class BodyChain {
  /** Set before `onEnd`, or by a stage in its last callback. */
  trailers: Headers | null = null;
  readonly #sink: BodySink;
  readonly #states: StageState[] = [];
  #isSlowed = false;
  /** A stage has ended the message: nothing that comes from the sender counts any more. */
  #isCut = false;

  constructor(sink: BodySink) {
    this.#sink = sink;
  }

  get stageCount(): number {
    return this.#states.length;
  }

  /** Adds the next stage; `head`: does it let the message's head pass? Returns its index. */
  add(stage: BodyStage, head: HeadState): number {
    this.#states.push({
      stage,
      head,
      stopsAll: head === "stopAll",
      held: null,
      showsAll: false,
      isStopped: head !== "passed",
      hasEnd: false,
      hasTrailers: false,
    });
    return this.#states.length - 1;
  }

  /** A stage holds more than a sender may push ahead. */
  get isSlowed(): boolean {
    return this.#isSlowed;
  }

  isHeldAt(index: number): boolean {
    return this.#states[index]?.isStopped === true;
  }

  /** Data from the sender. `isLast`: its end is known with it (our own replies). */
  onData(chunk: Buffer, isLast = false): void {
    if (!this.#isOver()) this.#data(0, new BodyBuffer(chunk), isLast);
  }

  onEnd(trailers: Headers | null): void {
    if (this.#isOver()) return;
    this.trailers = trailers;
    if (trailers === null) this.#data(0, new BodyBuffer(), true);
    else this.#trailersFrom(0);
  }

  /** The stage at `index` lets go of what it holds, without another look at it. */
  continue(index: number): void {
    const state = this.#states[index];
    if (state?.isStopped !== true || this.#isOver()) return;
    // What a stage has never been shown is shown to it now, as in Envoy.
    const { stopsAll, held, hasEnd, hasTrailers } = state;
    const next = stopsAll ? index : index + 1;
    this.#reset(state);
    if (!this.#releaseHead(state, index)) return;
    if (held !== null || hasEnd) this.#data(next, held ?? new BodyBuffer(), hasEnd);
    if (hasTrailers && !this.#isOver()) this.#trailersFrom(next);
    this.#speedUp();
  }

  /**
   * Passes data on as if the stage at `index` had let it pass, before what it holds. `isLast`: the
   * message ends with it.
   */
  inject(index: number, body: BodyBuffer, isLast: boolean): void {
    const state = this.#states[index];
    if (state === undefined || this.#isOver() || !this.#releaseHead(state, index)) return;
    this.#data(index + 1, body, isLast);
    if (isLast) this.#isCut = true;
  }

  #data(from: number, data: BodyBuffer, isLast: boolean): void {
    let body = data;
    let isEnd = isLast;
    // Trailers that a stage has added in the last callback follow the data through the rest.
    let trailersFrom = -1;
    for (let index = from; index < this.#states.length; index++) {
      const passed = this.#show(index, body, isEnd);
      if (this.#isOver()) return;
      if (isEnd && this.#hasTrailers()) {
        isEnd = false;
        trailersFrom = index + 1;
      }
      if (passed === null) {
        const state = this.#states[index];
        if (state !== undefined && trailersFrom === index + 1) state.hasTrailers = true;
        else if (trailersFrom !== -1) this.#trailersFrom(trailersFrom);
        return;
      }
      body = passed;
    }
    this.#sink.onPassed(body, isEnd);
    if (trailersFrom !== -1 && !this.#isOver()) this.#trailersFrom(trailersFrom);
  }

  /** What passes on from the stage, or null when it holds it. */
  #show(index: number, body: BodyBuffer, isEnd: boolean): BodyBuffer | null {
    const state = this.#states[index] as StageState;
    if (state.stopsAll) {
      state.hasEnd = isEnd;
      this.#hold(state, body);
      this.#slowDown(state);
      return null;
    }
    const shown = state.showsAll ? this.#hold(state, body) : body;
    const action = state.stage.onBody(shown, isEnd);
    if (this.#isOver()) return null;
    if (action === BodyAction.continue) {
      const passed = shown === state.held ? shown : this.#hold(state, shown);
      this.#reset(state);
      return this.#releaseHead(state, index) ? passed : null;
    }
    state.hasEnd = isEnd && !this.#hasTrailers();
    this.#stop(state, shown, action);
    return null;
  }

  #stop(state: StageState, shown: BodyBuffer, action: BodyAction): void {
    state.isStopped = true;
    if (action === BodyAction.drop) {
      if (shown === state.held) state.held = null;
      state.showsAll = false;
      return;
    }
    if (shown !== state.held) this.#hold(state, shown);
    state.showsAll = action === BodyAction.buffer;
    if (!state.showsAll) this.#slowDown(state);
    else if ((state.held?.size ?? 0) > this.#sink.bytesHeldMax) this.#sink.onTooLarge();
  }

  /** A stage may have made them in the callback that has just run. */
  #hasTrailers(): boolean {
    return this.trailers !== null;
  }

  /** Asked anew each time: any callback may have ended the message. */
  #isOver(): boolean {
    return this.#isCut || this.#sink.isOver;
  }

  #trailersFrom(from: number): void {
    const { trailers } = this;
    if (trailers === null) return;
    for (let index = from; index < this.#states.length; index++) {
      const state = this.#states[index] as StageState;
      if (state.stopsAll) {
        state.hasTrailers = true;
        return;
      }
      const action = state.stage.onTrailers();
      if (this.#isOver()) return;
      if (action !== BodyAction.continue) {
        state.isStopped = true;
        state.hasTrailers = true;
        return;
      }
      const { held } = state;
      this.#reset(state);
      if (!this.#releaseHead(state, index)) return;
      if (held !== null) this.#data(index + 1, held, false);
      if (this.#isOver()) return;
    }
    this.#sink.onTrailersPassed(trailers);
  }

  #hold(state: StageState, body: BodyBuffer): BodyBuffer {
    if (state.held === null) state.held = body;
    else state.held.append(body);
    return state.held;
  }

  #reset(state: StageState): void {
    state.held = null;
    state.stopsAll = false;
    state.showsAll = false;
    state.isStopped = false;
    state.hasEnd = false;
    state.hasTrailers = false;
  }

  /** False when the message has its outcome now. */
  #releaseHead(state: StageState, index: number): boolean {
    if (state.head !== "passed") {
      state.head = "passed";
      this.#sink.onHeadReleased(index);
    }
    return !this.#isOver();
  }

  #slowDown(state: StageState): void {
    if (this.#isSlowed || (state.held?.size ?? 0) <= this.#sink.bytesHeldMax) return;
    this.#isSlowed = true;
    this.#sink.onHeldMuch(true);
  }

  #speedUp(): void {
    if (!this.#isSlowed) return;
    const { bytesHeldMax } = this.#sink;
    if (this.#states.some(({ held }) => (held?.size ?? 0) > bytesHeldMax)) return;
    this.#isSlowed = false;
    this.#sink.onHeldMuch(false);
  }
}
