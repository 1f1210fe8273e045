//! `node dist/bench/overload.js [SECONDS] [PLUGINS] [TIMES] [LIMITS]`: four times the load that the
//! gateway bears, beside real Envoy with its overload manager (row D11 of docs/reliability.md). The
//! peak is what wrk gets; then h2load sends TIMES as much over many connections at a fixed rate, but
//! never two requests at once over one; an answer's time counts from when its request was sent. A
//! request costs what PLUGINS runs of the hash-tagging plug-in and the proxy cost. Client and
//! upstream share a core, the proxy has another, with its admin endpoints.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createHistogram } from "node:perf_hooks";
import type { RecordableHistogram } from "node:perf_hooks";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../src/base/testing/free-port.ts";
import {
  GATEWAY,
  outsideHost,
  virtualService,
  wasmPlugin,
} from "../test/support/load-manifests.ts";
import {
  LOAD_CORE,
  Pinned,
  PROXY_CORE,
  cpuSecondsOfTree,
  pinToLoadCore,
  residentKibOfTree,
} from "./end-to-end/contender.ts";
import type { BenchContext } from "./end-to-end/contender.ts";
import { PLUGIN_CONFIGURATION, pluginFile } from "./end-to-end/snapshots.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";
import { runWrk } from "./end-to-end/wrk.ts";

const SECONDS = Number(process.argv[2] ?? 10);
const PLUGINS = Number(process.argv[3] ?? 64);
const TIMES = Number(process.argv[4] ?? 4);
/** As `graylane up --overload` takes them. */
const LIMITS = process.argv[5];
const CONNECTIONS = 2_000;
const PEAK_CONNECTIONS = 64;
const PEAK_SECONDS = 4;
/** An answer that is later is of no use to whoever asked. */
const USEFUL_US = 1_000_000;
const ASK_EVERY_MS = 100;
const MEMORY_EVERY_MS = 500;
const SETTLING_SECONDS = 2;
const READY_WITHIN_MS = 30_000;
const FIELDS = ["-H", "x-user-id: jason"];

interface Proxy {
  readonly name: string;
  readonly command: readonly string[];
  readonly port: number;
  readonly adminPort: number;
}

/** What h2load wrote down of each answer that came after the settling time. */
class Tally {
  useful = 0;
  late = 0;
  refused = 0;
  other = 0;
  readonly takenUs: RecordableHistogram = createHistogram();
  readonly refusedUs: RecordableHistogram = createHistogram();

  constructor(log: string) {
    for (const line of log.split("\n")) {
      const [start = "", status = "", us = ""] = line.split("\t");
      if (start !== "") this.#add(Number(status), Math.max(1, Number(us)));
    }
  }

  get all(): number {
    return this.useful + this.late + this.refused + this.other;
  }

  #add(status: number, us: number): void {
    if (status === 503) {
      this.refused += 1;
      this.refusedUs.record(us);
    } else if (status !== 200) {
      this.other += 1;
    } else {
      this.takenUs.record(us);
      if (us <= USEFUL_US) this.useful += 1;
      else this.late += 1;
    }
  }
}

function graylane(context: BenchContext, port: number, adminPort: number): Proxy {
  const plugins = Array.from({ length: PLUGINS }, (_none, index) => {
    const plugin = wasmPlugin(1);
    return { ...plugin, metadata: { ...plugin.metadata, name: `tagging-${index}` } };
  });
  const routes = virtualService("upstream.outside.test", 1);
  const objects = [GATEWAY, outsideHost("upstream", context.ports.v1), routes, ...plugins];
  const manifest = join(context.directory, "objects.yaml");
  writeFileSync(manifest, objects.map((object) => JSON.stringify(object)).join("\n---\n"));
  const entry = join(context.root, "dist", "src", "main", "graylane.js");
  const options = {
    "-f": manifest,
    "--map-port": `80=${port}`,
    "--admin": `127.0.0.1:${adminPort}`,
    "--api": "127.0.0.1:0",
    "--workers": "1",
    ...(LIMITS === undefined ? {} : { "--overload": LIMITS }),
    "--state": join(context.directory, "state"),
    "--access-log": join(context.directory, "graylane-access.log"),
  };
  const words = Object.entries(options).flat();
  return { name: "Graylane", port, adminPort, command: [process.execPath, entry, "up", ...words] };
}

