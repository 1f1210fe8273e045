//! `node dist/bench/reloads.js [RELOADS] [EVERY_MS]`: changes of the routes under the full load of a
//! closed loop that never tries again, beside real Envoy with its routes in a file (row D12 of
//! docs/reliability.md): over connections that stay, then with a new one for each request. Lost is
//! what wrk counts as an error of a socket or as another answer than 200.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../src/base/testing/free-port.ts";
import { Graylane } from "../test/support/graylane.ts";
import {
  GATEWAY,
  outsideHost,
  VERSION_HEADER,
  virtualService,
} from "../test/support/load-manifests.ts";
import { put } from "../test/support/put.ts";
import { LOAD_CORE, Pinned, PROXY_CORE } from "./end-to-end/contender.ts";
import type { BenchContext } from "./end-to-end/contender.ts";
import { envoyRoutes, replaceResource } from "./end-to-end/file-config.ts";
import { startUpstream } from "./end-to-end/upstream-process.ts";
import { parseWrk } from "./end-to-end/wrk.ts";

const RELOADS = Number(process.argv[2] ?? 20);
const EVERY_MS = Number(process.argv[3] ?? 500);
const CONNECTIONS = 32;
const READY_WITHIN_MS = 30_000;
const HOST = "upstream.outside.test";
const KINDS = [
  ["kept connections", []],
  ["a new connection each", ["-H", "Connection: close"]],
] as const;

interface Contender {
  readonly name: string;
  readonly port: number;
  /** Makes the proxy add this version to its answers from now on. */
  readonly reload: (version: number) => Promise<void>;
  readonly stop: () => Promise<unknown>;
}

async function graylane(context: BenchContext): Promise<Contender> {
  const manifest = join(context.directory, "objects.yaml");
  const objects = [GATEWAY, outsideHost("upstream", context.ports.v1), virtualService(HOST, 0)];
  writeFileSync(manifest, objects.map((object) => JSON.stringify(object)).join("\n---\n"));
  const started = await Graylane.start({ files: [manifest], words: ["--workers", "1"] });
  return {
    name: "Graylane",
    port: started.port,
    reload: async (version) => {
      await put(started.client, virtualService(HOST, version));
    },
    stop: () => started.stop(),
  };
}

async function envoy(context: BenchContext): Promise<Contender> {
  const port = await freePort();
  const routes = join(context.directory, "routes.json");
  const reload = (version: number): Promise<void> => {
    replaceResource(routes, envoyRoutes(version));
    return Promise.resolve();
  };
  await reload(0);
  const values: Record<string, string> = {
    LISTEN_PORT: String(port),
    V1_PORT: String(context.ports.v1),
    ROUTES_FILE: routes,
  };
  const folder = join(context.root, "bench", "end-to-end", "envoy");
  const template = readFileSync(join(folder, "reloads.yaml"), "utf8");
  const text = template.replace(/\$\{([A-Z0-9_]+)\}/g, (_all, key: string) => values[key] ?? "");
  const file = join(context.directory, "reloads.yaml");
  writeFileSync(file, text);
  const binary = join(homedir(), ".cache", "graylane", "envoy", "bin", "envoy");
  const flags = ["--concurrency", "1", "--log-level", "warn", "--use-dynamic-base-id"];
  const started = new Pinned(PROXY_CORE, [binary, "-c", file, ...flags]);
  return { name: "Envoy", port, reload, stop: () => started.stop() };
}

/** Resolves when answers have this version. */
async function untilVersion({ name, port }: Contender, version: number): Promise<void> {
  const endMs = performance.now() + READY_WITHIN_MS;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
    const got = answer?.headers.get(VERSION_HEADER);
    if (answer?.status === 200 && got === String(version)) return;
    if (performance.now() > endMs) throw new Error(`${name} has version ${got}, not ${version}`);
    await sleep(20);
  }
}

let version = 0;

async function measure(
  contender: Contender,
  what: string,
  flags: readonly string[],
): Promise<string> {
  const seconds = Math.ceil((RELOADS * EVERY_MS) / 1_000) + 1;
  const load = ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, "--timeout", "10s", "--latency"];
  const url = `http://127.0.0.1:${contender.port}/`;
  const wrk = new Pinned(LOAD_CORE, ["wrk", ...load, ...flags, url]);
  const ended = wrk.exited;
  for (let reloads = 0; reloads < RELOADS; reloads += 1) {
    version += 1;
    await Promise.all([contender.reload(version), sleep(EVERY_MS)]);
  }
  await untilVersion(contender, version);
  await ended;
  const { requests, errors, p99Ms } = parseWrk(wrk.output);
  const lost = errors === "" ? "0 lost" : `lost: ${errors}`;
  return `${what}: ${requests} requests, ${RELOADS} reloads, ${lost}; p99 ${p99Ms.toFixed(1)} ms`;
}

const directory = mkdtempSync(join(tmpdir(), "graylane-reloads-"));
const ports = { v1: await freePort(), v2: await freePort() };
const context: BenchContext = { root: resolve("."), directory, ports };
const upstream = await startUpstream(context);
for (const make of [envoy, graylane]) {
  version = 0;
  const contender = await make(context);
  await untilVersion(contender, 0);
  for (const [what, flags] of KINDS) {
    process.stdout.write(`${contender.name}, ${await measure(contender, what, flags)}\n`);
  }
  await contender.stop();
}
await upstream.stop();
rmSync(directory, { recursive: true, force: true });
