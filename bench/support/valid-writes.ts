//! Writes of small objects at a fixed rate, beside whatever a benchmark does to the API.

import { createHistogram } from "node:perf_hooks";
import type { ApiKind } from "../../src/api/types.ts";
import { delay, systemClock } from "../../src/base/clock.ts";
import type { Resource } from "../../src/resources/object.ts";
import type { Graylane } from "../../test/support/graylane.ts";
import { now } from "../fleet/figures.ts";

export const KIND: ApiKind = { group: "", version: "v1", plural: "configmaps", namespaced: true };
const WRITE_EVERY_MS = 50;
const CREATED_AT_ONCE = 32;
/** Of an object: as much as a small Service has. */
const TEXT = "x".repeat(400);

function configMap(index: number): Resource {
  const metadata = { name: `m${index}`, namespace: "default" };
  const object: object = { apiVersion: "v1", kind: "ConfigMap", metadata, data: { text: TEXT } };
  return object as Resource;
}

/** What is then written again and again. */
export async function createObjects(graylane: Graylane, count: number): Promise<void> {
  for (let from = 0; from < count; from += CREATED_AT_ONCE) {
    const some = Array.from({ length: Math.min(CREATED_AT_ONCE, count - from) }, (_, at) =>
      graylane.client.create(KIND, configMap(from + at)),
    );
    await Promise.all(some);
  }
}

/** Due at a fixed rate; the time is counted from when a write was due. */
export async function writeFor(
  graylane: Graylane,
  objects: number,
  seconds: number,
): Promise<string> {
  const took = createHistogram();
  const startMs = now();
  const writes: Promise<void>[] = [];
  let failed = 0;
  for (let index = 0; index * WRITE_EVERY_MS < seconds * 1_000; index += 1) {
    const dueMs = startMs + index * WRITE_EVERY_MS;
    await delay(systemClock, Math.max(0, dueMs - now()));
    const one = graylane.client.update(KIND, configMap(index % objects)).then(
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
