//! `node dist/bench/restart.js [--objects N] [--kills N]`: `graylane up` is killed with `kill -9` and
//! started again with the same state. Prints how long after the start of the new process its API
//! answers with an object, and how much processor time that process has used by then; half of the
//! objects are ConfigMaps, half ServiceEntries, which are compiled as well.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ClientFile } from "../src/api/types.ts";
import { delay, systemClock } from "../src/base/clock.ts";
import { freePort } from "../src/base/testing/free-port.ts";
import { openStore } from "../src/controlplane/store/open-store.ts";
import type { Resource } from "../src/resources/object.ts";
import { COMMAND, temporaryDirectory } from "../test/support/graylane.ts";
import { cpuOf, memoryOf, now, print, seconds } from "./fleet/figures.ts";

const { values } = parseArgs({
  options: {
    objects: { type: "string", default: "10000" },
    kills: { type: "string", default: "5" },
  },
});
const [OBJECTS, KILLS] = [values.objects, values.kills].map(Number) as [number, number];
const POLL_MS = 5;
const WAIT_MS_MAX = 120_000;
/** Of a ConfigMap: as much as a small Service has. */
const TEXT = "x".repeat(400);

function objectOf(index: number): Resource {
  const metadata = { name: `m${index}`, namespace: "default" };
  if (index % 2 === 0) {
    return { apiVersion: "v1", kind: "ConfigMap", metadata, data: { text: TEXT } };
  }
  const spec = {
    hosts: [`m${index}.example.com`],
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    resolution: "STATIC",
    endpoints: [{ address: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}` }],
  };
  return { apiVersion: "networking.istio.io/v1", kind: "ServiceEntry", metadata, spec };
}

async function fill(directory: string, objects: number): Promise<void> {
  const store = openStore({ directory, clock: systemClock });
  const writes = Array.from({ length: objects }, (_, index) => store.create(objectOf(index)));
  for (const result of await Promise.all(writes)) if (!result.ok) throw new Error(result.message);
  await store.close();
}

/** Whether the object is answered with. */
async function isAnswered(directory: string, port: number): Promise<boolean> {
  try {
    const text = readFileSync(join(directory, "client.json"), "utf8");
    const { token } = JSON.parse(text) as ClientFile;
    const url = `http://127.0.0.1:${port}/api/v1/namespaces/default/configmaps/m0`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}

interface Took {
  readonly answeredMs: number;
  readonly upMs: number;
}

async function startAndKill(directory: string, attempt: string): Promise<Took> {
  const port = await freePort();
  const words = ["--state", directory, "--api", `127.0.0.1:${port}`, "--admin", "127.0.0.1:0"];
  const startMs = now();
  const child = spawn(process.execPath, [COMMAND, "up", ...words], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += String(chunk)));
  const until = async (isSo: () => boolean | Promise<boolean>): Promise<number> => {
    while (!(await isSo())) {
      if (child.exitCode !== null || now() - startMs > WAIT_MS_MAX) throw new Error(said);
      await delay(systemClock, POLL_MS);
    }
    return now() - startMs;
  };
  try {
    const answeredMs = await until(() => isAnswered(directory, port));
    const cost = `CPU ${cpuOf(child.pid ?? 0)}, ${memoryOf(child.pid ?? 0)}`;
    const upMs = await until(() => said.includes("Graylane is up."));
    const times = `answers after ${seconds(answeredMs)} (${cost}); up after ${seconds(upMs)}`;
    print(attempt, times);
    return { answeredMs, upMs };
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
}

function spread(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
  return `median ${seconds(median)}, slowest ${seconds(sorted.at(-1) ?? 0)}`;
}

for (const objects of [1, OBJECTS]) {
  const directory = temporaryDirectory();
  try {
    await fill(directory, objects);
    const startMs = now();
    await openStore({ directory, clock: systemClock }).close();
    print(`${objects} objects`, `the store alone opens in ${seconds(now() - startMs)}`);
    const took: Took[] = [];
    for (let kill = 0; kill <= KILLS; kill += 1) {
      const what = kill === 0 ? "the first start" : `after kill ${kill}`;
      const one = await startAndKill(directory, what);
      if (kill > 0) took.push(one);
    }
    print("answers", spread(took.map((one) => one.answeredMs)));
    print("is up", spread(took.map((one) => one.upMs)));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
print("load", loadavg()[0]?.toFixed(1) ?? "");
