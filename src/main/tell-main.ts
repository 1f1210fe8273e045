//! What a worker tells its main process, with or without a handle.

import type { SendHandle } from "node:child_process";
import type { FromWorker } from "../dataplane/worker/protocol.ts";

/**
 * Node sends one handle at a time, and keeps the others until the one before has arrived: by
 * then a listener may have been closed. Such a message is not sent, and without `failed` the
 * error would end the worker with all that is in flight on it.
 */
export function tellMain(
  message: FromWorker,
  handle?: object,
  failed: () => void = () => undefined,
): void {
  process.send?.(message, handle as SendHandle | undefined, {}, (error) => {
    if (error !== null && process.connected) failed();
  });
}
