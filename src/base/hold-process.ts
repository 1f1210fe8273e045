//! Keeps the process from ending while something is awaited of which the event loop does not know.

import { systemClock } from "./clock.ts";

/** The longest delay that Node takes: 25 days. */
const LONGEST_MS = 2_147_483_647;

export async function holdProcess<T>(pending: Promise<T>): Promise<T> {
  const timer = systemClock.after(LONGEST_MS, () => undefined);
  try {
    return await pending;
  } finally {
    timer.cancel();
  }
}
