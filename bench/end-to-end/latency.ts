//! Latency at a fixed rate, open loop. A process of its own, so that it can be pinned to the load core.
//!
//! Usage: `latency.js PORT RATE SECONDS SCENARIO`; prints one JSON object. Before these seconds it
//! sends at the same rate for a while, so that the client is compiled and connections are open.

import { OpenLoopClient } from "../support/open-loop.ts";
import { WARM_UP_MS } from "./figures.ts";
import { SCENARIOS } from "./scenarios.ts";

const [port = "", rate = "", seconds = "", name = ""] = process.argv.slice(2);
const scenario = SCENARIOS.find((one) => one.name === name);
if (scenario === undefined) throw new Error(`no scenario ${name}`);

const client = new OpenLoopClient({
  host: "127.0.0.1",
  port: Number(port),
  ratePerSecond: Number(rate),
  connectionsMax: 32,
  request: scenario.request,
  isSecure: scenario.isSecure === true,
  warmUpMs: WARM_UP_MS,
});
client.start();
await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS + Number(seconds) * 1_000));
const { sent, right, failed, failures, latencyUs } = await client.stop();
const ms = (percentile: number): number => latencyUs.percentile(percentile) / 1_000;
const latencyMs = { p50: ms(50), p99: ms(99), p999: ms(99.9), max: latencyUs.max / 1_000 };
process.stdout.write(`${JSON.stringify({ sent, right, failed, failures, latencyMs })}\n`);