function envoy(context: BenchContext, port: number, adminPort: number): Proxy {
  const type = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
  const plugin = {
    name: "envoy.filters.http.wasm",
    typed_config: {
      "@type": type,
      config: {
        name: "hash-tagging",
        configuration: {
          "@type": "type.googleapis.com/google.protobuf.StringValue",
          value: PLUGIN_CONFIGURATION,
        },
        vm_config: {
          runtime: "envoy.wasm.runtime.v8",
          code: { local: { filename: pluginFile(context.root) } },
        },
      },
    },
  };
  const values: Record<string, string> = {
    LISTEN_PORT: String(port),
    ADMIN_PORT: String(adminPort),
    V1_PORT: String(context.ports.v1),
    ACCESS_LOG: join(context.directory, "envoy-access.log"),
    // JSON is YAML; the line has its indentation.
    PLUGINS: Array.from({ length: PLUGINS }, () => `- ${JSON.stringify(plugin)}`).join(
      "\n                  ",
    ),
  };
  const template = readFileSync(
    join(context.root, "bench", "end-to-end", "envoy", "overload.yaml"),
    "utf8",
  );
  const file = join(context.directory, "overload.yaml");
  writeFileSync(
    file,
    template.replace(/\$\{([A-Z0-9_]+)\}/g, (_all, key: string) => values[key] ?? ""),
  );
  const binary = join(homedir(), ".cache", "graylane", "envoy", "bin", "envoy");
  const flags = ["--concurrency", "1", "--log-level", "warn", "--use-dynamic-base-id"];
  return { name: "Envoy", port, adminPort, command: [binary, "-c", file, ...flags] };
}

async function untilReady(started: Pinned, { name, port }: Proxy): Promise<void> {
  const endMs = performance.now() + READY_WITHIN_MS;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
    if (answer?.status === 200) return;
    if (started.hasExited || performance.now() > endMs) {
      throw new Error(`${name} does not answer: ${answer?.status}\n${started.output}`);
    }
    await sleep(100);
  }
}

interface Peak {
  readonly perSecond: number;
  /** Of the proxy: on a busy machine it has less than a core. */
  readonly perCpuSecond: number;
}

async function peakOf({ port }: Proxy, pid: number): Promise<Peak> {
  const options = { port, connections: PEAK_CONNECTIONS, script: "" };
  await runWrk({ ...options, seconds: 2 });
  const cpuBefore = cpuSecondsOfTree(pid);
  const run = await runWrk({ ...options, seconds: PEAK_SECONDS });
  if (run.errors !== "") throw new Error(`not a peak: ${run.errors}`);
  const cpuSeconds = cpuSecondsOfTree(pid) - cpuBefore;
  return { perSecond: run.requestsPerSecond, perCpuSecond: run.requests / cpuSeconds };
}

interface Asked {
  readonly times: number[];
  refused: number;
  /** Refusals that do not say when to come again. */
  silent: number;
}

/** One request after the other, on the side. */
async function askAgain(url: string, isOver: () => boolean): Promise<Asked> {
  const asked: Asked = { times: [], refused: 0, silent: 0 };
  while (!isOver()) {
    const startMs = performance.now();
    const response = await fetch(url);
    await response.text();
    asked.times.push(performance.now() - startMs);
    if (response.status === 503) {
      asked.refused += 1;
      if (!response.headers.has("retry-after")) asked.silent += 1;
    }
    await sleep(ASK_EVERY_MS);
  }
  asked.times.sort((a, b) => a - b);
  return asked;
}

