//! Clients of the API that write down what they do: each reads and writes a few ConfigMaps and
//! watches all of them, also beside the end of the server and its next start.

import { EventEmitter, once } from "node:events";
import { Agent } from "node:http";
import { systemClock } from "../../../src/base/clock.ts";
import type { Prng } from "../../../src/base/prng.ts";
import type {
  Action,
  History,
  Listing,
  Operation,
  Outcome,
  SeenEvent,
  Version,
  WatchStep,
} from "./history.ts";
import { linesOf, openStream, send } from "./api-calls.ts";
import type { Answered, Asked, Place, Shape } from "./api-calls.ts";

const PATH = "/api/v1/namespaces/default/configmaps";
/** A watcher goes away by itself after so many events at most, and comes back. */
const EVENTS_A_STREAM_MAX = 60;
/** Of `WATCH_EVENTS_MAX` a server forgets a quarter at once. */
const EVENTS_KEPT_MIN = 3_072;

export interface RecorderOptions {
  readonly place: Place;
  readonly prng: Prng;
  readonly clients: number;
  readonly keys: number;
  readonly operations: number;
  /** How long the watchers may take to catch up at the end; what they lack then is a fault. */
  readonly patienceMs: number;
  /** Called with how many operations have begun; none begins while no server is there. */
  readonly onBegun?: (count: number) => void;
}

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #operations: Operation[] = [];
  readonly #listings: Listing[] = [];
  readonly #watchers: WatchStep[][] = [];
  /** How far each watcher is; undefined: it has to list. */
  readonly #positions: (number | undefined)[] = [];
  readonly #streams: AbortController[] = [];
  /** In which of the server's lives each one's watch was opened last. */
  readonly #openedIn: number[] = [];
  readonly #opens = new EventEmitter().setMaxListeners(0);
  #moment = 0;
  #begun = 0;
  #values = 0;
  /** The revision that a watcher must have come to before it may end. */
  #last = Infinity;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Resolves when all operations are done and each watcher has caught up. */
  async run(): Promise<History> {
    // Of an empty store lists are at revision 0, and a watch from 0 begins with what there is.
    await this.#operate(-1, "k0", { kind: "create", value: "first" }, new Map());
    const numbers = Array.from({ length: this.#options.clients }, (_, at) => at);
    const watching = numbers.map(async (at) => this.#watch(at));
    await Promise.all(numbers.map(async (at) => this.#write(at)));
    this.#last = await this.#lastRevision();
    for (const at of numbers) this.#endIfCaughtUp(at);
    const timer = systemClock.after(this.#options.patienceMs, () => {
      this.#last = -1;
      for (const at of numbers) this.#endIfCaughtUp(at);
    });
    await Promise.all(watching);
    timer.cancel();
    this.#agent.destroy();
    return {
      ...{ operations: this.#operations, listings: this.#listings, watchers: this.#watchers },
      eventsKept: EVENTS_KEPT_MIN,
    };
  }

  get #now(): number {
    return (this.#moment += 1);
  }

  async #lastRevision(): Promise<number> {
    for (;;) {
      const listing = await this.#list(-1);
      if (listing !== null) return listing.revision;
    }
  }

  async #write(client: number): Promise<void> {
    const { prng, keys, operations } = this.#options;
    const known = new Map<string, number>();
    while (this.#begun < operations) {
      await this.#untilWatching();
      this.#begun += 1;
      this.#options.onBegun?.(this.#begun);
      const key = `k${prng.below(keys)}`;
      const draw = prng.below(100);
      if (draw < 5) await this.#list(client);
      else await this.#operate(client, key, this.#draw(draw, known.get(key) ?? null), known);
    }
  }

  /** All do: else what is written after a restart would be told to few. */
  async #untilWatching(): Promise<void> {
    while (!this.#watchers.every((_, at) => this.#openedIn[at] === this.#options.place.life)) {
      await once(this.#opens, "open");
    }
  }

  /** Mostly what keeps the last known revision; now and then what asks for none. */
  #draw(draw: number, revision: number | null): Action {
    const value = `v${(this.#values += 1)}`;
    if (draw < 25) return { kind: "read" };
    if (draw < 45) return { kind: "create", value };
    if (draw < 85 && revision !== null) return { kind: "update", value, expected: revision };
    if (draw < 90) return { kind: "update", value, expected: null };
    return { kind: "delete", expected: draw < 95 ? revision : null };
  }

  async #operate(
    client: number,
    key: string,
    action: Action,
    known: Map<string, number>,
  ): Promise<void> {
    const { place } = this.#options;
    const { life } = place;
    const calledAt = this.#now;
    const answered = await send(requestOf(key, action), place.server, this.#agent);
    if (answered === "refused") {
      // Nobody was there: it was not done, and counts as never begun.
      this.#begun -= 1;
      await place.after(life);
      return;
    }
    if (answered === "cut") {
      const unknown = { kind: "unknown" } as const;
      const cut = { client, key, calledAt, returnedAt: Infinity, action, outcome: unknown };
      if (action.kind !== "read") this.#operations.push(cut);
      return;
    }
    const outcome = outcomeOf(action, answered);
    this.#operations.push({ client, key, calledAt, returnedAt: this.#now, action, outcome });
    if (outcome.kind === "found") note(known, key, outcome.version?.revision ?? null);
    if (outcome.kind === "done") note(known, key, outcome.revision);
  }

  async #list(client: number): Promise<Listing | null> {
    const { place } = this.#options;
    const { life } = place;
    const calledAt = this.#now;
    const answered = await send({ method: "GET", path: PATH }, place.server, this.#agent);
    if (typeof answered === "string") {
      if (answered === "refused") await place.after(life);
      return null;
    }
    if (answered.code !== 200) throw new Error(`a list: ${answered.code}`);
    const { items = [] } = answered.body;
    const versions = new Map(items.map((item) => [nameOf(item), versionOf(item)]));
    const revision = revisionOf(answered.body);
    const listing = { client, calledAt, returnedAt: this.#now, revision, versions };
    this.#listings.push(listing);
    return listing;
  }

  async #watch(client: number): Promise<void> {
    const { place } = this.#options;
    const steps: WatchStep[] = [];
    this.#watchers[client] = steps;
    while (!this.#hasCaughtUp(client)) {
      const { life } = place;
      if (this.#positions[client] === undefined) {
        const listing = await this.#list(client);
        if (listing === null) continue;
        steps.push({ kind: "listed", listing, life });
        this.#positions[client] = listing.revision;
      }
      if ((await this.#stream(client, steps)) === "refused") await place.after(life);
    }
  }

  #hasCaughtUp(client: number): boolean {
    return (this.#positions[client] ?? -1) >= this.#last;
  }

  #endIfCaughtUp(client: number): void {
    if (this.#hasCaughtUp(client)) this.#streams[client]?.abort();
  }

  /** Until the stream ends, or it has had enough of it. */
  async #stream(client: number, steps: WatchStep[]): Promise<"refused" | "over"> {
    const { place, prng } = this.#options;
    const { life, server } = place;
    const from = this.#positions[client] ?? 0;
    const query = `?watch=1&allowWatchBookmarks=true&resourceVersion=${from}`;
    const ending = new AbortController();
    this.#streams[client] = ending;
    const response = await openStream(server, PATH + query, ending.signal);
    if (typeof response === "string") return response === "refused" ? "refused" : "over";
    if (response.statusCode !== 200) throw new Error(`a watch: ${response.statusCode ?? 0}`);
    steps.push({ kind: "opened", from, life });
    this.#openedIn[client] = life;
    this.#opens.emit("open");
    this.#endIfCaughtUp(client);
    let left = 1 + prng.below(EVENTS_A_STREAM_MAX);
    for await (const line of linesOf(response)) {
      const step = this.#stepOf(line, life);
      steps.push(step);
      if (step.kind === "expired") this.#positions[client] = undefined;
      if (step.kind === "event") this.#positions[client] = step.version.revision;
      if (step.kind === "bookmark") this.#positions[client] = step.revision;
      left -= 1;
      if (left === 0 || this.#hasCaughtUp(client)) break;
    }
    ending.abort();
    return "over";
  }

  #stepOf(line: string, life: number): WatchStep {
    const { type, object } = JSON.parse(line) as { readonly type: string; readonly object: Shape };
    if (type === "BOOKMARK") return { kind: "bookmark", revision: revisionOf(object) };
    if (type === "ERROR") {
      if (object.code === 410) return { kind: "expired", life };
      throw new Error(`a watch was told ${line}`);
    }
    const seen = { type: type as SeenEvent["type"], key: nameOf(object), at: this.#now };
    return { kind: "event", ...seen, version: versionOf(object) };
  }
}

function requestOf(key: string, action: Action): Asked {
  const path = `${PATH}/${key}`;
  switch (action.kind) {
    case "read":
      return { method: "GET", path };
    case "create":
      return { method: "POST", path: PATH, body: configMap(key, action.value, null) };
    case "update":
      return { method: "PUT", path, body: configMap(key, action.value, action.expected) };
    case "delete": {
      const { expected } = action;
      const preconditions = expected === null ? {} : { resourceVersion: String(expected) };
      return { method: "DELETE", path, body: { preconditions } };
    }
  }
}

function configMap(name: string, value: string, expected: number | null): object {
  const condition = expected === null ? {} : { resourceVersion: String(expected) };
  const metadata = { name, namespace: "default", ...condition };
  return { apiVersion: "v1", kind: "ConfigMap", metadata, data: { value } };
}

function outcomeOf(action: Action, { code, body }: Answered): Outcome {
  if (code === 404) return action.kind === "read" ? NOTHING : { kind: "missing" };
  if (code === 409) return { kind: body.reason === "AlreadyExists" ? "exists" : "conflict" };
  if (code >= 300) throw new Error(`${JSON.stringify(action)}: ${code} ${JSON.stringify(body)}`);
  if (action.kind === "read") return { kind: "found", version: versionOf(body) };
  return { kind: "done", revision: action.kind === "delete" ? null : revisionOf(body) };
}

const NOTHING: Outcome = { kind: "found", version: null };

function note(known: Map<string, number>, key: string, revision: number | null): void {
  if (revision === null) known.delete(key);
  else known.set(key, revision);
}

function nameOf({ metadata }: Shape): string {
  return metadata?.name ?? "";
}

function versionOf(object: Shape): Version {
  return { value: object.data?.value ?? "", revision: revisionOf(object) };
}

function revisionOf({ metadata }: Shape): number {
  return Number(metadata?.resourceVersion);
}
