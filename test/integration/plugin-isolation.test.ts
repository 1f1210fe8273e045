//! Hostile plug-ins of every kind, while a thousand exchanges are under way at another gateway of the
//! same worker, with a good plug-in: all of those finish. Over HTTP/1.1 and HTTP/2, plain and in TLS.
//!
//! Prints how long the worker stood still. The figures are of the machine, processor time less so;
//! what is asserted is that each kind did its worst, and that everything finishes, and rightly.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { systemClock } from "../../src/base/clock.ts";
import { eventually, observedContext } from "../../src/dataplane/testing/fixture.ts";
import { atEnd, endAll } from "../../src/dataplane/testing/harness.ts";
import {
  cluster,
  endpoint,
  forwardRoute,
  gatewaySnapshot,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import { Preparer } from "../../src/dataplane/runtime/prepare.ts";
import { GatewayRole } from "../../src/dataplane/worker/gateway-role.ts";
import { PluginCalls } from "../../src/dataplane/worker/plugin-calls.ts";
import { PluginClusters } from "../../src/dataplane/worker/plugin-clusters.ts";
import { PluginRedis } from "../../src/dataplane/worker/plugin-redis.ts";
import { pluginServices } from "../../src/dataplane/worker/plugin-services.ts";
import type { Gateway, Plugin, Snapshot } from "../../src/snapshot/snapshot.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { LogLevel } from "../../src/wasm/enums.ts";
import type { HttpCaller } from "../../src/wasm/http-calls.ts";
import type { PluginLog } from "../../src/wasm/vm.ts";
import { GOOD_GUEST, hostileGuests, TOO_LONG } from "../support/hostile-guests.ts";
import { TEST_TLS, TRANSPORTS } from "../support/transports.ts";
import type { Answer, Client } from "../support/transports.ts";

/** Of each transport. */
const HELD = 250;
/** Of each transport, one after the other, in each batch whose percentile is told. */
const PROBES = 75;
/** To start, far less than the 5 s that plug-ins have: a loop in configure is tried again. */
const BUDGETS = { callbackMs: 50, startMs: 60 };
const RIGHT: Answer = { status: 200, good: "1", body: "ok" };
const A = cluster("a");
const HOSTILE = hostileGuests({ cluster: A.name });
const folder = mkdtempSync(join(tmpdir(), "graylane-isolation-"));
after(endAll);
after(() => {
  rmSync(folder, { recursive: true });
});

function plugin(name: string, bytes: Uint8Array, vmId: string): Plugin {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const path = join(folder, `${sha256}.wasm`);
  writeFileSync(path, bytes);
  return {
    name,
    source: { kind: "WasmPlugin", namespace: "default", name },
    module: { sha256, path },
    ...{ configuration: "", rootId: "", vmId, failMode: "open", env: {} },
  };
}

/** Ports of a gateway: its own, and the same in TLS. */
interface Ports {
  readonly plain: number;
  readonly tls: number;
}

/**
 * One gateway with the good plug-in; and for each transport one with all hostile plug-ins, each
 * passed over when it has failed, so that all of them do their worst once over each transport.
 */
function snapshotOf(upstreamPort: number, gateways: ReadonlyMap<string, Ports>): Snapshot {
  const plugins: Record<string, readonly Plugin[]> = {};
  for (const gateway of gateways.keys()) {
    plugins[gateway] =
      gateway === "good"
        ? [plugin("good", GOOD_GUEST, "")]
        : Object.entries(HOSTILE).map(([kind, { bytes }]) =>
            plugin(`${gateway}: ${kind}`, bytes, gateway),
          );
  }
  const all = Object.values(plugins).flat();
  const base = gatewaySnapshot(80, [forwardRoute(A.name)], {
    clusters: { [A.name]: A },
    endpoints: { [A.name]: { endpoints: [endpoint(upstreamPort)] } },
    plugins: Object.fromEntries(all.map((one) => [one.name, one])),
  });
  const first = Object.values(base.gateways)[0] as Gateway;
  const listener = first.listeners[0] as Gateway["listeners"][number];
  const entries = [...gateways].map(([name, { plain, tls }]) => {
    const listeners = [
      { ...listener, port: plain },
      { ...listener, port: tls, tls: [TEST_TLS] },
    ];
    const names = (plugins[name] ?? []).map((one) => one.name);
    return [name, { ...first, name, listeners, plugins: names }] as const;
  });
  return { ...base, gateways: Object.fromEntries(entries) };
}

interface Upstream {
  readonly port: number;
  /** GETs wait in here until the hostile plug-ins have done their worst. */
  readonly held: ServerResponse[];
}

async function startUpstream(): Promise<Upstream> {
  const held: ServerResponse[] = [];
  const server = createServer((incoming, response) => {
    incoming.resume();
    if (incoming.method === "GET") held.push(response);
    else response.end("ok");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, held };
}

interface Worker {
  readonly ports: ReadonlyMap<string, Ports>;
  readonly assertions: readonly unknown[];
  /** What the plug-ins, and the host on their behalf, have logged as errors. */
  readonly reports: readonly PluginLog[];
  /** Of plug-ins' own calls. */
  callsUnderWay(): number;
  /** Brings the hostile plug-ins: those that never end in configure are stopped then. */
  bringHostile(): Promise<void>;
}

async function startWorker(upstreamPort: number): Promise<Worker> {
  const { context, assertions } = observedContext(systemClock);
  const clusters = new PluginClusters(context.prng);
  const logger = silentLogger;
  const out = {
    calls: new PluginCalls(context, clusters),
    redis: new PluginRedis({ ...context, logger }, clusters),
  };
  const services = pluginServices(context.clock, logger, { out });
  const reports: PluginLog[] = [];
  const log = (line: PluginLog): void => {
    if (line.level >= LogLevel.error) reports.push(line);
    services.log(line);
  };
  const { httpCall, callsUnderWay } = countingCalls(services.httpCall);
  const plugins = { ...services, httpCall, log, budgets: BUDGETS };
  const ports = new Map<string, Ports>();
  for (const name of ["good", ...TRANSPORTS.map((one) => one.name)]) {
    ports.set(name, { plain: await freePort(), tls: await freePort() });
  }
  const options = {
    role: "gateway",
    id: "test",
    gatewayHost: "127.0.0.1",
    portMap: {},
    accessLogPath: "",
    logLevel: "silent",
    logPath: "",
  } as const;
  const role = new GatewayRole(options, context, new Preparer({ logger, plugins, clusters }));
  atEnd(() => role.stop());
  const configure = async (gateways: ReadonlyMap<string, Ports>): Promise<void> => {
    assert.equal(await role.configure(snapshotOf(upstreamPort, gateways)), null);
  };
  await configure(new Map([...ports].filter(([name]) => name === "good")));
  const bringHostile = (): Promise<void> => configure(ports);
  return { ports, assertions, reports, callsUnderWay, bringHostile };
}

function countingCalls(inner: HttpCaller | undefined): {
  readonly httpCall: HttpCaller;
  readonly callsUnderWay: () => number;
} {
  assert.ok(inner !== undefined);
  const underWay = new Set<object>();
  const httpCall: HttpCaller = (asked, onDone) => {
    const one = {};
    const call = inner(asked, (response) => {
      underWay.delete(one);
      onDone(response);
    });
    if (call === null) return null;
    underWay.add(one);
    return {
      cancel: () => {
        underWay.delete(one);
        call.cancel();
      },
    };
  };
  return { httpCall, callsUnderWay: () => underWay.size };
}

/** A client of each transport to a gateway of its own, or to the good one. */
async function openClients(
  { ports }: Worker,
  gatewayOf: (name: string) => string,
): Promise<readonly { readonly name: string; readonly client: Client }[]> {
  const clients = TRANSPORTS.map(async ({ name, isTls, open }) => {
    const { plain, tls } = ports.get(gatewayOf(name)) ?? { plain: 0, tls: 0 };
    const client = await open(isTls ? tls : plain);
    atEnd(() => {
      client.close();
    });
    return { name, client };
  });
  return Promise.all(clients);
}

/**
 * The 99th percentile, in milliseconds, of requests one after the other: by the clock, and by the
 * processor time of this process, which a busy machine changes less.
 */
async function percentile(clients: readonly { client: Client }[]): Promise<string> {
  const tookMs: number[] = [];
  const usedMs: number[] = [];
  for (let count = 0; count < PROBES; count++) {
    for (const { client } of clients) {
      const [startMs, startCpu] = [performance.now(), process.cpuUsage()];
      assert.deepEqual(await client.send("POST"), RIGHT);
      tookMs.push(performance.now() - startMs);
      const { user, system } = process.cpuUsage(startCpu);
      usedMs.push((user + system) / 1_000);
    }
  }
  const of = (times: number[]): string =>
    (times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0).toFixed(1);
  return `${of(tookMs)} (${of(usedMs)})`;
}

/** Requests of each transport, one after the other, until told to stop; how many there were. */
function load(clients: readonly { client: Client }[]): { stop: () => Promise<number> } {
  let isRunning = true;
  const running = clients.map(async ({ client }) => {
    let count = 0;
    for (; isRunning; count++) assert.deepEqual(await client.send("POST"), RIGHT);
    return count;
  });
  return {
    stop: async () => {
      isRunning = false;
      return (await Promise.all(running)).reduce((sum, count) => sum + count, 0);
    },
  };
}

/** Of the plug-in of that kind at that transport's gateway, in the order in which they came. */
function reportsOf(worker: Worker, transport: string, kind: string): readonly string[] {
  const name = `${transport}: ${kind}`;
  return worker.reports.filter((line) => line.plugin === name).map(({ message }) => message);
}

test("a thousand exchanges finish while hostile plug-ins are stopped beside them", async () => {
  const upstream = await startUpstream();
  const worker = await startWorker(upstream.port);
  const good = await openClients(worker, () => "good");
  const held = good.flatMap(({ client }) => Array.from({ length: HELD }, () => client.send("GET")));
  await eventually(() => upstream.held.length === held.length);
  await percentile(good);
  const before = [await percentile(good), await percentile(good), await percentile(good)];

  await worker.bringHostile();
  const killedBefore = worker.reports.length;
  const gaps = watchLoop();
  const beside = load(good);
  for (const { name, client } of await openClients(worker, (transport) => transport)) {
    const { status, body } = await client.send("POST");
    assert.deepEqual({ status, body }, { status: 200, body: "ok" }, name);
  }
  // Some traps come after the answer: in ticks, answers of calls, and configure, tried again.
  const isOver = (): boolean =>
    TRANSPORTS.every(({ name }) =>
      Object.entries(HOSTILE).every(
        ([kind, { trap }]) => trap === null || reportsOf(worker, name, kind).length > 0,
      ),
    );
  await eventually(isOver);
  // What storms have called for is not what a kill costs.
  await eventually(() => worker.callsUnderWay() === 0);
  const besideCount = await beside.stop();
  const { totalMs, cpuMs, longestMs } = gaps.stop();
  const kills = worker.reports.length - killedBefore;
  const afterKills = [await percentile(good), await percentile(good), await percentile(good)];
  for (const response of upstream.held) response.end("ok");
  for (const answer of await Promise.all(held)) assert.deepEqual(answer, RIGHT);
  for (const { name } of TRANSPORTS) {
    for (const [kind, { trap }] of Object.entries(HOSTILE)) {
      const reports = reportsOf(worker, name, kind);
      for (const report of reports) assert.match(report, trap ?? TOO_LONG, `${name}: ${kind}`);
    }
  }
  assert.deepEqual(worker.assertions, []);
  console.log(
    `${held.length} exchanges and ${besideCount} requests beside them finished while ${kills} ` +
      `guests were stopped; the worker stood still for ${totalMs.toFixed(0)} ms in all, ` +
      `${longestMs.toFixed(0)} ms at most, and used ${cpuMs.toFixed(0)} ms of processor time in ` +
      `it (${kills} x 60 are ${kills * 60})`,
  );
  console.log(
    `99th percentile, in ms (of processor time): ${before.join(" and ")} before, ` +
      `${afterKills.join(" and ")} after`,
  );
});

/** Sums the gaps of more than 20 ms between turns of the event loop. */
function watchLoop(): { stop: () => { totalMs: number; cpuMs: number; longestMs: number } } {
  let [totalMs, cpuMs, longestMs, isRunning] = [0, 0, 0, true];
  let [lastMs, lastCpu] = [performance.now(), process.cpuUsage()];
  const turn = (): void => {
    const { user, system } = process.cpuUsage(lastCpu);
    const nowMs = performance.now();
    const gapMs = nowMs - lastMs;
    [lastMs, lastCpu] = [nowMs, process.cpuUsage()];
    longestMs = Math.max(longestMs, gapMs);
    if (gapMs > 20) {
      totalMs += gapMs;
      cpuMs += (user + system) / 1000;
    }
    if (isRunning) setTimeout(turn, 5);
  };
  turn();
  return {
    stop: () => {
      isRunning = false;
      return { totalMs, cpuMs, longestMs };
    },
  };
}
