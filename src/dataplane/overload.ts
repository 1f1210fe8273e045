//! Refuses a part of the load before a worker dies of all of it: by the delay of its event loop,
//! by its memory, by its connections. While all is well a request costs one look at `isShedding`.
//!
//! A loop that is late once has met a collection of garbage or a busy machine. One that is late all
//! the time for half a second, by its own work, has more to do than it can: from then on as many
//! requests are refused as keep the delay small.

import type { Clock } from "../base/clock.ts";

export interface OverloadLimits {
  /** The loop may be as late as this. */
  readonly delayMs: number;
  /** Heap and buffers in use. */
  readonly memoryBytes: number;
  /** Open client connections of the worker. */
  readonly connectionsMax: number;
}

export interface MemoryReading {
  readonly heapUsed: number;
  /** Where V8 gives up. */
  readonly heapLimit: number;
  /** Outside the heap: buffers, memory of plug-ins. */
  readonly external: number;
}

/** What only the process can tell; tests make it up. */
export interface OverloadSenses {
  readonly memory: () => MemoryReading;
  /** Milliseconds that the process has computed. */
  readonly cpuMs: () => number;
  /** Frees what nobody holds. */
  readonly collectGarbage: () => void;
  readonly onDelay: (delayMs: number) => void;
  /** It begins to refuse, and why; or has stopped, with `null`. */
  readonly onChange: (why: string | null) => void;
}

const CALM_TICK_MS = 50;
const SHEDDING_TICK_MS = 5;
/** Late for this long without a break, and not because another process had the processor. */
const LATE_FOR_MS = 500;
const OWN_WORK_MIN = 0.3;
/** While requests are refused, a delay of this part of the limit is aimed at. */
const AIM = 0.05;
const RISE_PER_SECOND = 1;
const FALL_PER_SECOND = 0.2;
const ERROR_MAX = 4;
const SHARE_MAX = 0.95;
/**
 * To refuse costs up to half of what a plain request costs, and a twentieth of a dear one. So the
 * share rises only while as much is taken, for each second that the process computes, as this part
 * of what was taken before any was refused. What is too much then waits.
 */
const GOODPUT_MIN = 0.8;
const GOODPUT_WINDOW_MS = 250;
const SHARE_STEP = 0.05;
const MEMORY_TICK_MS = 250;
/** Parts of a limit of memory: where requests are refused, connections too, and where no longer. */
const MEMORY_FULL = 0.95;
const MEMORY_VERY_FULL = 0.98;
const MEMORY_FREE = 0.9;
const COLLECT_EVERY_MS = 10_000;
const MS_PER_SECOND = 1_000;

/** What had been done by then. */
interface Work {
  readonly atMs: number;
  readonly cpuMs: number;
  readonly taken: number;
}

export class OverloadGuard {
  /** Ask `takesRequest` of each request. */
  isShedding = false;
  connectionCount = 0;
  /** Requests so far, refused ones included; who asks `isShedding` counts. */
  requestCount = 0;
  shedCount = 0;
  /** How much of each limit is used; 1: all of it. */
  readonly pressure: { delay: number; heap: number; memory: number } = {
    ...{ delay: 0, heap: 0, memory: 0 },
  };
  readonly limits: OverloadLimits;
  readonly #clock: Clock;
  readonly #senses: OverloadSenses;
  #dueMs: number;
  /** When the loop began to be late without a break. */
  #late: Work | null = null;
  /** The part of all requests that is refused because the loop is late, and the most it may be. */
  #delayShare = 0;
  #shareMax = SHARE_MAX;
  /** Requests taken for each millisecond of the processor: before any was refused. */
  #takenPerMs = 0;
  /** Where the window began in which that is compared. */
  #window: Work = { atMs: 0, cpuMs: 0, taken: 0 };
  #isMemoryFull = false;
  #memoryReadMs: number;
  #collectedMs = -COLLECT_EVERY_MS;
  #debt = 0;

  constructor(clock: Clock, limits: OverloadLimits, senses: OverloadSenses) {
    this.#clock = clock;
    this.limits = limits;
    this.#senses = senses;
    this.#dueMs = clock.monotonicMs();
    this.#memoryReadMs = this.#dueMs;
    this.#arm(CALM_TICK_MS);
  }

  /** The part of new requests that is refused. */
  get share(): number {
    return this.#isMemoryFull ? 1 : this.#delayShare;
  }

