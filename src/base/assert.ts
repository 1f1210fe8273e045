//! Checks of our own beliefs. Bad input is never an assertion: it is a typed outcome with a code.

/** A belief of ours was wrong. It fails the exchange or the task at hand and is counted. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws `AssertionError` with `belief` unless `condition` holds. */
export function assert(condition: boolean, belief: string): asserts condition {
  if (!condition) throw new AssertionError(`this should hold: ${belief}`);
}

/** Marks a place that no execution can reach, with the reason why. */
export function unreachable(reason: string): never {
  throw new AssertionError(`unreachable: ${reason}`);
}

/** Closes a switch over a union: a new member fails to compile here. */
export function exhausted(value: never): never {
  throw new AssertionError(`not handled: ${JSON.stringify(value)}`);
}
