//! What a test file has begun is ended also when its `before` failed halfway: what stays open, a
//! server or a child, keeps the file from ending until it is killed.

/**
 * Takes each step, in turn, whatever became of those before it; then throws what went wrong. A
 * step that ends what was never begun may throw: what has begun is ended all the same.
 */
export async function endEach(...steps: readonly (() => unknown)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 1) throw new AggregateError(errors, errors.map(String).join("; "));
  if (errors.length === 1) throw errors[0];
}

interface Stoppable {
  stop(): unknown;
}

/** Stops them all at once. */
export async function stopAll(all: Iterable<Stoppable>): Promise<void> {
  await allBegun([...all].map(async (one) => await one.stop()));
}

/** As `Promise.all`, but when one fails the others are waited for: nothing begins behind it. */
export async function allBegun(all: readonly Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(all);
  await endEach(...all.map((one) => () => one));
}
