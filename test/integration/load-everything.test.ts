//! Traffic of several kinds while everything moves: routes change, pods are rolled, gateway workers
//! are killed. Lost is only what was under way on a worker that was killed.
//! Longer: GRAYLANE_MIXED_SECONDS=300 npm test -- load-everything

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { connect } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import { deployment, GATEWAY, service, virtualService } from "../support/load-manifests.ts";
import { figuresOf, pidsOf, startWith } from "../support/load-setup.ts";
import type { Running } from "../support/load-setup.ts";
import { put } from "../support/put.ts";

const SECONDS = Number(process.env["GRAYLANE_MIXED_SECONDS"] ?? 12);
const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 100);
const KILL_EVERY_MS = 5_000;
const CHANGE_EVERY_MS = 200;
const ROLL_EVERY_CHANGES = 40;
const STREAMS = 4;
const PAUSE_MS = 20;
const LARGE = "x".repeat(262_144);
const LARGE_EVERY = 20;
const FRESH_CONNECTION_EVERY = 4;
const MIB = 1_048_576;
const GROWN_MIB_MAX = 24;
/** In less time code is still being compiled, and pools grow to what they will hold. */
const MEASURES_MEMORY = SECONDS >= 60;
const SETTLED_MS = 3_000;

interface Moves {
  readonly changes: number;
  readonly kills: number;
  /** Requests of HTTP/1.1 without an answer while a worker went. */
  readonly underWay: number;
}

/** Streams one after the other on one session, and a new session when it ends. */
class Http2Load {
  sent = 0;
  right = 0;
  readonly wrong: string[] = [];
  readonly #port: number;
  readonly #loops: Promise<void>[];
  #session: ClientHttp2Session | null = null;
  #isStopping = false;

  constructor(port: number) {
    this.#port = port;
    this.#loops = Array.from({ length: STREAMS }, () => this.#loop());
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#loops);
    this.#session?.close();
  }

  async #loop(): Promise<void> {
    while (!this.#isStopping) {
      this.sent += 1;
      const wrong = await this.#ask();
      if (wrong === "") this.right += 1;
      else this.wrong.push(wrong);
      await sleep(PAUSE_MS);
    }
  }

  async #ask(): Promise<string> {
    let session = this.#session;
    if (session === null || session.closed || session.destroyed) {
      session = connect(`http://127.0.0.1:${this.#port}`);
      session.on("error", () => undefined);
      this.#session = session;
    }
    try {
      const stream = session.request({ ":path": "/", ":authority": "web" });
      let [status, hasEnded] = ["none", false];
      stream.on("response", (headers) => (status = String(headers[":status"])));
      stream.on("end", () => (hasEnded = true));
      stream.resume();
      // A stream whose session ends has neither an end nor, with CANCEL, an error.
      await once(stream, "close");
      return hasEnded && status === "200" ? "" : `status ${status}, ended: ${String(hasEnded)}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}

function openLoop(port: number): OpenLoopClient {
  return new OpenLoopClient({
    ...{ host: "127.0.0.1", port, ratePerSecond: RATE_PER_SECOND },
    ...{ connectionsMax: 2_000, timeoutMs: 30_000 },
    request: (index) => {
      const isLarge = index % LARGE_EVERY === 0;
      const end = index % FRESH_CONNECTION_EVERY === 0 ? "connection: close\r\n" : "";
      const start = isLarge
        ? `POST / HTTP/1.1\r\nhost: web\r\ncontent-length: ${LARGE.length}\r\n`
        : "GET / HTTP/1.1\r\nhost: web\r\n";
      return {
        bytes: `${start}${end}\r\n${isLarge ? LARGE : ""}`,
        check: ({ status, body }) =>
          status === 200 ? null : `status ${status}: ${body.toString().slice(0, 200)}`,
      };
    },
  });
}

async function kill(running: Running, client: OpenLoopClient, index: number): Promise<number> {
  const { workers } = await running.status();
  const ready = workers.filter(({ role, state }) => role === "gateway" && state === "ready");
  const victim = ready[index % ready.length]?.pid ?? null;
  if (ready.length < 2 || victim === null) return 0;
  const waiting = (): number => {
    const { sent, right, failed } = client.progress;
    return sent - right - failed;
  };
  const before = waiting();
  const { sent } = client.progress;
  process.kill(victim, "SIGKILL");
  while (isAlive(victim)) await sleep(1);
  return before + client.progress.sent - sent;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function moveAll(running: Running, client: OpenLoopClient): Promise<Moves> {
  const endMs = performance.now() + SECONDS * 1_000;
  let [changes, kills, underWay] = [0, 0, 0];
  let killMs = performance.now() + KILL_EVERY_MS;
  while (performance.now() < endMs) {
    changes += 1;
    await put(running.graylane.client, virtualService("web", changes));
    if (changes % ROLL_EVERY_CHANGES === 0) {
      await put(running.graylane.client, deployment({ app: "web", version: `v${changes}` }));
    }
    if (performance.now() >= killMs) {
      underWay += await kill(running, client, kills);
      kills += 1;
      killMs = performance.now() + KILL_EVERY_MS;
    }
    await sleep(CHANGE_EVERY_MS);
  }
  return { changes, kills, underWay };
}

interface Held {
  readonly mib: number;
  readonly descriptors: number;
}

/** Of the main process, which lives through it all. */
async function heldBy(running: Running): Promise<Held> {
  // What the last change or kill was done with is given back.
  if (MEASURES_MEMORY) await sleep(SETTLED_MS);
  const { pid } = await running.status();
  const { residentBytes } = await running.memory(pid);
  return { mib: residentBytes / MIB, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

test("only what is under way on a killed worker is lost", async (context) => {
  const objects = [GATEWAY, service("web"), deployment({ app: "web", version: "base" })];
  const running = await startWith([...objects, virtualService("web", 0)], ["--workers", "2"]);
  try {
    const before = await heldBy(running);
    const client = openLoop(running.graylane.port);
    const http2 = new Http2Load(running.graylane.port);
    client.start();
    const moves = await moveAll(running, client);
    const result = await client.stop();
    await http2.stop();
    await running.until(
      "both workers are there",
      (status) => pidsOf(status, "gateway").length === 2,
    );
    const after = await heldBy(running);
    context.diagnostic(
      `${moves.changes} changes, ${moves.kills} kills; HTTP/1.1 ${figuresOf(result)}`,
    );
    context.diagnostic(`HTTP/2: ${http2.sent} sent, ${http2.wrong.length} failed`);
    context.diagnostic(`main: ${JSON.stringify({ before, after })}`);
    context.diagnostic([...result.failures, ...http2.wrong].slice(0, 10).join("; "));
    assert.ok(result.failed <= moves.underWay, `${result.failed}, ${moves.underWay} under way`);
    assert.ok(http2.wrong.length <= moves.kills * STREAMS, http2.wrong.join("; "));
    if (!MEASURES_MEMORY) return;
    assert.ok(after.mib - before.mib <= GROWN_MIB_MAX, "the main process keeps memory");
  } finally {
    await running.stop();
  }
});
