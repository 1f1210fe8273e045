//! `graylane lane diff`: which requests of real traffic a change sends another way, before it is
//! made.

import { resolve } from "node:path";
import { RECENT_LIMIT_MAX } from "../api/types.ts";
import { compile } from "../compile/compile.ts";
import type { CompileResult } from "../compile/compile.ts";
import type { Fault } from "../resources/fault.ts";
import type { Resource } from "../resources/object.ts";
import type { Condition, Snapshot } from "../snapshot/snapshot.ts";
import { objectsBefore, overlay, routingKinds, withAllocations } from "./change.ts";
import { messageOf, usageError } from "./cli-error.ts";
import { connect, printLine } from "./context.ts";
import type { Context, OfflineGateway } from "./context.ts";
import { questionOf } from "./explain-recent.ts";
import { LaneDifference, verdictOf } from "./lane-difference.ts";
import type { RuleUse } from "./lane-difference.ts";
import { readManifests } from "./manifests.ts";
import { printMessages } from "./messages.ts";
import { withPlannedPods } from "./planned-pods.ts";
import { formatTable } from "./table.ts";
import { LINES_MAX, readAccessLog } from "./traffic.ts";
import type { TrafficRead, TrafficRequest } from "./traffic.ts";

export interface LaneDiffOptions {
  readonly filename: readonly string[];
  readonly traffic?: string;
  /** What the gateways decided last, in place of a log. */
  readonly recent?: boolean;
  /** Files in the place of the server's objects. */
  readonly before: readonly string[];
  readonly output?: string;
}

/** Exit code 1 when the change has errors, or the traffic has lines that cannot be read. */
export async function diffLanes(context: Context, options: LaneDiffOptions): Promise<number> {
  const { output, traffic } = options;
  if (output !== undefined && output !== "json") {
    throw usageError(`-o ${output}: not a format of lane diff`, "Use -o json.");
  }
  if ((traffic === undefined) === (options.recent !== true)) {
    throw usageError("traffic must be named once", "Write --traffic FILE or --recent.");
  }
  const change = await readManifests(context, options.filename);
  const before = await objectsBefore(context, options.before, routingKinds());
  const now = await compiled(context, before);
  const then = await compiled(context, overlay(withAllocations(before, now), change.resources));
  const faults = [...change.faults, ...then.messages.filter(isAboutLanes).map(change.locate)];
  const difference = new LaneDifference();
  const logged = new Set<string>();
  const read = await replay(context, [now.snapshot, then.snapshot], {
    difference,
    logged,
    path: traffic ?? null,
  });
  // What is kept of recent requests is all that the client sent.
  const unknown =
    traffic === undefined
      ? new Map<string, string>()
      : unknownHeaders([now.snapshot, then.snapshot], logged);
  printMessages(context.stderr, faults);
  for (const line of [...read.bad, ...warningsOf(read, unknown)]) printLine(context.stderr, line);
  if (output === "json") {
    const report = reportOf(difference, read, unknown);
    printLine(context.stdout, JSON.stringify({ ...report, messages: faults }, null, 2));
  } else context.stdout.write(formatDifference(difference, read, traffic ?? "the last decided"));
  const hasError = faults.some(({ severity }) => severity === "error");
  return hasError || read.badCount > 0 ? 1 : 0;
}

async function compiled(context: Context, objects: readonly Resource[]): Promise<CompileResult> {
  const resources = withPlannedPods(objects);
  const modules = await context.resolveModules(resources, null);
  return compile({ resources, modules, nowMs: context.clock.nowMs() });
}

/** Of lane groups, lanes and shares. */
function isAboutLanes({ code }: Fault): boolean {
  return code.startsWith("GL03");
}

interface Replay {
  /** Of an access log; null: what the gateways decided last. */
  readonly path: string | null;
  readonly difference: LaneDifference;
  /** Takes the names of the fields that lines tell. */
  readonly logged: Set<string>;
}

/** Every request is decided twice, with the same draws. */
async function replay(
  context: Context,
  [before, after]: readonly [Snapshot, Snapshot],
  { path, difference, logged }: Replay,
): Promise<TrafficRead> {
  const now = await context.offlineGateway(before);
  const then = await context.offlineGateway(after);
  let draw = 0;
  const failed: string[] = [];
  const onRequest = async ({ request, headers }: TrafficRequest): Promise<void> => {
    draw += 1;
    for (const name of headers) logged.add(name);
    const decide = (gateway: OfflineGateway): ReturnType<OfflineGateway["explain"]> =>
      gateway.explain(request, draw);
    try {
      difference.add(request, await decide(now), await decide(then));
    } catch (error) {
      failed.push(`${request.url}: ${messageOf(error)}`);
    }
  };
  try {
    const read =
      path === null
        ? await readRecent(context, onRequest)
        : await readAccessLog(resolve(context.cwd, path), path, onRequest);
    return { ...read, badCount: read.badCount + failed.length, bad: [...read.bad, ...failed] };
  } finally {
    now.close();
    then.close();
  }
}

