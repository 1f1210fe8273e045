//! Faults on the terminal: one paragraph each, and a summary.

import type { Fault, Severity } from "../resources/fault.ts";
import { formatFault } from "../resources/format-fault.ts";
import { printLine } from "./context.ts";
import type { Output } from "./context.ts";

const RANK: Readonly<Record<Severity, number>> = { error: 0, warning: 1, info: 2 };

/** As everywhere; what no file places is placed by its path. */
export function formatMessage(fault: Fault): string {
  const { position, path, message } = fault;
  const isPlaced = position !== null || path === "" || message.includes(path);
  return formatFault(isPlaced ? fault : { ...fault, message: `${path}: ${message}` });
}

export function printMessages(output: Output, faults: readonly Fault[]): void {
  for (const fault of faults) printLine(output, formatMessage(fault));
}

export function isAtLeast(severity: Severity, threshold: Severity): boolean {
  return RANK[severity] <= RANK[threshold];
}

export function hasError(faults: readonly Fault[]): boolean {
  return faults.some(({ severity }) => severity === "error");
}

/** `2 errors, 1 warning`. */
export function countText(faults: readonly Fault[]): string {
  const words = { error: "error", warning: "warning", info: "note" } as const;
  const counts = (["error", "warning", "info"] as const)
    .map((severity) => ({
      word: words[severity],
      count: faults.filter((fault) => fault.severity === severity).length,
    }))
    .filter(({ count }) => count > 0)
    .map(({ word, count }) => `${count} ${word}${count === 1 ? "" : "s"}`);
  return counts.length === 0 ? "nothing" : counts.join(", ");
}
