//! Lanes that come and go while sidecars answer late: no request fails, none leaves its lane on the
//! way, and a sidecar that does not answer at all holds nothing up for longer than its time.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import type { PlannedRequest } from "../../bench/support/open-loop.ts";
import type { Resource } from "../../src/resources/object.ts";
import {
  deployment,
  GATEWAY,
  lane,
  laneGroup,
  service,
  VERSION_HEADER,
  virtualService,
} from "../support/load-manifests.ts";
import { figuresOf, headerOf, pidsOf, startWith } from "../support/load-setup.ts";
import type { Running } from "../support/load-setup.ts";
import { put, remove } from "../support/put.ts";

const ROUNDS = Number(process.env["GRAYLANE_ROUNDS"] ?? 3);
const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 50);
/** How long the sidecars do not answer: well below the time that a change waits for them. */
const LATE_MS = 1_500;
const CONNECTIONS_MAX = 4_000;
/** Requests sent before a change, after it, and while nothing changes. */
const PAUSE_MS = 500;

const BASE = /^-> front\(version: base, ip: [^)]*\)-> back\(version: base, ip: [^)]*\)$/;
const GRAY = /^-> front\(version: gray, ip: [^)]*\)-> back\(version: gray, ip: [^)]*\)$/;
const ANY = /^-> front\(version: \w+, ip: [^)]*\)-> back\(version: \w+, ip: [^)]*\)$/;

let running: Running;
let nextUser = 0;

before(async () => {
  const upstreamUrl = "http://back:8000/";
  running = await startWith([
    GATEWAY,
    service("front"),
    service("back"),
    deployment({ app: "front", version: "base", upstreamUrl }),
    deployment({ app: "front", version: "gray", lane: "gray", upstreamUrl }),
    deployment({ app: "back", version: "base" }),
    deployment({ app: "back", version: "gray", lane: "gray" }),
    laneGroup(["front", "back"]),
    routes(0),
  ]);
});

after(async () => {
  await running.stop();
});

/** The chain, and beside it an answer of the gateway's own that needs no sidecar. */
function routes(version: number): Resource {
  const base = virtualService("front", version);
  const spec = base["spec"] as { readonly http: readonly object[] };
  const headers = { response: { set: { [VERSION_HEADER]: String(version) } } };
  const own = {
    name: "own",
    match: [{ uri: { exact: "/own" } }],
    headers,
    directResponse: { status: 200, body: { string: "own" } },
  };
  return { ...base, spec: { ...spec, http: [own, ...spec.http] } };
}

function chainRequest(isCanary: boolean, isRight: (body: string) => boolean): PlannedRequest {
  // A user of its own each: two requests of one user in two lanes would be a conflict.
  const user = (nextUser += 1);
  return {
    bytes:
      `GET / HTTP/1.1\r\nhost: front\r\nx-user-id: u${user}\r\n` +
      `${isCanary ? "canary: gray\r\n" : ""}\r\n`,
    check({ status, body }) {
      const text = body.toString();
      if (status !== 200) return `status ${status}: ${text.slice(0, 200)}`;
      return isRight(text) ? null : `${isCanary ? "canary" : "plain"}: ${text}`;
    },
  };
}

function clientOf(request: (index: number) => PlannedRequest): OpenLoopClient {
  return new OpenLoopClient({
    host: "127.0.0.1",
    port: running.graylane.port,
    ratePerSecond: RATE_PER_SECOND,
    connectionsMax: CONNECTIONS_MAX,
    timeoutMs: 60_000,
    request,
  });
}

async function sidecarPid(): Promise<number> {
  const [pid] = pidsOf(await running.status(), "sidecar");
  assert.ok(pid !== undefined);
  return pid;
}

/** Writes while the sidecars are stopped; they go on after `lateMs`. Resolves when all is settled. */
async function whileLate(lateMs: number, write: () => Promise<unknown>): Promise<void> {
  const pid = await sidecarPid();
  process.kill(pid, "SIGSTOP");
  try {
    await write();
    await sleep(lateMs);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await settled();
}

async function settled(): Promise<void> {
  const { resourceVersion } = await running.status();
  await running.until(`revision ${resourceVersion} is settled`, ({ snapshot, workers }) => {
    const isSettled = Number(snapshot?.resourceVersion) >= Number(resourceVersion);
    return isSettled && workers.every(({ state }) => state === "ready");
  });
}

test("a lane that sidecars hear of late is used by none or by all hops", async (t) => {
  /** What a canary request must get: `null` while a change is under way. */
  let canary: RegExp | null = BASE;
  const client = clientOf((index) => {
    if (index % 2 === 0) return chainRequest(false, (body) => BASE.test(body));
    const wanted = canary;
    return chainRequest(true, (body) =>
      wanted === null ? BASE.test(body) || GRAY.test(body) : wanted.test(body),
    );
  });
  client.start();
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(PAUSE_MS);
    canary = null;
    await whileLate(LATE_MS, () => put(running.graylane.client, lane("gray")));
    canary = GRAY;
    await sleep(PAUSE_MS);
    canary = null;
    await whileLate(LATE_MS, () => remove(running.graylane.client, lane("gray")));
    canary = BASE;
  }
  await sleep(PAUSE_MS);
  const result = await client.stop();
  t.diagnostic(figuresOf(result));
  assert.deepEqual(result.failures, []);
  assert.equal(result.right, result.sent);
});

test("sidecars that do not answer are stale: the change goes on, and they catch up", async (t) => {
  const { client: api } = running.graylane;
  const pid = await sidecarPid();
  let ownVersion = 0;
  const client = clientOf((index) => {
    if (index % 2 === 0) return chainRequest(index % 4 === 0, (body) => ANY.test(body));
    const wanted = ownVersion;
    return {
      bytes: "GET /own HTTP/1.1\r\nhost: front\r\n\r\n",
      check: ({ status, head }) =>
        status === 200 && Number(headerOf(head, VERSION_HEADER)) >= wanted
          ? null
          : `not version ${wanted}: ${head}`,
    };
  });
  client.start();
  process.kill(pid, "SIGSTOP");
  const startMs = performance.now();
  let goesOnMs: number;
  try {
    await put(api, lane("gray"));
    const revision = await put(api, routes(7));
    const status = await running.until("the sidecars are stale", ({ workers }) =>
      workers.some(({ role, state }) => role === "sidecar" && state === "stale"),
    );
    const sidecar = status.workers.find(({ role }) => role === "sidecar");
    assert.equal(sidecar?.message, "no answer in 5 s");
    await running.until(
      "the change went on",
      ({ snapshot }) => Number(snapshot?.resourceVersion) >= revision,
    );
    goesOnMs = performance.now() - startMs;
    ownVersion = 7;
    await sleep(PAUSE_MS);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  await settled();
  const isGray = chainRequest(true, (body) => GRAY.test(body));
  const result = await client.stop();
  const after = clientOf(() => isGray);
  after.start();
  await sleep(PAUSE_MS);
  const caughtUp = await after.stop();
  t.diagnostic(figuresOf(result));
  t.diagnostic(`the change went on without the sidecars after ${goesOnMs.toFixed(0)} ms`);
  assert.deepEqual(result.failures, []);
  assert.deepEqual(caughtUp.failures, []);
  assert.match(running.graylane.output, /node is stale, the change goes on without it/);
});
