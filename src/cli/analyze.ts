//! `graylane analyze`: what is wrong in files, without a server; or in the server's objects.

import { resolve } from "node:path";
import { stringify } from "yaml";
import type { Fault, Severity } from "../resources/fault.ts";
import { usageError } from "./cli-error.ts";
import { connect, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { compileManifests, readManifests } from "./manifests.ts";
import { countText, isAtLeast, printMessages } from "./messages.ts";

export interface AnalyzeOptions {
  readonly filename: readonly string[];
  readonly output?: string;
  readonly failureThreshold: string;
  readonly imageMap?: string;
}

const SEVERITIES: readonly Severity[] = ["error", "warning", "info"];

/** Exit code 1 when a message reaches the threshold. */
export async function analyze(context: Context, options: AnalyzeOptions): Promise<number> {
  const threshold = SEVERITIES.find((severity) => severity === options.failureThreshold);
  if (threshold === undefined) {
    throw usageError(
      `--failure-threshold ${options.failureThreshold}: not a severity`,
      `The severities are: ${SEVERITIES.join(", ")}.`,
    );
  }
  const { output } = options;
  if (output !== undefined && output !== "json" && output !== "yaml") {
    throw usageError(`-o ${output}: not a format of analyze`, "Use -o json or -o yaml.");
  }
  const messages = sorted(await findMessages(context, options));
  if (output === "json") printLine(context.stdout, JSON.stringify(messages, null, 2));
  else if (output === "yaml") context.stdout.write(stringify(messages));
  else printForPeople(context, messages);
  return messages.some(({ severity }) => isAtLeast(severity, threshold)) ? 1 : 0;
}

async function findMessages(context: Context, options: AnalyzeOptions): Promise<readonly Fault[]> {
  if (options.filename.length > 0) {
    const manifests = await readManifests(context, options.filename);
    const imageMap = options.imageMap === undefined ? null : resolve(context.cwd, options.imageMap);
    return [...manifests.faults, ...(await compileManifests(context, manifests, imageMap))];
  }
  const client = await connect(context);
  return client.analyze({});
}

function printForPeople(context: Context, messages: readonly Fault[]): void {
  printMessages(context.stdout, messages);
  const summary = messages.length === 0 ? "No problems found." : `Found ${countText(messages)}.`;
  printLine(context.stdout, summary);
}

/** By file and place, so that the reader goes through each file once; the rest behind. */
function sorted(messages: readonly Fault[]): Fault[] {
  return [...messages].sort((one, other) => {
    const a = one.position;
    const b = other.position;
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    if (a.file !== b.file) return a.file < b.file ? -1 : 1;
    return a.line - b.line || a.column - b.column;
  });
}
