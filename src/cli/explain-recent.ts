//! `graylane explain --recent`: what the gateways decided last, and why.

import { RECENT_CLAUSES_MAX, RECENT_FIELDS, RECENT_LIMIT_MAX } from "../api/types.ts";
import type { ExplainRequest, RecentDecision, RecentQuery, RecentResult } from "../api/types.ts";
import { timestamp } from "../base/clock.ts";
import { usageError } from "./cli-error.ts";
import { connect, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { formatHops } from "./explain-hops.ts";
import { formatExplain } from "./explain.ts";
import type { ExplainOptions } from "./explain.ts";
import { formatTable } from "./table.ts";

/** Exit code 1 when nothing is found. With `--where` the newest is explained. */
export async function explainRecent(
  context: Context,
  url: string | undefined,
  options: ExplainOptions,
): Promise<number> {
  if (url !== undefined || options.filename.length > 0) {
    const what = options.requestId === undefined ? "--recent" : "--request-id";
    throw usageError(`${what} takes neither a URL nor files`, "Narrow it with --where.");
  }
  const { output } = options;
  const query = queryOf(options);
  const client = await connect(context);
  const result = await client.recent(query);
  const [newest] = result.decisions;
  if (output === "json") {
    printLine(context.stdout, JSON.stringify(result, null, 2));
    return newest === undefined ? 1 : 0;
  }
  context.stdout.write(formatRecent(result));
  if (newest === undefined) return 1;
  if (query.where.length === 0) return 0;
  context.stdout.write(`\n${formatHops(newest, result.hops ?? [])}`);
  const explained = await client.explain(questionOf(newest));
  const isSame = explained.snapshotVersion === newest.snapshotVersion;
  const by = isSame ? "" : ", by the configuration of now, which has changed since";
  context.stdout.write(`\nThe newest of them${by}:\n${formatExplain(explained)}`);
  return 0;
}

function queryOf(options: ExplainOptions): RecentQuery {
  const { where, requestId, limit: limitText, output } = options;
  if (output !== undefined && output !== "json") {
    throw usageError(`-o ${output}: not a format of explain --recent`, "Use -o json.");
  }
  if (where.length + (requestId === undefined ? 0 : 1) > RECENT_CLAUSES_MAX) {
    throw usageError(`--where: more than ${RECENT_CLAUSES_MAX} clauses`);
  }
  const limit = /^\d{1,5}$/.test(limitText) ? Number(limitText) : 0;
  if (limit < 1 || limit > RECENT_LIMIT_MAX) {
    throw usageError(`--limit ${limitText}: not a number from 1 to ${RECENT_LIMIT_MAX}`);
  }
  const clauses = where.map(parseClause);
  if (requestId !== undefined) {
    clauses.push({ field: "requestId", operator: "=", value: requestId });
  }
  return { where: clauses, limit, ...(clauses.length === 0 ? {} : { hops: true }) };
}

function parseClause(text: string): RecentQuery["where"][number] {
  const [, field = "", operator, value = ""] = /^([^=~]+)([=~])(.*)$/.exec(text) ?? [];
  const isKnown = /^header\../.test(field) || RECENT_FIELDS.includes(field);
  if (!isKnown || (operator !== "=" && operator !== "~")) {
    throw usageError(
      `--where ${text}: not FIELD=VALUE or FIELD~PART`,
      `A field is header.NAME, ${RECENT_FIELDS.join(", ")}.`,
    );
  }
  return { field, operator, value };
}

/** The same request again; what the gateway has added to `x-forwarded-for` is taken away. */
export function questionOf(decision: RecentDecision): ExplainRequest {
  const { method, authority, path, headers, forwardedFor } = decision;
  const remoteAddress = forwardedFor.slice(forwardedFor.lastIndexOf(",") + 1).trim();
  const own = headers.filter(([name]) => name !== "host");
  return { method, url: `http://${authority}${path}`, headers: own, remoteAddress };
}

function formatRecent({ decisions, keptCount, seenCount, workerCount }: RecentResult): string {
  const workers = `${workerCount} gateway worker${workerCount === 1 ? "" : "s"}`;
  const kept = `${keptCount} of ${seenCount} requests are kept by ${workers}`;
  if (decisions.length === 0) return `None found: ${kept}.\n`;
  const rows = decisions.map((decision) => [
    timestamp(decision.startMs),
    `${decision.method} ${decision.authority}${decision.path}`,
    decision.lane === "" ? (decision.laneGroup === "" ? "-" : "baseline") : decision.lane,
    decision.reason === "" ? "-" : decision.reason,
    decision.servedLane === "" ? "-" : decision.servedLane,
    String(decision.status),
    decision.route,
  ]);
  const header = ["TIME", "REQUEST", "LANE", "REASON", "SERVED", "STATUS", "ROUTE"];
  return `${formatTable(header, rows)}${kept}.\n`;
}
