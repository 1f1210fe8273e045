//! Traffic of several kinds while everything moves: routes and certificates change, endpoints come
//! and go, pods are rolled, gateway workers are killed. Lost is only what was under way on a worker that was killed.
//! Longer: GRAYLANE_MIXED_SECONDS=300 npm test -- load-everything

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import type { Answer, OpenLoopResult } from "../../bench/support/open-loop.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { A_TEST, B_TEST } from "../../src/dataplane/testing/certificates.ts";
import { deployment, outsideHost, SECURE_GATEWAY } from "../support/load-manifests.ts";
import { service, tlsSecret, withEcho } from "../support/load-manifests.ts";
import { figuresOf, pidsOf, startWith } from "../support/load-setup.ts";
import type { Running } from "../support/load-setup.ts";
import { Http2Load, startEcho, WebSocketLoad } from "../support/mixed-load.ts";
import type { Echo } from "../support/mixed-load.ts";
import { put } from "../support/put.ts";

const SECONDS = Number(process.env["GRAYLANE_MIXED_SECONDS"] ?? 12);
const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 100);
const SECURE_RATE_PER_SECOND = RATE_PER_SECOND / 2;
const KILL_EVERY_MS = 5_000;
const CHANGE_EVERY_MS = 200;
const ROLL_EVERY_CHANGES = 40;
const RENEW_EVERY_CHANGES = 5;
const FLAP_EVERY_CHANGES = 3;
/** Until both certificates were served, however slow a busy machine makes changes. */
const CHANGES_MIN: number = 2 * RENEW_EVERY_CHANGES;
const STREAM_EVERY_MS = 10;
const WEBSOCKETS = 4;
const MESSAGE_EVERY_MS = 50;
const LARGE = "x".repeat(1_048_576);
const LARGE_EVERY = 40;
const FRESH_CONNECTION_EVERY = 4;
const MIB = 1_048_576;
const GROWN_MIB_MAX = 24;
/** How long the pools keep a connection that nobody uses, and more. */
const POOLS_IDLE_MS = 90_000;
/** Of those pools, and of files. */
const MORE_DESCRIPTORS_MAX = 16;
/** In less time code is still being compiled, and pools grow to what they will hold. */
const MEASURES_MEMORY = SECONDS >= 60;
const SETTLED_MS = 3_000;

/** The one answer other than 200 that a worker may give: it has more to do than it can. */
const SHED = "503 overload";

/** Answers other than 200, by status and flag, each with the first text. */
type Others = Map<string, { count: number; readonly first: string }>;

interface Loads {
  readonly plain: OpenLoopClient;
  readonly secure: OpenLoopClient;
  readonly http2: Http2Load;
  readonly webSockets: readonly WebSocketLoad[];
}

interface Moves {
  readonly changes: number;
  readonly kills: number;
  /** Without an answer while a worker went, of each kind. */
  readonly underWay: UnderWay;
  /** Subjects of the certificates that were served. */
  readonly subjects: ReadonlySet<string>;
}

interface UnderWay {
  plain: number;
  secure: number;
  http2: number;
}

function requestOf(index: number): string {
  const end = index % FRESH_CONNECTION_EVERY === 0 ? "connection: close\r\n" : "";
  if (index % LARGE_EVERY !== 0) return `GET / HTTP/1.1\r\nhost: web\r\n${end}\r\n`;
  const length = `content-length: ${LARGE.length}\r\n`;
  return `POST /echo HTTP/1.1\r\nhost: web\r\n${length}${end}\r\n${LARGE}`;
}

/** What was wrong with it, or null; other answers than 200 are kept by their kind. */
function judge({ status, body }: Answer, isEcho: boolean, others: Others): string | null {
  if (status === 200) {
    return !isEcho || body.length === LARGE.length ? null : `${body.length} bytes came back`;
  }
  const text = body.toString().slice(0, 200);
  // The first word of a reply of ours is its flag (docs/replies.md).
  const kind = `${status} ${/^([a-z_]+): /.exec(text)?.[1] ?? "of the app"}`;
  const known = others.get(kind);
  if (known === undefined) others.set(kind, { count: 1, first: text });
  else known.count += 1;
  return `status ${status}: ${text}`;
}

function openLoop(
  { port, isSecure }: { readonly port: number; readonly isSecure: boolean },
  ratePerSecond: number,
  others: Others,
): OpenLoopClient {
  return new OpenLoopClient({
    ...{ host: "127.0.0.1", port, ratePerSecond, isSecure },
    ...{ connectionsMax: 2_000, timeoutMs: 30_000 },
    request: (index) => ({
      bytes: requestOf(index),
      check: (answer) => judge(answer, index % LARGE_EVERY === 0, others),
    }),
  });
}

