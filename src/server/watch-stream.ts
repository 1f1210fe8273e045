//! A watch as a response: one JSON line for each event, at the pace of the client.
//!
//! Events wait as references to the store's own objects, so a slow client costs little; one that
//! lies too far behind, or takes nothing for too long, is cut off and lists again.

import type { Timer } from "../base/clock.ts";
import type { WatchEvent } from "../controlplane/store/store.ts";
import type { Resource } from "../resources/object.ts";
import type { Call } from "./call.ts";
import type { KindPath } from "./kind-path.ts";
import type { Selection } from "./selection.ts";
import { revisionOf, sendsInitialEvents } from "./list-options.ts";
import { tooLarge } from "./pages.ts";
import { failure, refuse } from "./status.ts";
import { bookmarkOf, rendererOf, type Render } from "./table.ts";

/** Watches and followed logs that are open at once. */
export const STREAMS_MAX = 1_000;
/** Events that may wait for a slow client, beside the objects it began with. */
export const WATCH_QUEUE_EVENTS_MAX = 4_096;
/** A client that takes nothing for so long is cut off. */
export const STALL_TIMEOUT_MS = 30_000;
const BOOKMARK_INTERVAL_MS = 60_000;
/** Kubernetes' word for the end of what a watch begins with (KEP-3157). */
const END_OF_INITIAL = { "k8s.io/initial-events-end": "true" };
const TIMEOUT_SECONDS_MAX = 86_400;

/** Open streams of one server, to be counted and to be ended with it. */
export class StreamSet {
  readonly #streams = new Set<Call>();

  /** Throws 429 when there are too many. Leaves by itself when the response closes. */
  add(call: Call): void {
    if (this.#streams.size >= STREAMS_MAX) {
      throw refuse(429, "TooManyRequests", `${STREAMS_MAX} watches are open, the limit`);
    }
    this.#streams.add(call);
    call.response.once("close", () => {
      this.#streams.delete(call);
    });
  }

  endAll(): void {
    for (const { response } of this.#streams) response.end();
  }
}

export function streamWatch(call: Call, path: KindPath, selection: Selection): void {
  const sendsInitial = sendsInitialEvents(call);
  const from = startOf(call, sendsInitial);
  call.streams.add(call);
  const stream = new WatchStream(call, path);
  const begun = from ?? call.dependencies.store.list(selection.filter);
  call.response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
  call.response.flushHeaders();
  if (typeof begun !== "number") {
    const items = begun.items.filter((item) => selection.matches(item));
    stream.begin(items, sendsInitial === true ? begun.revision : null);
  }
  const revision = typeof begun === "number" ? begun : begun.revision;
  const watch = call.dependencies.store.watch(selection.filter, revision, (event) => {
    const seen = asSelected(event, selection);
    if (seen !== null) stream.push(seen);
  });
  if (watch === "expired") {
    stream.endExpired(revision);
    return;
  }
  call.response.once("close", () => {
    watch.cancel();
    stream.stop();
  });
}

/** `null`: begin with what there is. Throws 400, and 504 for what is yet to come. */
function startOf(call: Call, sendsInitial: boolean | null): number | null {
  const wanted = revisionOf(call.query.get("resourceVersion") ?? "");
  const { revision } = call.dependencies.store;
  if (sendsInitial === null) return wanted === 0 ? null : wanted;
  if (wanted > revision) throw tooLarge(wanted, revision);
  if (sendsInitial) return null;
  return wanted === 0 ? revision : wanted;
}

/** For this client, an object that comes to match is added, and one that ceases to is gone. */
function asSelected(event: WatchEvent, selection: Selection): Pending | null {
  const { object } = event;
  if (event.type === "ADDED") return selection.matches(object) ? { type: "ADDED", object } : null;
  const isIn = event.type === "MODIFIED" && selection.matches(object);
  const wasIn = event.previous !== null && selection.matches(event.previous);
  if (isIn) return { type: wasIn ? "MODIFIED" : "ADDED", object };
  return wasIn ? { type: "DELETED", object } : null;
}

interface Pending {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: Resource;
}

class WatchStream {
  readonly #call: Call;
  readonly #path: KindPath;
  readonly #render: Render;
  #waiting: Pending[] = [];
  /** How many of the waiting ones are the objects that the watch began with. */
  #initialCount = 0;
  /** What the client is told when it has them all; null: nothing. */
  #endOfInitial: object | null = null;
  #isBlocked = false;
  #stall: Timer | null = null;
  readonly #timers = new Set<Timer>();

