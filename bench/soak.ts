//! `node dist/bench/soak.js [SECONDS] [RATE] [EVERY_MS]`: the same load through real Envoy and through
//! `graylane up`, SECONDS each, while routes change and endpoints come and go in turn (row D15 of
//! docs/reliability.md; workers are killed, certificates renewed and pods rolled in the test
//! `load-everything`, for Envoy's die with it, and have no pods). RATE requests a second over kept
//! connections, and a quarter as many over new ones, by open-loop clients that never try again.
//!
//! Endpoints that go are no longer named, and run on. Envoy has its routes and endpoints in files.
//! Memory and descriptors are of all processes of each: of ours the control plane, the gateway's
//! worker, that of sidecars, and their spares. They are read after the first fifth of the time, when
//! code has been compiled, and at the end, under load; memory with all garbage. Envoy has one core;
//! ours, the clients and the endpoints share both.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../src/base/testing/free-port.ts";
import type { Resource } from "../src/resources/object.ts";
import { Graylane } from "../test/support/graylane.ts";
import {
  GATEWAY,
  outsideHost,
  VERSION_HEADER,
  virtualService,
} from "../test/support/load-manifests.ts";
import { figuresOf } from "../test/support/load-setup.ts";
import { put } from "../test/support/put.ts";
import {
  descriptorsOfTree,
  Pinned,
  PROXY_CORE,
  residentKibOfTree,
} from "./end-to-end/contender.ts";
import type { BenchContext } from "./end-to-end/contender.ts";
import { envoyEndpoints, envoyRoutes, replaceResource } from "./end-to-end/file-config.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";
import { OpenLoopClient } from "./support/open-loop.ts";

const SECONDS = Number(process.argv[2] ?? 300);
const RATE_PER_SECOND = Number(process.argv[3] ?? 400);
const EVERY_MS = Number(process.argv[4] ?? 200);
const FRESH_PART = 0.25;
const WARM_PART = 0.2;
const READY_WITHIN_MS = 30_000;
const HOST = "upstream.outside.test";
const MIB_KIB = 1_024;

interface Contender {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  readonly setRoutes: (version: number) => Promise<unknown>;
  readonly setEndpoints: (ports: readonly number[]) => Promise<unknown>;
  readonly stop: () => Promise<unknown>;
}

function endpointsOf(ports: readonly number[]): Resource {
  const host = outsideHost("upstream", ports[0] ?? 0);
  const endpoints = ports.map((port) => ({ address: "127.0.0.1", ports: { http: port } }));
  return { ...host, spec: { ...(host.spec as object), endpoints } };
}

async function graylane({ directory, ports }: BenchContext): Promise<Contender> {
  const manifest = join(directory, "objects.yaml");
  const objects = [GATEWAY, endpointsOf([ports.v1]), virtualService(HOST, 0)];
  writeFileSync(manifest, objects.map((object) => JSON.stringify(object)).join("\n---\n"));
  const started = await Graylane.start({ files: [manifest], words: ["--workers", "1"] });
  return {
    ...{ name: "Graylane", port: started.port, pid: started.pid },
    setRoutes: (version) => put(started.client, virtualService(HOST, version)),
    setEndpoints: (some) => put(started.client, endpointsOf(some)),
    stop: () => started.stop(),
  };
}

async function envoy({ directory, root, ports }: BenchContext): Promise<Contender> {
  const port = await freePort();
  const [routes, endpoints] = [join(directory, "routes.json"), join(directory, "endpoints.json")];
  replaceResource(routes, envoyRoutes(0));
  replaceResource(endpoints, envoyEndpoints([ports.v1]));
  const values: Record<string, string> = {
    LISTEN_PORT: String(port),
    ROUTES_FILE: routes,
    ENDPOINTS_FILE: endpoints,
  };
  const template = readFileSync(join(root, "bench", "end-to-end", "envoy", "soak.yaml"), "utf8");
  const file = join(directory, "soak.yaml");
  writeFileSync(
    file,
    template.replace(/\$\{([A-Z0-9_]+)\}/g, (_all, key: string) => values[key] ?? ""),
  );
  const binary = join(homedir(), ".cache", "graylane", "envoy", "bin", "envoy");
  const flags = ["--concurrency", "1", "--log-level", "warn", "--use-dynamic-base-id"];
  const started = new Pinned(PROXY_CORE, [binary, "-c", file, ...flags]);
  return {
    ...{ name: "Envoy", port, pid: started.pid },
    setRoutes: replacer(routes, envoyRoutes),
    setEndpoints: replacer(endpoints, envoyEndpoints),
    stop: () => started.stop(),
  };
}