  /** False: refuse this one. Spreads the refusals evenly. */
  takesRequest(): boolean {
    this.#debt += this.share;
    if (this.#debt < 1) return true;
    this.#debt -= 1;
    this.shedCount += 1;
    return false;
  }

  /** Null: take the connection. */
  refusesConnection(): "overflow" | "overload" | null {
    if (this.connectionCount >= this.limits.connectionsMax) return "overflow";
    return this.#isMemoryFull && this.#memoryPressure() >= MEMORY_VERY_FULL ? "overload" : null;
  }

  #arm(afterMs: number): void {
    this.#dueMs = this.#clock.monotonicMs() + afterMs;
    this.#clock.after(
      afterMs,
      () => {
        this.#tick(this.#clock.monotonicMs());
        this.#arm(this.#delayShare > 0 ? SHEDDING_TICK_MS : CALM_TICK_MS);
      },
      { unref: true },
    );
  }

  #tick(nowMs: number): void {
    const delayMs = Math.max(0, nowMs - this.#dueMs);
    this.pressure.delay = delayMs / this.limits.delayMs;
    this.#senses.onDelay(delayMs);
    if (this.#delayShare > 0) this.#steer(delayMs, nowMs);
    else this.#watchDelay(delayMs, nowMs);
    if (nowMs - this.#memoryReadMs >= MEMORY_TICK_MS) this.#watchMemory(nowMs);
    this.#settle();
  }

  #watchDelay(delayMs: number, nowMs: number): void {
    if (delayMs <= this.limits.delayMs) {
      this.#late = null;
      return;
    }
    const now = this.#work(nowMs);
    this.#late ??= { ...now, atMs: nowMs - delayMs };
    const since = this.#late;
    const lateForMs = nowMs - since.atMs;
    if (lateForMs < LATE_FOR_MS) return;
    this.#late = null;
    const cpuMs = now.cpuMs - since.cpuMs;
    if (cpuMs / lateForMs < OWN_WORK_MIN) return;
    this.#takenPerMs = (now.taken - since.taken) / cpuMs;
    this.#window = now;
    this.#shareMax = SHARE_MAX;
    this.#steer(delayMs, nowMs);
  }

  #work(atMs: number): Work {
    return { atMs, cpuMs: this.#senses.cpuMs(), taken: this.requestCount - this.shedCount };
  }

  /** Up fast, down slowly: the load has not gone when the delay has. */
  #steer(delayMs: number, nowMs: number): void {
    if (nowMs - this.#window.atMs >= GOODPUT_WINDOW_MS) this.#weigh(this.#work(nowMs));
    const aimMs = this.limits.delayMs * AIM;
    const error = Math.min((delayMs - aimMs) / aimMs, ERROR_MAX);
    const seconds = (delayMs + SHEDDING_TICK_MS) / MS_PER_SECOND;
    const change = error * seconds * (error > 0 ? RISE_PER_SECOND : FALL_PER_SECOND);
    this.#delayShare = Math.min(Math.max(this.#delayShare + change, 0), this.#shareMax);
  }

  /** Do the refusals take the place of what they are to make room for? */
  #weigh(now: Work): void {
    const { cpuMs, taken } = this.#window;
    this.#window = now;
    const wanted = this.#takenPerMs * (now.cpuMs - cpuMs) * GOODPUT_MIN;
    if (now.taken - taken >= wanted) {
      this.#shareMax = Math.min(this.#shareMax + SHARE_STEP, SHARE_MAX);
    } else {
      this.#shareMax = Math.max(this.#delayShare - SHARE_STEP, 0);
    }
  }

  #watchMemory(nowMs: number): void {
    this.#readMemory(nowMs);
    if (this.#memoryPressure() < MEMORY_FREE) {
      this.#isMemoryFull = false;
      return;
    }
    if (this.#memoryPressure() < MEMORY_FULL) return;
    if (nowMs - this.#collectedMs >= COLLECT_EVERY_MS) {
      // What is full of garbage is not full.
      this.#collectedMs = nowMs;
      this.#senses.collectGarbage();
      this.#readMemory(nowMs);
    }
    if (this.#memoryPressure() >= MEMORY_FULL) this.#isMemoryFull = true;
  }

  #readMemory(nowMs: number): void {
    this.#memoryReadMs = nowMs;
    const { heapUsed, heapLimit, external } = this.#senses.memory();
    this.pressure.heap = heapUsed / heapLimit;
    this.pressure.memory = (heapUsed + external) / this.limits.memoryBytes;
  }

  #memoryPressure(): number {
    return Math.max(this.pressure.heap, this.pressure.memory);
  }

  #settle(): void {
    const isShedding = this.share > 0;
    if (isShedding === this.isShedding) return;
    this.isShedding = isShedding;
    const why = this.#isMemoryFull ? "its memory is full" : "its event loop is late";
    this.#senses.onChange(isShedding ? why : null);
  }
}
