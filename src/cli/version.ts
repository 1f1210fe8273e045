//! `graylane version`: of this command, and of the server when one is there.

import { ApiError } from "../api/client.ts";
import { CliError, usageError } from "./cli-error.ts";
import { connect, printLine } from "./context.ts";
import type { Context } from "./context.ts";

export async function version(context: Context, output: string | undefined): Promise<number> {
  if (output !== undefined && output !== "json") {
    throw usageError(`-o ${output}: not a format of version`, "Use -o json.");
  }
  const server = await serverVersion(context);
  if (output === "json") {
    const versions = {
      clientVersion: { version: context.version },
      ...(server === null ? {} : { serverVersion: { version: server } }),
    };
    printLine(context.stdout, JSON.stringify(versions, null, 2));
    return 0;
  }
  printLine(context.stdout, `Client Version: ${context.version}`);
  if (server !== null) printLine(context.stdout, `Server Version: ${server}`);
  return 0;
}

/** Null without a server: that is no error here. */
async function serverVersion(context: Context): Promise<string | null> {
  try {
    const client = await connect(context);
    return (await client.runtimeStatus()).version;
  } catch (error) {
    if (error instanceof ApiError || error instanceof CliError) return null;
    throw error;
  }
}
