//! Tells Graylane why a plug-in decided as it did. Other hosts never ask: there it is free.

import { setProperty } from "./properties";

/** The exchanges whose reasons are wanted: none, but for the one that somebody explains. */
let explained: u32[] = [];

/** Called by the host: 1 when the exchange begins, 0 when it is over. Export it from your file. */
export function graylane_on_explain(stream: u32, wanted: u32): void {
  const index = explained.indexOf(stream);
  if (wanted != 0 && index < 0) explained.push(stream);
  if (wanted == 0 && index >= 0) explained.splice(index, 1);
}

/** Whether the reasons of this exchange are wanted. */
export function isExplaining(stream: u32): bool {
  return explained.length > 0 && explained.includes(stream);
}

/** Reports one decision as a JSON object. May be called several times for one exchange. */
export function explain(json: string): void {
  setProperty("graylane.explain", json);
}

/**
 * Frees what reports have left on the heap. The minimal runtime collects only when told to, and may
 * be told only where no local variable holds an object: call it last in a callback.
 */
export function collectAfterExplain(): void {
  __collect();
}
