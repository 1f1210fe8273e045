//! Follows one table of a Kubernetes API server: lists it once, then watches from that revision on.
//! Level-based for its user: after a gap the whole table is replaced.
//!
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes>

import type { Clock, Timer } from "../../base/clock.ts";
import type { Prng } from "../../base/prng.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { statusText } from "./cluster-client.ts";
import type { ClusterAnswer, ClusterClient } from "./cluster-client.ts";

/** Items of one page of a list. */
const PAGE_ITEMS = 500;
/** Pages of one list. */
const PAGES_MAX = 1_000;
/** How long a watch may live; the server ends it then, and another goes on where it was. */
const WATCH_SECONDS_MIN = 300;
const WATCH_SECONDS_MAX = 600;
/** A server that does not end the watch when it should is gone. */
const WATCH_GRACE_MS = 30_000;
const BACK_OFF_MS_MIN = 500;
const BACK_OFF_MS_MAX = 8_000;
const GONE = 410;
const NOT_FOUND = 404;

export interface RawObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
    readonly [other: string]: unknown;
  };
  readonly [other: string]: unknown;
}

export interface Table {
  /** Paths of the collection, one for each version that is understood, the best first. */
  readonly paths: readonly string[];
  /** Further query, such as `fieldSelector=...`. */
  readonly query?: string;
  readonly acceptList?: string;
  readonly acceptWatch?: string;
  readonly kind: string;
}

export interface ReflectorOptions {
  readonly client: Pick<ClusterClient, "ask" | "watch">;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: Logger;
  readonly table: Table;
  /** The table as it is: whatever was known before and is not in it is gone. */
  readonly onReplace: (items: readonly RawObject[]) => void;
  readonly onEvent: (type: "ADDED" | "MODIFIED" | "DELETED", object: RawObject) => void;
}

/** What the server refused, and with which status. */
class Refused extends Error {
  readonly status: number;

  constructor(answer: ClusterAnswer) {
    super(statusText(answer));
    this.status = answer.status;
  }
}

export class Reflector {
  readonly #options: ReflectorOptions;
  readonly #stop = new AbortController();
  /** Null: it has to be listed. */
  #revision: string | null = null;
  #version = 0;
  #failures = 0;
  #failure = "";
  #isSynced = false;

  constructor(options: ReflectorOptions) {
    this.#options = options;
  }

  /** Whether the table has been listed. Stays so when the server goes away. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Why the table cannot be followed just now; `""`: it is. */
  get failure(): string {
    return this.#failure;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped()) {
      try {
        if (this.#revision === null) await this.#list();
        await this.#watch();
      } catch (error) {
        if (this.#isStopped()) return;
        await this.#fail(error);
      }
    }
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted;
  }

  get #path(): string {
    const { paths } = this.#options.table;
    return paths[this.#version % paths.length] ?? "";
  }

  #query(words: readonly string[]): string {
    const { query } = this.#options.table;
    return [...words, ...(query === undefined ? [] : [query])].join("&");
  }

  async #list(): Promise<void> {
    const { client, table, onReplace } = this.#options;
    const items: RawObject[] = [];
    let next = "";
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const from = next === "" ? [] : [`continue=${encodeURIComponent(next)}`];
      const path = `${this.#path}?${this.#query([`limit=${PAGE_ITEMS}`, ...from])}`;
      const accept = table.acceptList === undefined ? {} : { accept: table.acceptList };
      const answer = await client.ask({ method: "GET", path, ...accept }, this.#stop.signal);
      if (answer.status !== 200) throw new Refused(answer);
      const body = answer.body as ListBody;
      // The items of a list do not say what they are.
      const own = { apiVersion: body.apiVersion, kind: table.kind };
      for (const item of body.items ?? []) items.push({ ...own, ...item, kind: table.kind });
      next = body.metadata.continue ?? "";
      if (next !== "") continue;
      this.#revision = body.metadata.resourceVersion;
      this.#recovered();
      this.#isSynced = true;
      onReplace(items);
      return;
    }
    throw new Error(`the list has more than ${PAGES_MAX * PAGE_ITEMS} items`);
  }

  async #watch(): Promise<void> {
    const { client, table, clock, prng } = this.#options;
    const spread = prng.below(WATCH_SECONDS_MAX - WATCH_SECONDS_MIN + 1);
    const seconds = WATCH_SECONDS_MIN + spread;
    const words = [
      ...["watch=1", "allowWatchBookmarks=true", `timeoutSeconds=${seconds}`],
      `resourceVersion=${encodeURIComponent(this.#revision ?? "")}`,
    ];
    const hung = new AbortController();
    const giveUp = (): void => {
      hung.abort();
    };
    const timer = clock.after(seconds * 1_000 + WATCH_GRACE_MS, giveUp, { unref: true });
    const startedMs = clock.monotonicMs();
    try {
      const answer = await client.watch({
        path: `${this.#path}?${this.#query(words)}`,
        ...(table.acceptWatch === undefined ? {} : { accept: table.acceptWatch }),
        signal: AbortSignal.any([this.#stop.signal, hung.signal]),
        onLine: (line) => {
          this.#onLine(line as WatchLine);
        },
      });
      if (answer !== null) throw new Refused(answer);
    } catch (error) {
      if (error instanceof Refused && error.status === GONE) this.#revision = null;
      throw error;
    } finally {
      timer.cancel();
    }
    // One that ends as soon as it has begun would be asked for without end.
    if (clock.monotonicMs() - startedMs < BACK_OFF_MS_MIN) await this.#wait(BACK_OFF_MS_MIN);
  }

  #onLine({ type, object }: WatchLine): void {
    if (type === "ERROR") {
      throw new Refused({ status: Number(object["code"] ?? 0), body: object });
    }
    this.#recovered();
    this.#revision = object.metadata.resourceVersion ?? this.#revision;
    if (type === "BOOKMARK") return;
    this.#options.onEvent(type, { ...object, kind: this.#options.table.kind });
  }

  #recovered(): void {
    if (this.#failure !== "") {
      this.#options.logger.info("the Kubernetes API server answers again", { table: this.#path });
    }
    this.#failures = 0;
    this.#failure = "";
  }

  async #fail(error: unknown): Promise<void> {
    const status = error instanceof Refused ? error.status : 0;
    // That an old revision is not known any more is no failure: the list says what is.
    if (status === GONE && this.#failures === 0) {
      this.#failures = 1;
      return;
    }
    const table = this.#path;
    if (status === NOT_FOUND) {
      this.#version += 1;
      this.#revision = null;
    }
    const message = error instanceof Error ? error.message : String(error);
    if (message !== this.#failure) {
      const { logger } = this.#options;
      logger.warn("the Kubernetes API server cannot be followed", { table, error: message });
    }
    this.#failure = message;
    const backOff = Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS_MIN * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    // Half of it by chance, so that not all tables and replicas come at once.
    await this.#wait(backOff / 2 + this.#options.prng.below(Math.ceil(backOff / 2) + 1));
  }

  #wait(delayMs: number): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer: Timer = this.#options.clock.after(delayMs, end);
      signal.addEventListener("abort", end);
      if (signal.aborted) end();
    });
  }
}

interface ListBody {
  readonly apiVersion: string;
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items?: readonly RawObject[] | null;
}

interface WatchLine {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: RawObject;
}
