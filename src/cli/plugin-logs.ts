//! `graylane plugin logs`: what a plug-in logs at the running gateways.

import { visible } from "../base/visible.ts";
import type { PluginLogLine } from "../api/types.ts";
import { timestampMs, wallTimeOf } from "../base/clock.ts";
import { durationMs } from "../resources/duration.ts";
import { usageError } from "./cli-error.ts";
import { connect, namespaceOf, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { parseTail } from "./logs.ts";

export interface PluginLogsOptions {
  readonly follow?: boolean;
  readonly tail?: string;
  /** A duration back from now. */
  readonly since?: string;
  /** An RFC 3339 time. */
  readonly sinceTime?: string;
  readonly timestamps?: boolean;
  readonly output?: string;
}

export async function pluginLogs(
  context: Context,
  name: string,
  options: PluginLogsOptions,
): Promise<number> {
  const { output, follow = false, timestamps = false } = options;
  if (output !== undefined && output !== "json") {
    throw usageError(`-o ${output}: not a format of plugin logs`, "Use -o json.");
  }
  const query = {
    plugin: name.includes("/") ? name : `${namespaceOf(context)}/${name}`,
    follow,
    tailLines: parseTail(options.tail),
    sinceMs: parseSince(context, options),
  };
  const client = await connect(context);
  for await (const line of client.pluginLog(query, context.interrupted)) {
    if (output === "json") printLine(context.stdout, JSON.stringify(line));
    else for (const text of textsOf(line, timestamps)) printLine(context.stdout, text);
  }
  return 0;
}

function parseSince(context: Context, { since, sinceTime }: PluginLogsOptions): number {
  if (since !== undefined && sinceTime !== undefined) {
    throw usageError("--since and --since-time cannot be given together");
  }
  if (sinceTime !== undefined) {
    const timeMs = wallTimeOf(sinceTime);
    if (timeMs >= 0) return Math.floor(timeMs);
    throw usageError(`--since-time ${sinceTime}: not a time`, "Write 2026-11-21T08:00:00Z.");
  }
  if (since === undefined) return 0;
  if (!/^(\d+(\.\d+)?(h|m|s|ms))+$/.test(since)) {
    throw usageError(`--since ${since}: not a duration`, "Write 5s, 2m or 3h.");
  }
  return Math.max(0, context.clock.nowMs() - durationMs(since));
}

/** A message of several lines is as many. */
function* textsOf(line: PluginLogLine, timestamps: boolean): Generator<string> {
  const time = timestamps ? `${timestampMs(line.timeMs)} ` : "";
  for (const text of line.message.split(/\r?\n/)) {
    yield `${time}[${line.worker}] ${line.level}: ${visible(text)}`;
  }
}
