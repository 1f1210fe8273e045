//! `graylane lane plan`: how many keys would move in, out and between lanes, before a change.

import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { compile } from "../compile/compile.ts";
import type { CompileResult } from "../compile/compile.ts";
import { toWireText } from "../lane/key-hash.ts";
import { SharePlan } from "../lane/plan.ts";
import type { Moves, TablePlan } from "../lane/plan.ts";
import type { Fault } from "../resources/fault.ts";
import type { Resource } from "../resources/object.ts";
import type { LaneGroup } from "../snapshot/snapshot.ts";
import { objectsBefore, overlay, shareKinds, withAllocations } from "./change.ts";
import { CliError, usageError } from "./cli-error.ts";
import { printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { readManifests } from "./manifests.ts";
import { printMessages } from "./messages.ts";

export interface LanePlanOptions {
  readonly filename: readonly string[];
  readonly keys: string;
  /** Files in the place of the server's objects. */
  readonly before: readonly string[];
  readonly output?: string;
}

interface GroupPlan {
  readonly group: string;
  readonly plan: SharePlan;
}

/** Exit code 1 when the change has errors: it would not do what it says. */
export async function planLanes(context: Context, options: LanePlanOptions): Promise<number> {
  const { output } = options;
  if (output !== undefined && output !== "json") {
    throw usageError(`-o ${output}: not a format of lane plan`, "Use -o json.");
  }
  const change = await readManifests(context, options.filename);
  const before = await objectsBefore(context, options.before, shareKinds());
  const now = compiled(before);
  const then = compiled(overlay(withAllocations(before, now), change.resources));
  const plans = plansOf(now.snapshot.laneGroups, then.snapshot.laneGroups);
  const keyCount = await readKeys(resolve(context.cwd, options.keys), plans);
  const faults = [...change.faults, ...then.messages.filter(isAboutShares).map(change.locate)];
  printMessages(context.stderr, faults);
  if (output === "json")
    printLine(context.stdout, JSON.stringify(asJson(plans, keyCount), null, 2));
  else context.stdout.write(formatPlans(plans, keyCount));
  return faults.some(({ severity }) => severity === "error") ? 1 : 0;
}

function compiled(resources: readonly Resource[]): CompileResult {
  return compile({ resources, modules: new Map() });
}

function isAboutShares({ code }: Fault): boolean {
  return code.startsWith("GL034");
}

function plansOf(
  now: Readonly<Record<string, LaneGroup>>,
  then: Readonly<Record<string, LaneGroup>>,
): GroupPlan[] {
  const names = [...new Set([...Object.keys(now), ...Object.keys(then)])].sort();
  return names.flatMap((group) => {
    const [before, after] = [now[group]?.cohorts, then[group]?.cohorts];
    return before === undefined && after === undefined
      ? []
      : [{ group, plan: new SharePlan(before, after) }];
  });
}

/** One key a line, UTF-8; empty lines are left out. Returns how many there were. */
async function readKeys(path: string, plans: readonly GroupPlan[]): Promise<number> {
  let keyCount = 0;
  try {
    const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
    for await (const key of lines) {
      if (key === "") continue;
      keyCount += 1;
      const wireKey = toWireText(key);
      for (const { plan } of plans) plan.add(wireKey, key);
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CliError(`the keys cannot be read: ${why}`, "Name a file with one key on each line.");
  }
  return keyCount;
}

function asJson(plans: readonly GroupPlan[], keyCount: number): unknown {
  return {
    keyCount,
    groups: plans.map(({ group, plan }) => ({ group, deal: plan.deal, tables: plan.tables })),
  };
}

export function formatPlans(plans: readonly GroupPlan[], keyCount: number): string {
  if (plans.length === 0) return "No lane has a share, before or after.\n";
  const lines = plans.flatMap(({ group, plan }) => [
    `Lane group ${group}: ${dealText(plan)}`,
    ...plan.tables.flatMap((table) => tableLines(table, plan.deal !== null, keyCount)),
  ]);
  return `${lines.join("\n")}\n`;
}

function dealText({ deal }: SharePlan): string {
  if (deal === null) return "a new draw for each request, so that no key is in any lane";
  const { key, hash, salt } = deal;
  const name = key.kind === "clientIp" ? "" : ` ${key.name}`;
  return `key ${key.kind}${name}, ${hash}${salt === "" ? "" : `, salt ${JSON.stringify(salt)}`}`;
}

function tableLines(table: TablePlan, isSticky: boolean, keyCount: number): string[] {
  const where = table.table === "*" ? "every base route" : `base route ${table.table}`;
  const shares = table.shares.map(
    ({ lane, nowPpm, thenPpm }) => `    ${lane}: ${percent(nowPpm)} -> ${percent(thenPpm)}`,
  );
  if (!isSticky) return [`  ${where}`, ...shares];
  const { in: moved, out, between, stayCount } = table;
  return [
    `  ${where}`,
    ...shares,
    `    of ${keyCount} keys: ${moved.count} in, ${out.count} out, ` +
      `${between.count} between lanes, ${stayCount} stay`,
    ...exampleLines("in", moved),
    ...exampleLines("out", out),
    ...exampleLines("between", between),
  ];
}

function exampleLines(what: string, { examples, count }: Moves): string[] {
  if (examples.length === 0) return [];
  const texts = examples.map(
    ({ key, from, to }) => `${key} (${from ?? "baseline"} -> ${to ?? "baseline"})`,
  );
  const more = count > examples.length ? ", …" : "";
  return [`    ${what}: ${texts.join(", ")}${more}`];
}

function percent(ppm: number): string {
  return `${ppm / 10_000} %`;
}