function waitingOf({ plain, secure, http2 }: Loads): UnderWay {
  const waiting = ({ progress: { sent, right, failed } }: OpenLoopClient): number =>
    sent - right - failed;
  return { plain: waiting(plain), secure: waiting(secure), http2: http2.underWay };
}

function sentOf({ plain, secure, http2 }: Loads): UnderWay {
  return { plain: plain.progress.sent, secure: secure.progress.sent, http2: http2.sent };
}

/** Adds what was under way; false when there was no other worker to go on. */
async function kill(
  running: Running,
  loads: Loads,
  moves: { kills: number; underWay: UnderWay },
): Promise<void> {
  const { workers } = await running.status();
  const ready = workers.filter(({ role, state }) => role === "gateway" && state === "ready");
  const victim = ready[moves.kills % ready.length]?.pid ?? null;
  if (ready.length < 2 || victim === null) return;
  const [waiting, before] = [waitingOf(loads), sentOf(loads)];
  process.kill(victim, "SIGKILL");
  while (isAlive(victim)) await sleep(1);
  const after = sentOf(loads);
  for (const kind of ["plain", "secure", "http2"] as const) {
    moves.underWay[kind] += waiting[kind] + after[kind] - before[kind];
  }
  moves.kills += 1;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The subject of the certificate that a new connection is shown. */
async function subjectAt(port: number): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  return new Promise((resolve) => {
    socket.on("secureConnect", () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    // The worker that had it was killed.
    socket.on("error", () => {
      resolve("");
    });
  });
}

interface Ends {
  readonly securePort: number;
  readonly echoes: readonly Echo[];
}

/** The second endpoint of the echo is there in every other turn. */
async function flap({ graylane }: Running, { echoes }: Ends, change: number): Promise<void> {
  if (change % FLAP_EVERY_CHANGES !== 0) return;
  const count = (change / FLAP_EVERY_CHANGES) % 2 === 0 ? 1 : echoes.length;
  const ports = echoes.slice(0, count).map(({ port }) => port);
  await put(graylane.client, outsideHost("echo", ...ports));
}

async function moveAll(running: Running, loads: Loads, ends: Ends): Promise<Moves> {
  const endMs = performance.now() + SECONDS * 1_000;
  const moves = { changes: 0, kills: 0, underWay: { plain: 0, secure: 0, http2: 0 } };
  const subjects = new Set<string>();
  const { client } = running.graylane;
  let killMs = performance.now() + KILL_EVERY_MS;
  while (performance.now() < endMs || moves.changes < CHANGES_MIN) {
    moves.changes += 1;
    await put(client, withEcho("web", moves.changes));
    await flap(running, ends, moves.changes);
    if (moves.changes % ROLL_EVERY_CHANGES === 0) {
      await put(client, deployment({ app: "web", version: `v${moves.changes}` }));
    }
    if (moves.changes % RENEW_EVERY_CHANGES === 0) {
      subjects.add(await subjectAt(ends.securePort));
      const isEven = (moves.changes / RENEW_EVERY_CHANGES) % 2 === 0;
      await put(client, tlsSecret(isEven ? A_TEST : B_TEST));
    }
    if (performance.now() >= killMs) {
      await kill(running, loads, moves);
      killMs = performance.now() + KILL_EVERY_MS;
    }
    await sleep(CHANGE_EVERY_MS);
  }
  subjects.delete("");
  return { ...moves, subjects };
}

interface Held {
  readonly mib: number;
  readonly descriptors: number;
}

/** The main process and the sidecars' worker live through it all; gateway workers do not. */
async function heldBy(running: Running): Promise<Record<string, Held>> {
  // What the last change or kill was done with is given back.
  if (MEASURES_MEMORY) await sleep(SETTLED_MS);
  const status = await running.status();
  const pids = { main: status.pid, sidecar: pidsOf(status, "sidecar")[0] ?? status.pid };
  const held: Record<string, Held> = {};
  for (const [name, pid] of Object.entries(pids)) {
    // It takes a quarter of a minute to settle, which the short form does without.
    const { residentBytes } = MEASURES_MEMORY ? await running.memory(pid) : { residentBytes: 0 };
    const descriptors = readdirSync(`/proc/${pid}/fd`).length;
    held[name] = { mib: Math.round((residentBytes / MIB) * 10) / 10, descriptors };
  }
  const gateways = pidsOf(status, "gateway");
  const descriptors = gateways.map((pid) => readdirSync(`/proc/${pid}/fd`).length);
  return { ...held, gateways: { mib: 0, descriptors: Math.max(...descriptors) } };
}

/** Idle connections of the pools are closed in their time. */
async function heldAtLast(
  running: Running,
  before: Readonly<Record<string, Held>>,
): Promise<Record<string, Held>> {
  for (let waitedMs = 0; ; waitedMs += SETTLED_MS) {
    const after = await heldBy(running);
    const isMore = Object.entries(after).some(
      ([name, { descriptors }]) =>
        descriptors > (before[name]?.descriptors ?? 0) + MORE_DESCRIPTORS_MAX,
    );
    if (!MEASURES_MEMORY || !isMore || waitedMs > POOLS_IDLE_MS) return after;
  }
}

function assertNothingLost(loads: Loads, moves: Moves, results: readonly OpenLoopResult[]): void {
  const { underWay, kills } = moves;
  const [plain, secure] = results.map(({ failed, received, right }) => failed - received + right);
  assert.ok((plain ?? 0) <= underWay.plain, `${plain}, ${underWay.plain} under way`);
  assert.ok((secure ?? 0) <= underWay.secure, `TLS: ${secure}, ${underWay.secure} under way`);
  const { http2, webSockets } = loads;
  assert.ok(http2.wrong.length <= underWay.http2, http2.wrong.join("; "));
  for (const { ends, wrong, right } of webSockets) {
    assert.ok(ends <= kills, `a WebSocket ended ${ends} times, ${kills} kills`);
    assert.deepEqual(wrong, []);
    assert.ok(right > 0);
  }
}

function tell(context: TestContext, loads: Loads, moves: Moves): void {
  const { changes, kills, underWay, subjects } = moves;
  context.diagnostic(`${changes} changes, ${kills} kills; under way ${JSON.stringify(underWay)}`);
  context.diagnostic(`certificates served: ${[...subjects].join(", ")}`);
  const { http2, webSockets } = loads;
  context.diagnostic(`HTTP/2: ${http2.sent} sent, ${http2.wrong.length} failed`);
  const sum = (of: "sent" | "right" | "lost" | "ends"): number =>
    webSockets.reduce((total, one) => total + one[of], 0);
  const ended = `${sum("ends")} connections ended with ${sum("lost")} messages`;
  context.diagnostic(`WebSocket: ${sum("sent")} sent, ${sum("right")} came back; ${ended}`);
}

test("only what is under way on a killed worker is lost", async (context) => {
  const echoes = [await startEcho(), await startEcho()] as const;
  const [echo, flapping] = echoes;
  const securePort = await freePort();
  const objects = [SECURE_GATEWAY, service("web"), deployment({ app: "web", version: "base" })];
  const others = [withEcho("web", 0), outsideHost("echo", echo.port), tlsSecret(A_TEST)];
  const words = ["--workers", "2", "--map-port", `443=${securePort}`];
  const running = await startWith([...objects, ...others], words);
  try {
    const before = await heldBy(running);
    const { port } = running.graylane;
    const others: Others = new Map();
    const secureEnd = { port: securePort, isSecure: true };
    const loads: Loads = {
      plain: openLoop({ port, isSecure: false }, RATE_PER_SECOND, others),
      secure: openLoop(secureEnd, SECURE_RATE_PER_SECOND, others),
      http2: new Http2Load(port, STREAM_EVERY_MS),
      webSockets: Array.from(
        { length: WEBSOCKETS },
        () => new WebSocketLoad(port, MESSAGE_EVERY_MS),
      ),
    };
    loads.plain.start();
    loads.secure.start();
    const moves = await moveAll(running, loads, { securePort, echoes });
    const results = [await loads.plain.stop(), await loads.secure.stop()];
    await Promise.all([loads.http2, ...loads.webSockets].map((one) => one.stop()));
    await running.until(
      "both workers are there",
      (status) => pidsOf(status, "gateway").length === 2,
    );
    const after = await heldAtLast(running, before);
    for (const result of results) context.diagnostic(`HTTP/1.1 (TLS second): ${figuresOf(result)}`);
    tell(context, loads, moves);
    context.diagnostic(JSON.stringify({ before, after }));
    const failures = results.flatMap((result) => result.failures);
    context.diagnostic([...failures, ...loads.http2.wrong].slice(0, 10).join("; "));
    context.diagnostic(`other answers: ${JSON.stringify(Object.fromEntries(others))}`);
    others.delete(SHED);
    assert.deepEqual(Object.fromEntries(others), {});
    assertNothingLost(loads, moves, results);
    assert.deepEqual([...moves.subjects].sort(), ["a.test", "b.test"]);
    assert.ok(flapping.requestCount > 0, "the endpoint that comes and goes is asked, too");
    if (!MEASURES_MEMORY) return;
    for (const [name, { mib, descriptors }] of Object.entries(after)) {
      const was = before[name] ?? { mib: 0, descriptors: 0 };
      assert.ok(mib - was.mib <= GROWN_MIB_MAX, `${name} keeps memory`);
      assert.ok(descriptors - was.descriptors <= MORE_DESCRIPTORS_MAX, `${name} keeps sockets`);
    }
  } finally {
    await running.stop();
    for (const one of echoes) one.close();
  }
});
