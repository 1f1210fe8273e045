//! `node dist/bench/api-overload.js [--clients N] [--objects N] [--seconds N]`: clients that list all
//! objects of a `graylane up` again and again, and one that writes beside them. Prints how long
//! writes took without and beside the lists, what lists came to, and memory.
//!
//! A client that is told to come again does so then; all clients share the machine with the server.

import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { createHistogram } from "node:perf_hooks";
import { parseArgs } from "node:util";
import type { ApiKind, ClientFile } from "../src/api/types.ts";
import { delay, systemClock } from "../src/base/clock.ts";
import type { Resource } from "../src/resources/object.ts";
import { Graylane } from "../test/support/graylane.ts";
import { memoryOf, now, print, seconds } from "./fleet/figures.ts";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "500" },
    objects: { type: "string", default: "10000" },
    seconds: { type: "string", default: "30" },
  },
});
const [CLIENTS, OBJECTS, SECONDS] = [values.clients, values.objects, values.seconds].map(
  Number,
) as [number, number, number];
const KIND: ApiKind = { group: "", version: "v1", plural: "configmaps", namespaced: true };
const WRITE_EVERY_MS = 50;
const CALM_SECONDS = 5;
const CREATED_AT_ONCE = 32;
/** Of an object: as much as a small Service has. */
const TEXT = "x".repeat(400);

function configMap(index: number): Resource {
  const metadata = { name: `m${index}`, namespace: "default" };
  const object: object = { apiVersion: "v1", kind: "ConfigMap", metadata, data: { text: TEXT } };
  return object as Resource;
}

const graylane = await Graylane.start({ files: [], waitsForPods: false });
const credentials = readFileSync(join(graylane.stateDirectory, "client.json"), "utf8");
const { server, token } = JSON.parse(credentials) as ClientFile;
const counts = { whole: 0, refused: 0, withoutRetry: 0, other: 0, bytes: 0 };
let isOver = false;

/** One list; how long to wait before the next. */
function list(): Promise<number> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${token}` };
    const asked = request(`${server}/api/v1/configmaps`, { headers, agent: false }, (answer) => {
      const { statusCode, headers: fields } = answer;
      answer.on("data", (chunk: Buffer) => (counts.bytes += chunk.length));
      answer.on("end", () => {
        const retry = Number(fields["retry-after"] ?? 0);
        if (statusCode === 200) counts.whole += 1;
        else if (statusCode === 429) counts.refused += 1;
        else counts.other += 1;
        if (statusCode === 429 && retry === 0) counts.withoutRetry += 1;
        resolve(retry * 1_000);
      });
    });
    asked.on("error", () => {
      if (!isOver) counts.other += 1;
      resolve(1_000);
    });
    asked.end();
  });
}

async function listUntilOver(): Promise<void> {
  while (!isOver) await delay(systemClock, await list());
}

/** Due at a fixed rate; the time is counted from when a write was due. */
async function write(forSeconds: number): Promise<string> {
  const took = createHistogram();
  const startMs = now();
  const writes: Promise<void>[] = [];
  let failed = 0;
  for (let index = 0; index * WRITE_EVERY_MS < forSeconds * 1_000; index += 1) {
    const dueMs = startMs + index * WRITE_EVERY_MS;
    await delay(systemClock, Math.max(0, dueMs - now()));
    const one = graylane.client.update(KIND, configMap(index % OBJECTS)).then(
      () => {
        took.record(Math.max(1, Math.round(now() - dueMs)));
      },
      () => {
        failed += 1;
      },
    );
    writes.push(one);
  }
  await Promise.all(writes);
  const [p50, p99] = [took.percentile(50), took.percentile(99)];
  return `${took.count} right, ${failed} failed; p50 ${p50} ms, p99 ${p99} ms, ${took.max} at most`;
}

try {
  for (let from = 0; from < OBJECTS; from += CREATED_AT_ONCE) {
    const some = Array.from({ length: Math.min(CREATED_AT_ONCE, OBJECTS - from) }, (_, at) =>
      graylane.client.create(KIND, configMap(from + at)),
    );
    await Promise.all(some);
  }
  const startMs = now();
  await list();
  print("one list", `${(counts.bytes / 1e6).toFixed(1)} MB in ${seconds(now() - startMs)}`);
  print("memory", memoryOf(graylane.pid));
  print("writes without lists", await write(CALM_SECONDS));
  counts.whole = 0;
  const lists = Array.from({ length: CLIENTS }, listUntilOver);
  print(`writes beside ${CLIENTS} clients`, await write(SECONDS));
  isOver = true;
  const { whole, refused, withoutRetry, other } = counts;
  print("lists", `${whole} whole, ${refused} refused with 429, ${other} otherwise`);
  print("refused without Retry-After", String(withoutRetry));
  print("memory", memoryOf(graylane.pid));
  await Promise.all(lists);
} finally {
  await graylane.stop();
}
