//! Loaded into a process by `--import`: its wall clock is ahead by what the file named by
//! `GRAYLANE_WALL_CLOCK` says, in milliseconds, and jumps when that changes. Timers and
//! `performance.now` go on as they are, as when somebody sets the machine's clock.

import { readFileSync } from "node:fs";

const LOOK_MS = 10;
const RealDate = Date;
const file = process.env["GRAYLANE_WALL_CLOCK"] ?? "";
let aheadMs = 0;

function look(): void {
  try {
    aheadMs = Number(readFileSync(file, "utf8"));
  } catch {
    // It is being replaced.
  }
}

function now(): number {
  return RealDate.now() + aheadMs;
}

const JumpingDate = new Proxy(RealDate, {
  construct: (target, given: unknown[]): object =>
    given.length === 0 ? new target(now()) : (Reflect.construct(target, given) as object),
  get: (target, name): unknown => (name === "now" ? now : Reflect.get(target, name)),
});

if (file !== "") {
  look();
  setInterval(look, LOOK_MS).unref();
  globalThis.Date = JumpingDate;
}
