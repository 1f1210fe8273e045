//! Work in steps: between two of them others may have their turn, or not, as the caller chooses.

/** Each `yield` is a place where the event loop may run. */
export type Steps<Result> = Generator<undefined, Result, undefined>;

/** All of it at once. */
export function runNow<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** With a turn of the event loop between two steps. */
export async function runInTurns<Result>(steps: Steps<Result>): Promise<Result> {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
    await nextTurn();
  }
}

/** Lets the event loop run once. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
