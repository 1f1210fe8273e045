//! What one connection of HTTP/2 costs us beyond its requests: no client needs much of that. Each
//! frame is counted as it is read, so that a flood is cut off in the middle of a read.

/** Of a request's body this much may come before it is read. */
export const STREAM_WINDOW_BYTES = 262_144;
export const CONNECTION_WINDOW_BYTES = 1_048_576;
/** All of it is counted in windows that long. */
const ABUSE_WINDOW_MS = 10_000;
/** Streams that the client breaks off, or makes us break off (rapid reset, MadeYouReset). */
const RESETS_PER_WINDOW_MAX = 500;
/** PING and SETTINGS frames. */
const CONTROLS_PER_WINDOW_MAX = 1_000;
/**
 * Frames that carry neither fields nor a body: WINDOW_UPDATE, PRIORITY, empty DATA, padding alone,
 * unknown kinds.
 */
const IDLE_FRAMES_PER_WINDOW_MAX = 2_000;
/** A client may open both windows for each frame of ours, and as much again. */
const IDLE_FRAMES_PER_SENT_FRAME = 4;

/** A head of few bytes that stands for many costs as much as so many resets. */
export const RESETS_FOR_LONG_HEAD = 5;

export class AbuseCount {
  #windowEndMs = 0;
  #resets = 0;
  #controls = 0;
  #idleFrames = 0;
  /** In this window, and in the one before: what answers it may come late. */
  #sentFrames = 0;
  #sentBefore = 0;

  onSent(frames: number): void {
    this.#sentFrames += frames;
  }

  /** Is that too much? `count`: as many as what happened is worth. */
  onReset(nowMs: number, count = 1): boolean {
    this.#turnWindow(nowMs);
    this.#resets += count;
    return this.#resets > RESETS_PER_WINDOW_MAX;
  }

  onControl(nowMs: number): boolean {
    this.#turnWindow(nowMs);
    this.#controls += 1;
    return this.#controls > CONTROLS_PER_WINDOW_MAX;
  }

  onIdleFrame(nowMs: number): boolean {
    this.#turnWindow(nowMs);
    this.#idleFrames += 1;
    const answering = IDLE_FRAMES_PER_SENT_FRAME * (this.#sentFrames + this.#sentBefore);
    return this.#idleFrames > IDLE_FRAMES_PER_WINDOW_MAX + answering;
  }

  #turnWindow(nowMs: number): void {
    if (nowMs < this.#windowEndMs) return;
    this.#windowEndMs = nowMs + ABUSE_WINDOW_MS;
    this.#resets = 0;
    this.#controls = 0;
    this.#idleFrames = 0;
    this.#sentBefore = this.#sentFrames;
    this.#sentFrames = 0;
  }
}
