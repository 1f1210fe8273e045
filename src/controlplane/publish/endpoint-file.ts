//! Tells the agents that pick endpoints by themselves: as one more node among the sidecars, so that
//! they know a lane before a gateway uses it, and until none does.

import { mkdir, rename, utimes, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { dateOf, delay } from "../../base/clock.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { applyDelta } from "../../snapshot/delta.ts";
import type { SnapshotDelta } from "../../snapshot/delta.ts";
import { endpointListOf } from "../../snapshot/endpoint-list.ts";
import type { EndpointList } from "../../snapshot/endpoint-list.ts";
import { ENDPOINT_LOOK_MS } from "../../snapshot/endpoint-look.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ConfigNode, PushAnswer } from "./config-node.ts";

const RENEWED_EVERY_SECONDS = 10;
const MS_PER_SECOND = 1_000;
/** Every agent has looked, and what began on the strength of the list before has had a moment. */
const TOLD_MS = 2 * ENDPOINT_LOOK_MS;
/** It holds the keys of signed lanes: for its owner only. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export interface EndpointFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether an app of ours reads the file: only then is it waited for. */
  readonly hasReaders: () => boolean;
}

export class EndpointFile implements ConfigNode {
  readonly id = "agents";
  readonly role = "sidecar";
  readonly #options: EndpointFileOptions;
  #held: Snapshot = EMPTY_SNAPSHOT;
  #written = "";
  #keyless: EndpointList | null = null;
  #timer: Timer | null = null;
  #isStopped = false;

  constructor(options: EndpointFileOptions) {
    this.#options = options;
  }

  get heldVersion(): string {
    return this.#held.version;
  }

  /** What the file says, without the keys of signed lanes. */
  get keylessList(): EndpointList {
    this.#keyless ??= endpointListOf(this.#held, { withKeys: false });
    return this.#keyless;
  }

  /** No sidecar runs here. */
  hosts(): boolean {
    return false;
  }

  async push(delta: SnapshotDelta): Promise<PushAnswer> {
    const isWhole = delta.fromVersion === EMPTY_SNAPSHOT.version;
    const next = applyDelta(isWhole ? EMPTY_SNAPSHOT : this.#held, delta);
    if (next === null) return { ok: false, error: `the delta is not for ${this.#held.version}` };
    const list = endpointListOf(next, { withKeys: true });
    if (list.version !== this.#written) {
      await this.#write({ ...list, renewedEverySeconds: RENEWED_EVERY_SECONDS });
      this.#written = list.version;
      this.#keyless = null;
      if (this.#options.hasReaders()) await delay(this.#options.clock, TOLD_MS);
    }
    this.#held = next;
    return { ok: true };
  }

  /** From now on the file's time says that the list holds. */
  start(): void {
    const { clock, path, logger } = this.#options;
    const renew = async (): Promise<void> => {
      const now = dateOf(clock.nowMs());
      try {
        if (this.#written !== "") await utimes(path, now, now);
      } catch (cause) {
        logger.warn("the list of endpoints for agents was not renewed", { error: String(cause) });
      }
      this.start();
    };
    if (this.#isStopped) return;
    const delayMs = RENEWED_EVERY_SECONDS * MS_PER_SECOND;
    this.#timer = clock.after(delayMs, () => void renew(), { unref: true });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** Whoever reads it meanwhile reads the one before, whole. */
  async #write(list: EndpointList): Promise<void> {
    const { path } = this.#options;
    await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
    await writeFile(`${path}.new`, JSON.stringify(list), { mode: FILE_MODE });
    await rename(`${path}.new`, path);
  }
}
