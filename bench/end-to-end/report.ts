//! The figures as Markdown: what stands in bench/RESULTS.md.

import { LOAD_BUSY_MAX, WARM_UP_MS } from "./figures.ts";
import type { ContenderFigures, Figure, ScenarioFigures } from "./figures.ts";

export interface ReportHead {
  readonly loadLimit: number;
  readonly machine: string;
  readonly settings: string;
  readonly node: string;
  readonly upstream: string;
}

export function report(figures: readonly ScenarioFigures[], head: ReportHead): string {
  const rows = figures.flatMap((scenario) =>
    Object.entries(scenario.contenders).map(([name, own]) => row(scenario, name, own)),
  );
  return `# Results

Written by \`npm run bench -- --write\`. The proxy runs on one core; load generator and upstream share
another. Contenders alternate within one run; every answer of the checks before and after was right.
Both sides write an access log to a file, count, and give each request an id.

- Machine: ${head.machine}; Node ${head.node}
- ${head.settings}; medians, and in brackets the spread (largest less smallest, over the median);
  the ratio is the median of the rounds' ratios, since a shared machine changes its speed, and in
  brackets where it lies with 95 % of confidence
- "lane rules": one gateway with all its contenders, asked in turn in blocks of 1,000 requests
- The load generator (wrk) with the upstream (${head.upstream}), without a proxy: ${whole(head.loadLimit)} requests/s

| Scenario | What | Requests/s | Requests per proxy CPU-second | Load core busy | Ratio to its first |
| --- | --- | ---: | ---: | ---: | ---: |
${rows.join("\n")}

Latency at the same fixed rate, 70 % of the requests/s of the scenario's first above, open loop (a request's time counts
from when it was due; with HTTP/2 from when h2load sent it), after ${WARM_UP_MS / 1_000} s at that rate:

| Scenario | Rate | What | p50 | p99 | p99.9 | Largest |
| --- | ---: | --- | ---: | ---: | ---: | ---: |
${figures.flatMap(latencyRows).join("\n")}

Where the load core was ${LOAD_BUSY_MAX * 100} % busy or more in any run, it may have been the limit: the
ratio then compares requests per CPU-second of the proxy (marked *).
`;
}

function row(scenario: ScenarioFigures, name: string, own: ContenderFigures): string {
  const mark = scenario.measure === "requestsPerCpuSecond" ? " *" : "";
  const ratioToFirst = scenario.ratios[name];
  const [low, high] = (scenario.bounds[name] ?? []).map((bound) => bound.toFixed(3));
  const ratio =
    ratioToFirst === undefined ? "" : `${ratioToFirst.toFixed(3)}${mark} (${low}-${high})`;
  const busy = `${Math.round(own.loadBusy.median * 100)} %`;
  const cells = [scenario.name, name, text(own.requestsPerSecond)];
  return `| ${[...cells, text(own.requestsPerCpuSecond), busy, ratio].join(" | ")} |`;
}

function latencyRows({ name, latency }: ScenarioFigures): string[] {
  if (latency === null) return [];
  return Object.entries(latency.contenders).map(([contender, { p50, p99, p999, max }]) => {
    const cells = [p50, p99, p999, max].map((ms) => `${ms.toFixed(2)} ms`);
    const rate = `${whole(latency.ratePerSecond)}/s`;
    return `| ${[name, rate, contender, ...cells].join(" | ")} |`;
  });
}

function text({ median, spread }: Figure): string {
  return `${whole(median)} (${(spread * 100).toFixed(1)} %)`;
}

function whole(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
}
