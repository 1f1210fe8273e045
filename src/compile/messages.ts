//! Collects what the compiler has to say about objects, and puts it in a settled order.

import { refOf } from "../resources/object.ts";
import type { Fault, Severity } from "../resources/fault.ts";
import type { Resource } from "../resources/object.ts";

export interface Finding {
  readonly severity: Severity;
  readonly code: string;
  /** Path into the object. */
  readonly path: string;
  /** One sentence without a full stop. */
  readonly message: string;
  /** What to do; absent when the message says it all. */
  readonly remedy?: string;
}

export class MessageList {
  readonly #messages = new Map<string, Fault>();

  /** Said again, it is said once: an object's routes may be compiled for several places. */
  add(resource: Resource, finding: Finding): void {
    const { severity, code, path, message, remedy = "" } = finding;
    const object = refOf(resource);
    const fault: Fault = { severity, code, message, remedy, path, object, position: null };
    this.#messages.set(identityOf(fault), fault);
  }

  /** By object, then path, then code: the same for the same resources in any order. */
  sorted(): readonly Fault[] {
    return [...this.#messages.values()].sort((a, b) => compareTexts(sortKey(a), sortKey(b)));
  }
}

/** By code units, so that no locale of a machine changes a snapshot. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function sortKey({ object, path, code, message }: Fault): string {
  const place = object === null ? [] : [object.kind, object.namespace, object.name];
  return [...place, path, code, message].join("\u0000");
}

/**
 * The messages that a change adds: those of `after` that `before` does not have. What
 * `delete --dry-run` foretells.
 */
export function compareMessages(before: readonly Fault[], after: readonly Fault[]): Fault[] {
  const known = new Set(before.map(identityOf));
  return after.filter((fault) => !known.has(identityOf(fault)));
}

function identityOf(fault: Fault): string {
  return `${fault.severity}\u0000${sortKey(fault)}`;
}