async function overload(proxy: Proxy, pid: number, peak: Peak): Promise<string> {
  const log = join(directory, `${proxy.name}.log`);
  const rate = ((peak.perSecond * TIMES) / CONNECTIONS).toFixed(3);
  const load = ["--h1", "-t1", `-c${CONNECTIONS}`, "-m1", "--rps", rate, "-D", String(SECONDS)];
  const flags = ["--warm-up-time", String(SETTLING_SECONDS), "--log-file", log];
  const url = `http://127.0.0.1:${proxy.port}/`;
  const residentBefore = residentKibOfTree(pid);
  const client = new Pinned(LOAD_CORE, ["h2load", ...load, ...flags, ...FIELDS, url]);
  const isOver = (): boolean => client.hasExited;
  await sleep(SETTLING_SECONDS * 1_000);
  const asked = Promise.all([
    askAgain(url, isOver),
    askAgain(`http://127.0.0.1:${proxy.adminPort}/stats`, isOver),
  ]);
  let resident = 0;
  const cpuBefore = cpuSecondsOfTree(pid);
  let cpuSeconds = 0;
  while (!isOver()) {
    resident = Math.max(resident, residentKibOfTree(pid));
    cpuSeconds = cpuSecondsOfTree(pid) - cpuBefore;
    await sleep(MEMORY_EVERY_MS);
  }
  const [probe, admin] = await asked;
  const tally = new Tally(readFileSync(log, "latin1"));
  return figures({ tally, peak, cpuSeconds, probe, admin, grown: resident / residentBefore });
}

interface Outcome {
  readonly tally: Tally;
  readonly peak: Peak;
  readonly cpuSeconds: number;
  readonly probe: Asked;
  readonly admin: Asked;
  readonly grown: number;
}

function figures({ tally, peak, cpuSeconds, probe, admin, grown }: Outcome): string {
  const { useful, late, refused, other, takenUs, refusedUs } = tally;
  const sent = tally.all / SECONDS;
  const percent = (part: number): string => `${(part * 100).toFixed(0)} %`;
  const ms = (times: RecordableHistogram, part: number): string =>
    times.count === 0 ? "-" : (times.percentile(part) / 1_000).toFixed(1);
  const adminP99 = (admin.times[Math.floor(admin.times.length * 0.99)] ?? 0).toFixed(1);
  return [
    `peak ${peak.perSecond.toFixed(0)}/s, ${peak.perCpuSecond.toFixed(0)} per CPU-second`,
    `answered ${sent.toFixed(0)}/s (${(sent / peak.perSecond).toFixed(1)} times)`,
    `goodput ${percent(useful / SECONDS / peak.perSecond)} of the peak, per CPU-second ` +
      `${percent((useful + late) / cpuSeconds / peak.perCpuSecond)}; ${late} late`,
    `200: p50 ${ms(takenUs, 50)} ms, p99 ${ms(takenUs, 99)} ms`,
    `${refused} refused: p50 ${ms(refusedUs, 50)} ms, p99 ${ms(refusedUs, 99)} ms; ` +
      `${probe.silent} of ${probe.refused} without Retry-After`,
    `${other} other answers`,
    `admin: ${admin.times.length} asked, p99 ${adminP99} ms`,
    `memory ${grown.toFixed(2)} times what it was`,
  ].join("; ");
}

pinToLoadCore();
const directory = mkdtempSync(join(tmpdir(), "graylane-overload-"));
const ports = { v1: await freePort(), v2: await freePort() };
const context: BenchContext = { root: resolve("."), directory, ports };
const upstream = await startUpstream(context);
for (const make of [envoy, graylane]) {
  const proxy = make(context, await freePort(), await freePort());
  const started = new Pinned(PROXY_CORE, proxy.command);
  await untilReady(started, proxy);
  const peak = await peakOf(proxy, started.pid);
  process.stdout.write(`${proxy.name}: ${await overload(proxy, started.pid, peak)}\n`);
  await started.stop();
}
await upstream.stop();
rmSync(directory, { recursive: true, force: true });
