import assert from "node:assert/strict";
import { test } from "node:test";
import { figureOf, figuresOf, medianBounds } from "./figures.ts";
import type { Run } from "./figures.ts";
import { latencyOf, parseH2load } from "./h2load.ts";
import { parseWrk } from "./wrk.ts";

const run = (requestsPerSecond: number, loadBusy: number): Run => ({
  requestsPerSecond,
  requestsPerCpuSecond: requestsPerSecond * 2,
  loadBusy,
});

test("a figure is the median with its spread", () => {
  assert.deepEqual(figureOf([3, 1, 2]), { median: 2, spread: 1 });
  assert.deepEqual(figureOf([4, 2]), { median: 3, spread: 2 / 3 });
});

test("the bounds of a median are ranks about the middle, and the ends where there are few", () => {
  assert.deepEqual(medianBounds(Array.from({ length: 101 }, (_none, rank) => rank)), [40, 60]);
  assert.deepEqual(medianBounds([3, 1, 2]), [1, 3]);
});

test("requests per second are compared while the load core has time left", () => {
  const figures = figuresOf(
    "x",
    new Map([
      ["envoy", [run(100, 0.5)]],
      ["graylane", [run(180, 0.89)]],
    ]),
  );
  assert.equal(figures.measure, "requestsPerSecond");
  assert.deepEqual(figures.ratios, { graylane: 1.8 });
});

test("CPU time is compared when the load core was the limit in any run", () => {
  const figures = figuresOf(
    "x",
    new Map([
      ["envoy", [run(100, 0.5), run(100, 0.5), run(100, 0.5)]],
      ["graylane", [run(150, 0.5), run(150, 0.9), run(150, 0.5)]],
    ]),
  );
  assert.equal(figures.measure, "requestsPerCpuSecond");
  assert.deepEqual(figures.ratios, { graylane: 1.5 });
});

test("the ratio is that of the rounds, so a machine that slows down for a while changes nothing", () => {
  const envoys = [run(100, 0.5), run(50, 0.5), run(100, 0.5)];
  const ours = [run(200, 0.5), run(100, 0.5), run(90, 0.5)];
  const runs = new Map([
    ["envoy", envoys],
    ["graylane", ours],
  ]);
  assert.deepEqual(figuresOf("x", runs).ratios, { graylane: 2 });
});

test("each is compared with the first of the scenario, and the first with nothing", () => {
  const runs = new Map([
    ["one lane", [run(100, 0)]],
    ["1,000 lanes", [run(97, 0)]],
    ["regexes", [run(50, 0)]],
  ]);
  assert.deepEqual(figuresOf("x", runs).ratios, { "1,000 lanes": 0.97, regexes: 0.5 });
});

test("what wrk prints is read, errors too", () => {
  const text = `Running 2s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Latency Distribution
     50%  500.00us
     99%    1.50ms
  4000 requests in 2.00s, 1.00MB read
  Socket errors: connect 0, read 1, write 0, timeout 0
  Non-2xx or 3xx responses: 7
Requests/sec:   1999.50
`;
  assert.deepEqual(parseWrk(text), {
    requestsPerSecond: 1_999.5,
    requests: 4_000,
    p99Ms: 1.5,
    errors: "Socket errors: connect 0, read 1, write 0, timeout 0; Non-2xx or 3xx responses: 7",
  });
});

test("h2load's log gives percentiles in milliseconds, and stops a benchmark with a failure", () => {
  const rows = Array.from({ length: 1_000 }, (_, index) => `17\t200\t${(1_000 - index) * 1_000}`);
  const log = `${rows.join("\n")}\n`;
  assert.deepEqual(latencyOf(log), { p50: 500, p99: 990, p999: 999, max: 1_000 });
  assert.throws(() => latencyOf(`${log}17\t-1\t5\n`), /17\t-1\t5/);
  assert.throws(() => latencyOf(""), /no request/);
});

test("h2load's failures stop a benchmark", () => {
  const text = (failed: number): string => `
finished in 2.00s, 12125.50 req/s, 1.20MB/s
requests: 24507 total, 24251 done, ${24_251 - failed} succeeded, ${failed} failed, 0 errored
status codes: 24251 2xx, 0 3xx, 0 4xx, 0 5xx
`;
  assert.deepEqual(parseH2load(text(0)), {
    requestsPerSecond: 12_125.5,
    requests: 24_251,
    errors: "",
  });
  assert.match(parseH2load(text(3)).errors, /3 failed/);
});
