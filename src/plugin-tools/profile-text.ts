//! The report of a profile as text for a terminal.

import type { CallCost } from "./guest-profile.ts";
import { bytesText } from "./report-text.ts";

export interface ProfileReport {
  readonly file: string;
  readonly abiVersion: string;
  readonly moduleBytes: number;
  readonly loadMs: number;
  readonly startMs: number;
  readonly requests: number;
  readonly kinds: number;
  /** With the filter chain around the plug-in, and nothing measured inside. */
  readonly requestUs: number;
  readonly callbacks: readonly CallCost[];
  readonly hostFunctions: readonly CallCost[];
  readonly memoryBytesAtStart: number;
  readonly memoryBytes: number;
}

/** Rows of each table; the rest is one row. */
const ROWS_MAX = 40;

/** Ends with a line feed. */
export function profileText(report: ProfileReport): string {
  const { requests, callbacks, hostFunctions, memoryBytes, memoryBytesAtStart } = report;
  const guestMs = callbacks.reduce((sum, { totalMs }) => sum + totalMs, 0);
  const guestUs = requests === 0 ? 0 : (guestMs / requests) * 1_000;
  const kinds = report.kinds === 1 ? "" : ` of ${report.kinds} kinds`;
  const grown = memoryBytes - memoryBytesAtStart;
  const lines = [
    `${report.file}: ${bytesText(report.moduleBytes)}, ABI ${report.abiVersion}, ` +
      `loaded in ${report.loadMs.toFixed(1)} ms, started in ${report.startMs.toFixed(1)} ms`,
    `${requests} requests${kinds}: ${guestUs.toFixed(2)} µs each in the plug-in and its host ` +
      `calls, ${report.requestUs.toFixed(2)} µs with the filter chain around it`,
    `memory: ${bytesText(memoryBytesAtStart)} after the start, ` +
      `${bytesText(memoryBytes)} at the end` +
      (grown > 0 ? ` (+${bytesText(grown)})` : ""),
    "",
    ...table("CALLBACK", callbacks, requests, guestMs),
    "",
    ...table("HOST CALL", hostFunctions, requests, guestMs),
  ];
  return `${lines.join("\n")}\n`;
}

function table(
  title: string,
  costs: readonly CallCost[],
  requests: number,
  guestMs: number,
): string[] {
  const isCallback = title === "CALLBACK";
  const titles = [
    "A REQUEST",
    "µs MEAN",
    ...(isCallback ? ["µs OWN"] : []),
    "µs MEDIAN",
    "µs MOST",
    "SHARE",
  ];
  const header = [title.padEnd(40), ...titles.map((text) => text.padStart(10))].join("");
  if (costs.length === 0) return [header, "(none)"];
  const rows = costs
    .slice(0, ROWS_MAX)
    .map(({ name, calls, totalMs, ownMs, medianMs, slowestMs }) => {
      const share = guestMs === 0 ? 0 : ((isCallback ? totalMs : ownMs) / guestMs) * 100;
      const numbers = [
        trimmed(calls / Math.max(1, requests)),
        microseconds(totalMs / calls),
        ...(isCallback ? [microseconds(ownMs / calls)] : []),
        microseconds(medianMs),
        microseconds(slowestMs),
        `${share.toFixed(1)} %`,
      ];
      return [name.padEnd(40), ...numbers.map((text) => text.padStart(10))].join("");
    });
  const rest = costs.length - ROWS_MAX;
  return [header, ...rows, ...(rest > 0 ? [`and ${rest} more`] : [])];
}

function trimmed(count: number): string {
  return count >= 0.01 ? String(Number(count.toFixed(2))) : count.toPrecision(1);
}

function microseconds(ms: number): string {
  return (ms * 1_000).toFixed(ms < 0.01 ? 3 : 1);
}
