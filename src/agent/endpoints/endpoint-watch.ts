//! Keeps the list of endpoints that is in force: read from a file or a URL at the start, and again
//! whenever it has changed. Whatever goes wrong, the last good one goes on serving.

import { readFile, stat } from "node:fs/promises";
import { systemClock } from "../../base/clock.ts";
import type { EndpointList } from "../../snapshot/endpoint-list.ts";
import { ENDPOINT_LOOK_MS } from "../../snapshot/endpoint-look.ts";
import type { Hops } from "./hops.ts";
import { fetchList } from "./fetch-list.ts";

/** Renewals that may be missing before it is said that nobody publishes the list any more. */
const RENEWALS_MISSED_MAX = 3;
const MS_PER_SECOND = 1_000;

/** What was found at the place: `text` is null when it is what it was. */
export interface Reading {
  /** To find out whether it has changed since. */
  readonly mark: string;
  readonly text: string | null;
  /** Wall time at which it was published, or found to hold still. */
  readonly renewedAtMs: number;
}

/** For who runs the app: which list is in force, and how old. */
export interface EndpointStatus {
  readonly place: string;
  /** `""`: none has been read so far. */
  readonly version: string;
  /** Since it was published, or last found to hold. */
  readonly ageSeconds: number;
  /** Why the last look failed, else `""`. */
  readonly error: string;
}

export class EndpointWatch {
  readonly #place: string;
  readonly #hops: Hops;
  readonly #say: (text: string) => void;
  #mark = "";
  #version = "";
  #renewedEverySeconds: number | null = null;
  #renewedAtMs = 0;
  #error = "";
  #isOldSaid = false;
  /** The app does not begin before the look has ended. */
  #isAwaited = false;

  /** `say`: takes a line for the app's log. */
  constructor(place: string, hops: Hops, say: (text: string) => void) {
    this.#place = place;
    this.#hops = hops;
    this.#say = say;
  }

  get status(): EndpointStatus {
    const ageMs = this.#version === "" ? 0 : systemClock.nowMs() - this.#renewedAtMs;
    return {
      place: this.#place,
      version: this.#version,
      ageSeconds: Math.max(0, Math.round(ageMs / MS_PER_SECOND)),
      error: this.#error,
    };
  }

  /** Resolves after the first look, whatever it has found. */
  async start(): Promise<void> {
    this.#isAwaited = true;
    await this.#look();
    this.#isAwaited = false;
    this.#lookLater();
  }

  #lookLater(): void {
    systemClock.after(
      ENDPOINT_LOOK_MS,
      () => {
        void this.#look().then(() => {
          this.#lookLater();
        });
      },
      { unref: true },
    );
  }

  async #look(): Promise<void> {
    try {
      const reading = await this.#read();
      if (reading.text !== null) this.#take(reading.text);
      this.#mark = reading.mark;
      this.#renewedAtMs = reading.renewedAtMs;
      if (this.#error !== "") this.#say(`${this.#place} is read again`);
      this.#error = "";
    } catch (cause) {
      this.#fail(cause instanceof Error ? cause.message : String(cause));
    }
    this.#sayAge();
  }

  #read(): Promise<Reading> {
    const place = this.#place;
    if (!/^https?:/i.test(place)) return readListFile(place, this.#mark);
    return fetchList(place, { before: this.#mark, isAwaited: this.#isAwaited });
  }

  #take(text: string): void {
    const list = parseList(text);
    try {
      this.#hops.take(list);
    } catch (cause) {
      throw new Error(`it is no list of endpoints (${String(cause)})`, { cause });
    }
    this.#version = list.version;
    this.#renewedEverySeconds = list.renewedEverySeconds ?? null;
  }

  /** Says each thing once, not at every look. */
  #fail(error: string): void {
    if (error === this.#error) return;
    this.#error = error;
    const { version, ageSeconds } = this.status;
    const outcome =
      version === ""
        ? "calls go where the app sends them, until it can be read"
        : `the list of ${ageSeconds} s ago goes on serving`;
    this.#say(`${this.#place}: ${error}; ${outcome}`);
  }

  #sayAge(): void {
    const everySeconds = this.#renewedEverySeconds;
    if (everySeconds === null) return;
    const { ageSeconds } = this.status;
    const isOld = ageSeconds > everySeconds * RENEWALS_MISSED_MAX;
    if (isOld === this.#isOldSaid) return;
    this.#isOldSaid = isOld;
    this.#say(
      isOld
        ? `${this.#place}: nobody has renewed the list for ${ageSeconds} s; it goes on serving`
        : `${this.#place}: the list is renewed again`,
    );
  }
}

async function readListFile(path: string, before: string): Promise<Reading> {
  const { ino, size, mtimeMs } = await stat(path);
  const mark = `${ino} ${size}`;
  // A renewal only touches the file; who writes another makes a new one.
  const isSame = mark === before;
  return { mark, text: isSame ? null : await readFile(path, "utf8"), renewedAtMs: mtimeMs };
}

function parseList(text: string): EndpointList {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error("it is not JSON", { cause });
  }
  const { formatVersion, version } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (formatVersion !== 1) {
    const found = JSON.stringify({ formatVersion });
    throw new Error(
      `it has ${found}, and this agent reads formatVersion 1: run one release of both`,
    );
  }
  if (typeof version !== "string" || version === "") throw new Error("it has no version");
  return value as EndpointList;
}