  constructor(call: Call, path: KindPath) {
    this.#call = call;
    this.#path = path;
    this.#render = rendererOf(call, path);
    call.response.on("drain", () => {
      this.#resume();
    });
    if (call.query.get("allowWatchBookmarks") === "true") this.#scheduleBookmark();
    const timeoutSeconds = Number(call.query.get("timeoutSeconds") ?? 0);
    if (timeoutSeconds > 0 && timeoutSeconds <= TIMEOUT_SECONDS_MAX) {
      this.#after(timeoutSeconds * 1_000, () => {
        call.response.end();
      });
    }
  }

  /** `toldAt`: the client waits for a bookmark that says that these were all; null: it does not. */
  begin(items: readonly Resource[], toldAt: number | null): void {
    this.#waiting = items.map((object) => ({ type: "ADDED", object }));
    this.#initialCount = items.length;
    if (toldAt !== null && this.#call.query.get("allowWatchBookmarks") === "true") {
      const bookmark = bookmarkOf(this.#call, this.#path, String(toldAt), END_OF_INITIAL);
      this.#endOfInitial = { type: "BOOKMARK", object: bookmark };
    }
    this.#pump();
  }

  push(event: Pending): void {
    if (this.#waiting.length - this.#initialCount >= WATCH_QUEUE_EVENTS_MAX) {
      this.#call.response.destroy();
      return;
    }
    this.#waiting.push(event);
    this.#pump();
  }

  endExpired(revision: number): void {
    const message = `resourceVersion ${revision} is too old or unknown: list again`;
    this.#write({ type: "ERROR", object: failure(410, "Expired", message) });
    this.#call.response.end();
    this.stop();
  }

  stop(): void {
    this.#waiting = [];
    this.#stall?.cancel();
    for (const timer of this.#timers) timer.cancel();
  }

  #pump(): void {
    let sent = 0;
    while (!this.#isBlocked) {
      if (sent >= this.#initialCount) this.#sayAllWasSent();
      if (sent === this.#waiting.length) break;
      const next = this.#waiting[sent];
      sent += 1;
      if (next !== undefined) {
        this.#write({ type: next.type, object: this.#render(next.object) });
      }
    }
    this.#waiting.splice(0, sent);
    this.#initialCount = Math.max(0, this.#initialCount - sent);
  }

  #sayAllWasSent(): void {
    if (this.#endOfInitial !== null) this.#write(this.#endOfInitial);
    this.#endOfInitial = null;
  }

  #write(event: object): void {
    const { response } = this.#call;
    if (response.writableEnded || response.destroyed) return;
    if (response.write(`${JSON.stringify(event)}\n`)) return;
    this.#isBlocked = true;
    this.#stall ??= this.#call.dependencies.clock.after(
      STALL_TIMEOUT_MS,
      () => response.destroy(),
      { unref: true },
    );
  }

  #resume(): void {
    this.#isBlocked = false;
    this.#stall?.cancel();
    this.#stall = null;
    this.#pump();
  }

  /** Tells a quiet client how far it is, so that it can go on from there. */
  #scheduleBookmark(): void {
    this.#after(BOOKMARK_INTERVAL_MS, () => {
      if (this.#waiting.length === 0) this.#write({ type: "BOOKMARK", object: this.#bookmark() });
      this.#scheduleBookmark();
    });
  }

  #bookmark(): unknown {
    return bookmarkOf(this.#call, this.#path, String(this.#call.dependencies.store.revision));
  }

  #after(delayMs: number, run: () => void): void {
    const timer = this.#call.dependencies.clock.after(
      delayMs,
      () => {
        this.#timers.delete(timer);
        run();
      },
      { unref: true },
    );
    this.#timers.add(timer);
  }
}