function replacer<T>(file: string, resourceOf: (value: T) => object): (value: T) => Promise<void> {
  return (value: T): Promise<void> => {
    replaceResource(file, resourceOf(value));
    return Promise.resolve();
  };
}

async function untilReady({ name, port }: Contender): Promise<void> {
  const endMs = performance.now() + READY_WITHIN_MS;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
    if (answer?.status === 200) return;
    if (performance.now() > endMs) throw new Error(`${name} does not answer: ${answer?.status}`);
    await sleep(100);
  }
}

/** What was seen in answers: that changes arrive, and that all endpoints are used. */
interface Seen {
  readonly versions: Set<string>;
  readonly bodies: Set<string>;
}

function clientOf(
  port: number,
  ratePerSecond: number,
  isFresh: boolean,
  seen: Seen,
): OpenLoopClient {
  const end = isFresh ? "connection: close\r\n" : "";
  const bytes = `GET / HTTP/1.1\r\nhost: localhost\r\n${end}\r\n`;
  return new OpenLoopClient({
    ...{ host: "127.0.0.1", port, ratePerSecond, connectionsMax: 500, timeoutMs: 30_000 },
    request: () => ({
      bytes,
      check: ({ status, head, body }) => {
        seen.versions.add(new RegExp(`${VERSION_HEADER}: (\\d+)`, "i").exec(head)?.[1] ?? "");
        seen.bodies.add(body.toString().trim());
        return status === 200 ? null : `status ${status}: ${body.toString().slice(0, 200)}`;
      },
    }),
  });
}

interface Counts {
  routes: number;
  endpoints: number;
}

async function move(contender: Contender, { v1, v2 }: BenchContext["ports"]): Promise<Counts> {
  const counts: Counts = { routes: 0, endpoints: 0 };
  const sets = [[v1, v2], [v2], [v1, v2], [v1]];
  const endMs = performance.now() + SECONDS * 1_000;
  while (performance.now() < endMs) {
    await Promise.all([contender.setRoutes(++counts.routes), sleep(EVERY_MS)]);
    const ports = sets[counts.endpoints++ % sets.length] ?? [];
    await Promise.all([contender.setEndpoints(ports), sleep(EVERY_MS)]);
  }
  return counts;
}

async function measure(contender: Contender, context: BenchContext): Promise<void> {
  const { name, port, pid } = contender;
  const seen: Seen = { versions: new Set(), bodies: new Set() };
  const kept = clientOf(port, RATE_PER_SECOND, false, seen);
  const fresh = clientOf(port, RATE_PER_SECOND * FRESH_PART, true, seen);
  kept.start();
  fresh.start();
  const read = (): readonly [number, number] => [residentKibOfTree(pid), descriptorsOfTree(pid)];
  const [[kib, descriptors], counts] = await Promise.all([
    sleep(SECONDS * WARM_PART * 1_000).then(read),
    move(contender, context.ports),
  ]);
  const [kibAfter, descriptorsAfter] = read();
  const results = [
    ["kept connections", await kept.stop()],
    ["a new connection each", await fresh.stop()],
  ] as const;
  const mib = (some: number): string => (some / MIB_KIB).toFixed(1);
  process.stdout.write(
    `${name}: ${counts.routes} changes of routes, ${counts.endpoints} of endpoints, ` +
      `${seen.versions.size} versions and ${seen.bodies.size} endpoints seen; memory ` +
      `${mib(kib)} and ${mib(kibAfter)} MiB; ${descriptors} and ${descriptorsAfter} descriptors\n`,
  );
  for (const [what, result] of results) {
    process.stdout.write(`${name}, ${what}: ${figuresOf(result)}\n`);
    for (const failure of result.failures) process.stdout.write(`  ${failure}\n`);
  }
}

const directory = mkdtempSync(join(tmpdir(), "graylane-soak-"));
const ports = { v1: await freePort(), v2: await freePort() };
const context: BenchContext = { root: resolve("."), directory, ports };
const upstream = await startUpstream(context);
for (const make of [envoy, graylane]) {
  const contender = await make(context);
  await untilReady(contender);
  await measure(contender, context);
  await contender.stop();
}
await upstream.stop();
const [loadOfMachine = 0] = loadavg();
process.stdout.write(`load of the machine: ${loadOfMachine.toFixed(0)}\n`);
rmSync(directory, { recursive: true, force: true });
