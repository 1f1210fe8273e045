//! Runs h2load on the load core, reads what it prints, and looks at answers over HTTP/2.

import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LOAD_CORE } from "./contender.ts";
import { WARM_UP_MS } from "./figures.ts";
import type { LatencyMs } from "./figures.ts";
import type { WrkResult } from "./wrk.ts";

export interface H2loadOptions {
  readonly port: number;
  readonly seconds: number;
  readonly connections: number;
  /** At once on each connection. */
  readonly streams: number;
}

export function runH2load(options: H2loadOptions): Omit<WrkResult, "p99Ms"> {
  const { port, seconds, connections, streams } = options;
  const load = ["-t1", `-c${connections}`, `-m${streams}`, "-D", String(seconds)];
  const command = ["-c", String(LOAD_CORE), "h2load", ...load, `http://127.0.0.1:${port}/`];
  const { status, stdout, stderr } = spawnSync("taskset", command, { encoding: "utf8" });
  if (status !== 0) throw new Error(`h2load failed: ${stdout}${stderr}`);
  return parseH2load(stdout);
}

/**
 * Latency at a fixed rate. A request counts from when it is sent: where all streams are taken it
 * is sent late, so that a proxy that is too slow for the rate looks better than it is.
 */
export function runH2loadAtRate(options: H2loadOptions & { readonly rate: number }): LatencyMs {
  const { port, seconds, connections, streams, rate } = options;
  const folder = mkdtempSync(join(tmpdir(), "graylane-h2load-"));
  const log = join(folder, "requests.tsv");
  const load = ["-t1", `-c${connections}`, `-m${streams}`, "-D", String(seconds)];
  const pace = [`--rps=${rate / connections}`, `--warm-up-time=${WARM_UP_MS}ms`];
  const output = `--log-file=${log}`;
  const url = `http://127.0.0.1:${port}/`;
  const command = ["-c", String(LOAD_CORE), "h2load", ...load, ...pace, output, url];
  try {
    const { status, stdout, stderr } = spawnSync("taskset", command, { encoding: "utf8" });
    if (status !== 0) throw new Error(`h2load failed: ${stdout}${stderr}`);
    return latencyOf(readFileSync(log, "latin1"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of h2load's log: start, status and microseconds of each request, between tabs. */
export function latencyOf(log: string): LatencyMs {
  const rows = log.split("\n").filter((line) => line !== "");
  const wrong = rows.find((line) => line.split("\t")[1] !== "200");
  if (wrong !== undefined) throw new Error(`h2load: a request ended with ${wrong}`);
  if (rows.length === 0) throw new Error("h2load: its log has no request");
  const times = rows.map((line) => Number(line.split("\t")[2]) / 1_000).sort((a, b) => a - b);
  const [last = 0] = times.slice(-1);
  const at = (share: number): number => times[Math.ceil(times.length * share) - 1] ?? 0;
  return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: last };
}

export function parseH2load(text: string): Omit<WrkResult, "p99Ms"> {
  const requests = /requests:.*?(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored/.exec(
    text,
  );
  const [, done = "0", succeeded = "0", failed = "0", errored = "0"] = requests ?? [];
  const isRight = Number(failed) + Number(errored) === 0 && Number(succeeded) > 0;
  return {
    requestsPerSecond: Number(/finished in .*?, ([\d.]+) req\/s/.exec(text)?.[1] ?? 0),
    requests: Number(done),
    errors: isRight ? "" : text,
  };
}

/** Asks `count` times, `atOnce` on one connection, and says which answers were not `want`. */
export async function checkHttp2(port: number, count: number, want: string): Promise<string> {
  const atOnce = 32;
  const session = connect(`http://127.0.0.1:${port}`);
  const failed = once(session, "error").then(([error]) => String(error));
  try {
    for (let asked = 0; asked < count; asked += atOnce) {
      const answers = Array.from({ length: atOnce }, () => answerOf(session));
      const wrong = await Promise.race([failed, firstWrong(answers, want)]);
      if (wrong !== "") return wrong;
    }
    return "";
  } finally {
    session.destroy();
  }
}

async function firstWrong(answers: readonly Promise<string>[], want: string): Promise<string> {
  const got = await Promise.all(answers);
  return got.find((one) => one !== `200 ${want}`) ?? "";
}

/** Status and body. */
async function answerOf(session: ClientHttp2Session): Promise<string> {
  const stream = session.request({ ":path": "/", ":authority": "localhost" });
  let [status, body] = ["none", ""];
  stream.setEncoding("latin1");
  stream.on("response", (headers) => (status = String(headers[":status"])));
  stream.on("data", (text: string) => (body += text));
  await once(stream, "close");
  return `${status} ${body}`;
}
