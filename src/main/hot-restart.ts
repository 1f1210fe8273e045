//! Waits for SIGUSR2, and then for another process to serve in the place of this one.

import type { Logger } from "../telemetry/logger.ts";
import { ADMIN, closeAll } from "./succession.ts";
import type { Handles, ListeningHandle, Succession } from "./succession.ts";

export interface Restartable {
  readonly succession: Succession;
  /** SIGUSR2 is obeyed. */
  readonly mayRestart: boolean;
  readonly log: Logger;
  /** Where this process accepts, by `host:port`, for whoever asks to close. */
  sockets(): Promise<Handles>;
  /** Of the admin endpoints, still in use; null: there are none. */
  admin(): ListeningHandle | null;
}

/** True: another process serves at the same sockets. False: this one was told to stop. */
export async function servesUntilReplaced(
  given: Restartable,
  stopped: AbortSignal,
): Promise<boolean> {
  const signal = { isDue: false };
  let wake = (): void => undefined;
  const onSignal = (): void => {
    signal.isDue = true;
    wake();
  };
  const onStop = (): void => {
    wake();
  };
  process.on("SIGUSR2", onSignal);
  stopped.addEventListener("abort", onStop);
  try {
    for (;;) {
      if (stopped.aborted) return false;
      if (signal.isDue) {
        signal.isDue = false;
        if (await replace(given, stopped)) return true;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    process.removeListener("SIGUSR2", onSignal);
    stopped.removeEventListener("abort", onStop);
  }
}

async function replace(
  { succession, mayRestart, log, ...process }: Restartable,
  stopped: AbortSignal,
): Promise<boolean> {
  if (!mayRestart) {
    log.warn("SIGUSR2: nothing is done, for --disable-hot-restart was given");
    return false;
  }
  log.info("SIGUSR2: a new process is started in the place of this one");
  const own = await process.sockets();
  const admin = process.admin();
  const all = admin === null ? own : new Map([...own, [ADMIN, admin] as const]);
  const failure = await succession.start(all, stopped);
  closeAll(own);
  if (failure !== null) log.error(`the restart failed, and this process serves on: ${failure}`);
  return failure === null;
}