async function readRecent(
  context: Context,
  onRequest: (traffic: TrafficRequest) => Promise<void>,
): Promise<TrafficRead> {
  const client = await connect(context);
  const { decisions } = await client.recent({ where: [], limit: RECENT_LIMIT_MAX });
  for (const decision of decisions) {
    await onRequest({ request: questionOf(decision), headers: new Set() });
  }
  return { requestCount: decisions.length, hopCount: 0, badCount: 0, bad: [], isCut: false };
}

/** Headers and cookies that decisions read and that no line tells: they count as absent. */
function unknownHeaders(
  snapshots: readonly Snapshot[],
  logged: ReadonlySet<string>,
): ReadonlyMap<string, string> {
  const unknown = new Map<string, string>();
  const ask = (kind: string, name: string, where: string): void => {
    const header = kind === "cookie" || kind === "issuedCookie" ? "cookie" : name.toLowerCase();
    const isHeader = kind === "header" || header === "cookie";
    if (isHeader && !logged.has(header) && !unknown.has(header)) unknown.set(header, where);
  };
  for (const { laneGroups } of snapshots) {
    for (const { name, lanes, cohorts } of Object.values(laneGroups)) {
      const key = cohorts?.deal?.key;
      if (key !== undefined && key.kind !== "clientIp") {
        ask(key.kind, key.name, `the shares of ${name}`);
      }
      for (const { name: lane, rule, forcedIn, forcedOut } of lanes) {
        for (const each of [rule, forcedIn, forcedOut]) {
          if (each == null) continue;
          eachOperand(each.condition, (kind, operand) => {
            ask(kind, operand, `the lane ${lane} of ${name}`);
          });
        }
      }
    }
  }
  return unknown;
}

function eachOperand(condition: Condition, visit: (kind: string, name: string) => void): void {
  if (condition.kind === "test") visit(condition.operand.kind, condition.operand.name);
  else if (condition.kind === "not") eachOperand(condition.of, visit);
  else for (const member of condition.of) eachOperand(member, visit);
}

function warningsOf(read: TrafficRead, unknown: ReadonlyMap<string, string>): string[] {
  const lines: string[] = [];
  const untold = read.badCount - read.bad.length;
  if (untold > 0) lines.push(`… and ${untold} more lines that cannot be read`);
  if (read.isCut) lines.push(`warning: only the first ${LINES_MAX} lines were read`);
  for (const [header, where] of unknown) {
    lines.push(
      `warning: ${where} reads the header ${header}, which no line tells, so it counts as ` +
        `absent; log it: graylane up --access-log-header ${header}`,
    );
  }
  return lines;
}

function reportOf(
  { moves, rules, stayCount, furtherCount }: LaneDifference,
  read: TrafficRead,
  unknown: ReadonlyMap<string, string>,
): object {
  return {
    requestCount: read.requestCount,
    hopCount: read.hopCount,
    badCount: read.badCount,
    isCut: read.isCut,
    stayCount,
    moves,
    furtherCount,
    rules: rules.map((use) => ({ ...use, verdict: verdictOf(use) })),
    unknownHeaders: [...unknown.keys()],
  };
}

function formatDifference(difference: LaneDifference, read: TrafficRead, path: string): string {
  const { moves, rules, stayCount, furtherCount } = difference;
  const hops = read.hopCount === 0 ? "" : `, ${read.hopCount} lines of sidecars left out`;
  const lines = [`${read.requestCount} requests of ${path}${hops}: ${stayCount} stay`];
  if (moves.length > 0) {
    const ordered = [...moves].sort((a, b) => b.count - a.count);
    const rows = ordered.map(({ group, from, to, count, examples }) => [
      ...[group === "" ? "-" : group, from, to, String(count)],
      examples[0] ?? "",
    ]);
    lines.push("", formatTable(["GROUP", "FROM", "TO", "REQUESTS", "EXAMPLE"], rows).trimEnd());
  }
  if (furtherCount > 0) lines.push(`… and ${furtherCount} requests between further lanes`);
  if (rules.length > 0) {
    const header = ["GROUP", "LANE", "CONDITION", "MET", "TAKEN", "VERDICT"];
    lines.push("", formatTable(header, rules.map(ruleRow)).trimEnd());
  }
  return `${lines.join("\n")}\n`;
}

function ruleRow(use: RuleUse): string[] {
  const { group, lane, what, metCount, takenCount } = use;
  return [group, lane, what, String(metCount), String(takenCount), verdictText(use)];
}

function verdictText(use: RuleUse): string {
  const verdict = verdictOf(use);
  if (verdict === "dead") return "dead: no request meets it";
  if (verdict !== "shadowed") return verdict;
  const by = Object.entries(use.takenBy).sort(([, a], [, b]) => b - a);
  return `shadowed by ${by.map(([lane, count]) => `${lane} (${count})`).join(", ")}`;
}
