//! Tells Graylane why a plug-in decided as it did. In any other host these are cheap no-ops:
//! `canExplain` is false there, and no request pays for a question.

import { receiveProperty, setProperty } from "./properties";
import { Utf8 } from "./text";

const ENABLED = new Utf8("graylane.explain.enabled");
let canExplain: bool = false;
let hasExplained: bool = false;

/** Call it in `proxy_on_configure`: finds out whether this host can explain at all. */
export function prepareExplain(): void {
  canExplain = receiveProperty(ENABLED);
}

/** Whether the reasons of the current exchange are wanted. Forgets what was received before. */
export function isExplaining(): bool {
  return canExplain && receiveProperty(ENABLED);
}

/** Reports one decision as a JSON object. May be called several times for one exchange. */
export function explain(json: string): void {
  hasExplained = true;
  setProperty("graylane.explain", json);
}

/**
 * Frees what reports have left on the heap. The minimal runtime collects only when told to, and may
 * be told only where no local variable holds an object: call it last in a callback.
 */
export function collectAfterExplain(): void {
  if (!hasExplained) return;
  hasExplained = false;
  __collect();
}
