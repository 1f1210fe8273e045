//! Shares as people write them, `30%`, `0.1%`, `1‰`, in whole parts per million.

export const PPM_TOTAL = 1_000_000;

/** A part of the whole: one of the two. */
export interface Share {
  /** `30%`, `0.1%`, `1‰`. */
  readonly percent?: string;
  /** Parts per million. */
  readonly ppm?: number;
}

/** Exact, in parts per million; the schema has let only such texts pass. */
export function sharePpm({ percent, ppm }: Share): number {
  if (ppm !== undefined) return ppm;
  if (percent === undefined) return 0;
  const unitPpm = percent.endsWith("‰") ? 1_000 : 10_000;
  const [whole = "0", fraction = ""] = percent.slice(0, -1).trim().split(".");
  const digits = unitPpm === 1_000 ? 3 : 4;
  return Number(whole) * unitPpm + Number(fraction.padEnd(digits, "0"));
}

/** A number with at most as many decimals as parts per million have, and its unit. */
export function isPercentage(percent: string): boolean {
  return (
    /^\d{1,4}(\.\d{1,4}%|\.\d{1,3}‰|[%‰])$/.test(percent) && sharePpm({ percent }) <= PPM_TOTAL
  );
}
