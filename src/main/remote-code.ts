//! Fetches the code of plug-ins that a bootstrap names by a URL (`code.remote`), as Envoy does:
//! from an endpoint of a cluster, with a limit, checked against its SHA-256, and tried again with
//! pauses.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { RemoteSource } from "../envoy/remote-code.ts";
import type { Plugin, Snapshot } from "../snapshot/snapshot.ts";
import { snapshotVersion } from "../snapshot/delta.ts";
import { RemoteFetch } from "./remote-fetch.ts";
import type { RemoteFetchDeps } from "./remote-fetch.ts";

export interface RemoteCodeDeps extends RemoteFetchDeps {
  readonly clock: Clock;
  /** Told of each attempt that failed and is followed by another. */
  readonly onFailure: (message: string) => void;
}

/** The sources of one bootstrap. */
export class RemoteCode {
  readonly #folder: string;
  readonly #sources = new Map<string, RemoteSource>();
  readonly #digests = new Set<string>();
  /** By path, why there is no code. */
  readonly #missing = new Map<string, string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Where its code will be; from one place it is fetched once. */
  add(source: RemoteSource): string {
    const { sha256, cluster, url } = source;
    this.#digests.add(sha256);
    this.#sources.set(JSON.stringify([sha256, cluster, url]), source);
    return this.#pathOf(source);
  }

  has(sha256: string): boolean {
    return this.#digests.has(sha256);
  }

  /** Ends when each is there or has been given up; then its file is missing. */
  async fetchAll(deps: RemoteCodeDeps): Promise<void> {
    const fetching = new RemoteFetch(deps);
    const sources = [...this.#sources.values()];
    const failures = await Promise.all(sources.map((each) => this.#fetch(each, fetching, deps)));
    for (const [index, source] of sources.entries()) {
      const failure = failures[index];
      if (failure !== undefined) this.#missing.set(this.#pathOf(source), failure);
    }
    // The same code may be had from another place.
    for (const [index, source] of sources.entries()) {
      if (failures[index] === undefined) this.#missing.delete(this.#pathOf(source));
    }
  }

  /** The same, where plug-ins without code say why they have none. */
  withMissing(snapshot: Snapshot): Snapshot {
    if (this.#missing.size === 0) return snapshot;
    const named = Object.entries(snapshot.plugins).map(([name, plugin]): [string, Plugin] => {
      const missing = this.#missing.get(plugin.module.path);
      if (missing === undefined) return [name, plugin];
      return [name, { ...plugin, module: { ...plugin.module, missing } }];
    });
    const content = { ...snapshot, plugins: Object.fromEntries(named) };
    return { ...content, version: snapshotVersion(content) };
  }

  /** Undefined when it is there; else why it has been given up. */
  async #fetch(
    source: RemoteSource,
    fetching: RemoteFetch,
    deps: RemoteCodeDeps,
  ): Promise<string | undefined> {
    for (let attempt = 0; ; attempt += 1) {
      const got = await fetching.fetch(source);
      if (typeof got !== "string") {
        await writeFile(this.#pathOf(source), got);
        return undefined;
      }
      const failure = `the code of a plug-in cannot be had from ${source.url}: ${got}`;
      if (attempt >= source.retries || deps.stopped.aborted) {
        return attempt === 0 ? failure : `${failure} (at the last of ${attempt + 1} attempts)`;
      }
      deps.onFailure(failure);
      await pause(Math.min(source.pauseMsMin * 2 ** attempt, source.pauseMsMax), deps);
    }
  }

  #pathOf({ sha256 }: RemoteSource): string {
    return join(this.#folder, `${sha256}.wasm`);
  }
}

function pause(
  ms: number,
  { clock, stopped }: Pick<RemoteCodeDeps, "clock" | "stopped">,
): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      timer.cancel();
      stopped.removeEventListener("abort", end);
      resolve();
    };
    const timer = clock.after(ms, end);
    stopped.addEventListener("abort", end);
    if (stopped.aborted) end();
  });
}
