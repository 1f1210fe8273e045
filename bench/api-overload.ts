//! `node dist/bench/api-overload.js [--clients N] [--objects N] [--seconds N]`: clients that list all
//! objects of a `graylane up` again and again, and one that writes beside them. Prints how long
//! writes took without and beside the lists, what lists came to, and memory.
//!
//! A client that is told to come again does so then; all clients share the machine with the server.

import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ClientFile } from "../src/api/types.ts";
import { delay, systemClock } from "../src/base/clock.ts";
import { Graylane } from "../test/support/graylane.ts";
import { memoryOf, now, print, seconds } from "./fleet/figures.ts";
import { createObjects, writeFor } from "./support/valid-writes.ts";

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
const CALM_SECONDS = 5;

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

try {
  await createObjects(graylane, OBJECTS);
  const startMs = now();
  await list();
  print("one list", `${(counts.bytes / 1e6).toFixed(1)} MB in ${seconds(now() - startMs)}`);
  print("memory", memoryOf(graylane.pid));
  print("writes without lists", await writeFor(graylane, OBJECTS, CALM_SECONDS));
  counts.whole = 0;
  const lists = Array.from({ length: CLIENTS }, listUntilOver);
  print(`writes beside ${CLIENTS} clients`, await writeFor(graylane, OBJECTS, SECONDS));
  isOver = true;
  const { whole, refused, withoutRetry, other } = counts;
  print("lists", `${whole} whole, ${refused} refused with 429, ${other} otherwise`);
  print("refused without Retry-After", String(withoutRetry));
  print("memory", memoryOf(graylane.pid));
  await Promise.all(lists);
} finally {
  await graylane.stop();
}
