//! `graylane down`: asks the server to stop and waits until it is gone.

import { ApiError } from "../api/client.ts";
import type { ApiClient } from "../api/client.ts";
import { delay } from "../base/clock.ts";
import { CliError } from "./cli-error.ts";
import { connect, printLine } from "./context.ts";
import type { Context } from "./context.ts";

const DEADLINE_MS = 60_000;
const POLL_MS = 100;

export async function down(context: Context): Promise<number> {
  const client = await connect(context);
  try {
    await client.shutdown();
  } catch (error) {
    if (!isGone(error)) throw error;
    printLine(context.stdout, "graylane is not running");
    return 0;
  }
  await waitUntilGone(context, client);
  printLine(context.stdout, "graylane stopped");
  return 0;
}

async function waitUntilGone(context: Context, client: ApiClient): Promise<void> {
  const deadlineMs = context.clock.monotonicMs() + DEADLINE_MS;
  while (context.clock.monotonicMs() < deadlineMs) {
    try {
      await client.runtimeStatus();
    } catch (error) {
      if (isGone(error)) return;
    }
    await delay(context.clock, POLL_MS);
  }
  throw new CliError(
    `graylane was asked to stop and still runs after ${DEADLINE_MS / 1_000} s`,
    "Look at its output for the pods that do not end.",
  );
}

function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.code === 0;
}
