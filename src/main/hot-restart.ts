//! Waits for SIGUSR2, and then for another process to serve in the place of this one.

import type { Logger } from "../telemetry/logger.ts";
import { closeAll } from "./succession.ts";
import type { Handles, LetGo, Succession } from "./succession.ts";

export interface Restartable {
  readonly succession: Succession;
  /** SIGUSR2 is obeyed. */
  readonly mayRestart: boolean;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  /** What goes over to another process; the sockets are closed here afterwards. */
  readonly letGo: LetGo;
  /** After a failure: what has been let go is taken again. Absent: nothing has to be. */
  readonly takeBack?: () => Promise<void>;
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
  { succession, mayRestart, log, letGo, takeBack }: Restartable,
  stopped: AbortSignal,
): Promise<boolean> {
  if (!mayRestart) {
    log.warn("SIGUSR2: nothing is done, for --disable-hot-restart was given");
    return false;
  }
  log.info("SIGUSR2: a new process is started in the place of this one");
  let own: Handles = new Map();
  const begun = { isSo: false };
  const failure = await succession.start(async () => {
    begun.isSo = true;
    const legacy = await letGo();
    own = new Map([...legacy.handles].filter(([name]) => legacy.inUse?.has(name) !== true));
    return legacy;
  }, stopped);
  closeAll(own);
  if (failure === null) return true;
  if (begun.isSo) await takeBack?.();
  log.error(`the restart failed, and this process serves on: ${failure}`);
  return false;
}
