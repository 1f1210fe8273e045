//! What is said of an object of the Gateway API in one of its conditions.

export interface Verdict {
  readonly isTrue: boolean;
  /** A word of the specification. */
  readonly reason: string;
  /** `""`: the reason says it all. */
  readonly message: string;
}

export const ACCEPTED: Verdict = { isTrue: true, reason: "Accepted", message: "" };
export const RESOLVED: Verdict = { isTrue: true, reason: "ResolvedRefs", message: "" };
export const NO_CONFLICT: Verdict = { isTrue: false, reason: "NoConflicts", message: "" };

export function refusal(reason: string, message: string): Verdict {
  return { isTrue: false, reason, message };
}
