//! What Envoy cannot express: said on the object, and answered 503, never approximated.

import type { Fault } from "../resources/fault.ts";
import type { ObjectRef } from "../snapshot/snapshot.ts";

const NOT_EXPRESSED = "GL0701";
const REMEDY =
  "The embedded gateway does it. Leave it out, or do not use Envoy for this: docs/envoy.md says " +
  "what Envoys do instead.";

export class Refusals {
  readonly #faults = new Map<string, Fault>();

  /** `what` completes the sentence "Envoy cannot … yet". */
  add(object: ObjectRef, what: string): string {
    const message = `Envoy cannot ${what}`;
    const key = JSON.stringify([object, message]);
    const common = { severity: "error", code: NOT_EXPRESSED, remedy: REMEDY } as const;
    this.#faults.set(key, { ...common, message, path: "", object, position: null });
    return message;
  }

  list(): readonly Fault[] {
    return [...this.#faults.values()];
  }
}
