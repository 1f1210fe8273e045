//! The host's side of fuel: decides, when a guest has used up its units, whether its time is up.
//!
//! A callback's time begins when it first asks, which is within a millisecond of its start, and
//! ends when both the wall clock and the processor time of this process have passed the budget.
//! Wall time alone would kill an innocent guest in a process that was stopped or starved; processor
//! time alone counts the compiler's threads too.

import { FUEL_STOP, FUEL_TABLE, START_EXPORT } from "./rewrite.ts";

/** What a guest gets each time it asks: a few hundredths of a millisecond to 1.2 ms of running. */
export const REFILL_UNITS = 50_000;
/** Work of host functions, in touches of guest memory, after which the clock is looked at. */
const TOUCHES_PER_LOOK = 2_000;
/** So many bytes handed over count as one touch. */
const BYTES_PER_TOUCH_LOG2 = 8;

/** How long one entry of a guest may last. */
export interface Budgets {
  readonly callbackMs: number;
  /** Start functions and configure: language runtimes set themselves up there. */
  readonly startMs: number;
}

export const DEFAULT_BUDGETS: Budgets = { callbackMs: 50, startMs: 5_000 };

/** The two clocks that a budget is measured with. Both only grow; only differences count. */
export interface GuestTime {
  wallMs(): number;
  /** Processor time that this process has used, all threads together. */
  cpuMs(): number;
}

export const systemGuestTime: GuestTime = {
  wallMs: () => performance.now(),
  cpuMs() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

export class FuelGauge {
  /** How often a guest was given more, since the instance was made. */
  refillCount = 0;
  /** Set when the time of the callback is up; stays until the next one begins. */
  isSpent = false;
  #budgetMs = 0;
  /** False until the current callback has asked for the first time. */
  isTiming = false;
  #wallEndMs = 0;
  #cpuEndMs = 0;
  #touches = 0;
  #stop: () => void = () => undefined;
  readonly #time: GuestTime;

  constructor(time: GuestTime) {
    this.#time = time;
  }

  get budgetMs(): number {
    return this.#budgetMs;
  }

  wallMs(): number {
    return this.#time.wallMs();
  }

  /** When the current callback first asked; only while `isTiming`. */
  get timedFromMs(): number {
    return this.#wallEndMs - this.#budgetMs;
  }

  /** Connects an instance. A module without fuel has no limit of time. */
  attach(exports: Readonly<Record<string, unknown>>): void {
    const table = exports[FUEL_TABLE];
    const stop = exports[FUEL_STOP];
    if (!(table instanceof WebAssembly.Table) || typeof stop !== "function") return;
    this.#stop = stop as () => void;
    table.set(
      0,
      asWasmFunction(() => this.#refill()),
    );
  }

  /** A guest is about to be entered. On the hot path: no clock is read here. */
  begin(budgetMs: number): void {
    this.#budgetMs = budgetMs;
    this.isTiming = false;
    this.isSpent = false;
  }

  /** A host function handled `bytes` of guest memory: its work counts against the budget too. */
  touch(bytes: number): void {
    this.#touches += 1 + (bytes >>> BYTES_PER_TOUCH_LOG2);
    if (this.#touches > TOUCHES_PER_LOOK) this.#lookFromHost();
  }

  #lookFromHost(): void {
    this.#touches = 0;
    // The guest traps at its next loop header or call.
    if (this.#isOver()) this.#stop();
  }

  /** Answers a guest that has nothing left. Never throws: the guest could catch that. */
  #refill(): number {
    if (this.#isOver()) return 0;
    this.refillCount += 1;
    return REFILL_UNITS;
  }

  #isOver(): boolean {
    if (this.isSpent) return true;
    const wallMs = this.#time.wallMs();
    if (!this.isTiming) {
      this.isTiming = true;
      this.#wallEndMs = wallMs + this.#budgetMs;
      this.#cpuEndMs = this.#time.cpuMs() + this.#budgetMs;
      return false;
    }
    if (wallMs < this.#wallEndMs) return false;
    this.isSpent = this.#time.cpuMs() >= this.#cpuEndMs;
    return this.isSpent;
  }
}

/** The start section's function, which the host runs itself. */
export function startFunctionOf(exports: Readonly<Record<string, unknown>>): (() => void) | null {
  const run = exports[START_EXPORT];
  return typeof run === "function" ? (run as () => void) : null;
}

/** A table takes only functions of Wasm: this module imports one and exports it again. */
// prettier-ignore
const WRAPPER = Uint8Array.of(
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
  0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7f, // type: () -> i32
  0x02, 0x07, 0x01, 0x01, 0x68, 0x01, 0x66, 0x00, 0x00, // import "h" "f"
  0x07, 0x05, 0x01, 0x01, 0x66, 0x00, 0x00, // export "f"
);
let wrapper: WebAssembly.Module | null = null;

function asWasmFunction(run: () => number): unknown {
  wrapper ??= new WebAssembly.Module(WRAPPER);
  return new WebAssembly.Instance(wrapper, { h: { f: run } }).exports["f"];
}
