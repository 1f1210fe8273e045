//! Somebody sets the machine's clock a day forward, then two days back, under load: nothing is lost,
//! ends early or late, or is taken for dead. Wall time is for what is written; whatever waits has a
//! clock that does not jump.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import type { Resource } from "../../src/resources/object.ts";
import { endEach } from "../support/ending.ts";
import { KINDS, temporaryDirectory } from "../support/graylane.ts";
import { deployment, GATEWAY, outsideHost, service, withEcho } from "../support/load-manifests.ts";
import { figuresOf, startWith } from "../support/load-setup.ts";
import type { Running } from "../support/load-setup.ts";
import { put } from "../support/put.ts";

const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 50);
const FRESH_EVERY = 4;
const DAY_MS = 86_400_000;
/** Of the load after each jump. */
const REQUESTS_BETWEEN = 60;
const folder = temporaryDirectory();
const clockFile = join(folder, "ahead");
const accessLog = join(folder, "access.log");
const slow = createServer((_request, response) => {
  response.write("begin,");
  held = response;
});
let held: ServerResponse | null = null;
let running: Running;

function setClock(aheadMs: number): void {
  writeFileSync(`${clockFile}.next`, String(aheadMs));
  renameSync(`${clockFile}.next`, clockFile);
}

before(async () => {
  slow.listen(0, "127.0.0.1");
  await once(slow, "listening");
  setClock(0);
  process.env["GRAYLANE_WALL_CLOCK"] = clockFile;
  const preload = pathToFileURL(resolve("dist/test/support/wall-clock.js")).href;
  process.env["NODE_OPTIONS"] = `${process.env["NODE_OPTIONS"] ?? ""} --import=${preload}`;
  running = await startWith(
    [
      GATEWAY,
      service("web"),
      deployment({ app: "web", version: "base" }),
      withEcho("web", 0),
      outsideHost("echo", (slow.address() as AddressInfo).port),
    ],
    ["--access-log", accessLog],
  );
});

after(() =>
  endEach(
    () => running.stop(),
    () => {
      slow.close();
      slow.closeAllConnections();
      rmSync(folder, { recursive: true, force: true });
    },
  ),
);

function load(): OpenLoopClient {
  return new OpenLoopClient({
    ...{ host: "127.0.0.1", port: running.graylane.port, ratePerSecond: RATE_PER_SECOND },
    ...{ connectionsMax: 500, timeoutMs: 30_000 },
    request: (index) => ({
      bytes:
        "GET / HTTP/1.1\r\nhost: web\r\n" +
        `${index % FRESH_EVERY === 0 ? "connection: close\r\n" : ""}\r\n`,
      check: ({ status, body }) =>
        status === 200 ? null : `status ${status}: ${body.toString().slice(0, 200)}`,
    }),
  });
}

function longAnswer(): Promise<string> {
  return new Promise((done, failed) => {
    const options = { host: "127.0.0.1", port: running.graylane.port, path: "/echo", agent: false };
    const request = get(options, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("error", failed);
      response.on("end", () => {
        done(body);
      });
    });
    request.on("error", failed);
  });
}

/** Workers with their processes: another one has another. */
async function workers(): Promise<readonly object[]> {
  const { workers: all } = await running.status();
  return all.map(({ id, pid, state }) => ({ id, pid, state }));
}

function dayOf(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 10);
}

function createdAt({ metadata }: Resource): string {
  return String((metadata as { readonly creationTimestamp?: string }).creationTimestamp);
}

test("a clock that is set forward and back loses nothing and ends nothing", async (context) => {
  const before = await workers();
  const client = load();
  client.start();
  const answer = longAnswer();
  while (held === null) await sleep(1);
  const more = async (): Promise<void> => {
    const wanted = client.progress.sent + REQUESTS_BETWEEN;
    while (client.progress.sent < wanted) await sleep(5);
  };
  await more();
  let objects = 0;
  for (const [count, days] of [1, -1].entries()) {
    setClock(days * DAY_MS);
    const day = dayOf(Date.now() + days * DAY_MS);
    const { graylane } = running;
    await graylane.until("the main process writes the other day", async () => {
      objects += 1;
      const { resource } = await graylane.client.create(KINDS.Service, service(`s${objects}`));
      return createdAt(resource).startsWith(day);
    });
    await graylane.until("the access log has the other day", () =>
      readFileSync(accessLog, "utf8").includes(day),
    );
    await put(graylane.client, withEcho("web", count + 1));
    await graylane.settle();
    await more();
    assert.deepEqual(await workers(), before, "no worker has gone or lags");
  }
  held.end("end");
  assert.equal(await answer, "begin,end");
  const result = await client.stop();
  context.diagnostic(`two jumps: ${figuresOf(result)}`);
  assert.deepEqual(result.failures, []);
  assert.equal(result.right, result.sent);
});
