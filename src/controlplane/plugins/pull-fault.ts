//! Why a module could not be fetched.

/** What an attempt to fetch a module came to, when it came to nothing. */
export interface PullFault {
  /** A key of the table of codes. */
  readonly code: string;
  /** What is wrong: one sentence without a full stop. */
  readonly error: string;
  readonly remedy: string;
  /** The same attempt may well succeed in a moment: the server is down, slow or overloaded. */
  readonly isTemporary: boolean;
}

/** Carries a fault through the calls of one attempt; never leaves the attempt. */
export class PullError extends Error {
  readonly fault: PullFault;

  constructor(code: string, error: string, remedy: string, isTemporary = false) {
    super(error);
    this.name = "PullError";
    this.fault = { code, error, remedy, isTemporary };
  }
}

/** The fault of whatever was thrown; what nobody foresaw counts as temporary. */
export function faultOf(cause: unknown, what: string): PullFault {
  if (cause instanceof PullError) return cause.fault;
  return {
    code: "GL0408",
    error: `${what}: ${reasonOf(cause)}`,
    remedy: "It is tried again by itself.",
    isTemporary: true,
  };
}

/** `fetch` says "fetch failed" and hides the reason in its cause. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const inner = cause.cause;
  if (inner instanceof Error) {
    // A host with several addresses fails with one error for each.
    if (inner instanceof AggregateError) return reasonOf(inner.errors[0]);
    return inner.message === "" ? inner.name : inner.message;
  }
  return cause.message === "" ? cause.name : cause.message;
}
