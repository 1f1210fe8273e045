//! `node dist/bench/api-invalid.js [--count N] [--rate N]`: objects that are no good, written at a
//! fixed rate to a `graylane up`, and valid ones beside them. Prints how long valid writes took
//! without and beside those, what the others were answered, and memory.
//!
//! The bad ones are sent by a thread of its own; all share the machine with the server.

import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import type { ClientFile } from "../src/api/types.ts";
import { delay, systemClock } from "../src/base/clock.ts";
import { Graylane, KINDS } from "../test/support/graylane.ts";
import { cpuOf, memoryOf, now, print, seconds } from "./fleet/figures.ts";
import { createObjects, writeFor } from "./support/valid-writes.ts";

const OBJECTS = 200;
const CALM_SECONDS = 5;
const TICK_MS = 10;
const SOCKETS = 64;
/** What waits for an answer; at more the sender waits, too, and is late. */
const OPEN_MAX = 2_000;

interface Plan extends ClientFile {
  readonly count: number;
  readonly rate: number;
}

interface Sent {
  readonly statuses: Readonly<Record<string, number>>;
  readonly tookMs: number;
}

const ISTIO = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";
const LANES = "/apis/graylane.io/v1alpha1/namespaces/default/lanes";
const SERVICES = "/api/v1/namespaces/default/services";

/** Each wrong in another way: its text, a field's type, a value, and what is missing. */
function bad(index: number): readonly [path: string, body: string] {
  const metadata = { name: `bad-${index}` };
  const route = [{ destination: { host: "shop" }, weight: "many" }];
  switch (index % 4) {
    case 0:
      return [ISTIO, `{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", `];
    case 1: {
      const spec = { hosts: ["a.example.com"], http: [{ route }] };
      const head = { apiVersion: "networking.istio.io/v1", kind: "VirtualService" };
      return [ISTIO, JSON.stringify({ ...head, metadata, spec })];
    }
    case 2: {
      const spec = { ports: [{ port: 70_000 }] };
      return [SERVICES, JSON.stringify({ apiVersion: "v1", kind: "Service", metadata, spec })];
    }
    default: {
      const head = { apiVersion: "graylane.io/v1alpha1", kind: "Lane" };
      return [LANES, JSON.stringify({ ...head, metadata, spec: {} })];
    }
  }
}

async function send({ server, token, count, rate }: Plan): Promise<Sent> {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS });
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const statuses: Record<string, number> = {};
  const startMs = now();
  let open = 0;
  const one = (index: number): Promise<void> =>
    new Promise((resolve) => {
      open += 1;
      const done = (status: string): void => {
        open -= 1;
        statuses[status] = (statuses[status] ?? 0) + 1;
        resolve();
      };
      const [path, body] = bad(index);
      const asked = request(`${server}${path}`, { method: "POST", headers, agent }, (answer) => {
        answer.resume().on("end", () => {
          done(String(answer.statusCode));
        });
      });
      asked.on("error", (error) => {
        done(error.message);
      });
      asked.end(body);
    });
  let sent = 0;
  const all = new Set<Promise<void>>();
  while (sent < count) {
    const due = Math.min(count, Math.floor(((now() - startMs) * rate) / 1_000));
    for (; sent < due && open < OPEN_MAX; sent += 1) {
      const asked = one(sent).then(() => void all.delete(asked));
      all.add(asked);
    }
    await delay(systemClock, TICK_MS);
  }
  await Promise.all(all);
  agent.destroy();
  return { statuses, tookMs: now() - startMs };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      count: { type: "string", default: "100000" },
      rate: { type: "string", default: "1000" },
    },
  });
  const [count, rate] = [Number(values.count), Number(values.rate)];
  const graylane = await Graylane.start({ files: [], waitsForPods: false });
  try {
    await createObjects(graylane, OBJECTS);
    print("memory", memoryOf(graylane.pid));
    print("writes by themselves", await writeFor(graylane, OBJECTS, CALM_SECONDS));
    const file = readFileSync(join(graylane.stateDirectory, "client.json"), "utf8");
    const plan: Plan = { ...(JSON.parse(file) as ClientFile), count, rate };
    const worker = new Worker(new URL(import.meta.url), { workerData: plan });
    const sent = new Promise<Sent>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    const beside = await writeFor(graylane, OBJECTS, count / rate);
    const { statuses, tookMs } = await sent;
    print(`writes beside ${rate} bad ones a second`, beside);
    print("the bad ones", `${JSON.stringify(statuses)} in ${seconds(tookMs)}`);
    const kinds = [KINDS.VirtualService, KINDS.Service];
    const kept = await Promise.all(kinds.map((kind) => graylane.client.list(kind)));
    print("CPU of the server", cpuOf(graylane.pid));
    print("of them kept", String(kept.flatMap(({ items }) => items).length));
    print("memory", memoryOf(graylane.pid));
  } finally {
    await graylane.stop();
  }
}

if (isMainThread) await main();
else parentPort?.postMessage(await send(workerData as Plan));
