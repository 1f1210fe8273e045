//! Two real gateway workers at one port: each has half of the connections, however they come.

import assert from "node:assert/strict";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { after, before, test } from "node:test";
import { systemClock } from "../base/clock.ts";
import { freePort } from "../base/testing/free-port.ts";
import { gatewaySnapshot } from "../dataplane/testing/snapshot-maker.ts";
import { fullDelta } from "../snapshot/delta.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { WorkerFleet } from "./worker-fleet.ts";
import type { WorkerLink } from "./worker-link.ts";

const COUNT = 1_000;
const LEAST = 450;
/** On a busy machine a worker may have no turn for a while; it is made up for by those after. */
const COUNT_MAX = 10 * COUNT;

let port = 0;
let fleet: WorkerFleet;
let snapshot: Snapshot;
const sockets = new Set<Socket>();
let refused = 0;

before(async () => {
  port = await freePort();
  snapshot = gatewaySnapshot(80, []);
  fleet = new WorkerFleet({
    gatewayCount: 2,
    sidecarCount: 0,
    worker: {
      ...{ gatewayHost: "127.0.0.1", portMap: { "80": port }, accessLogPath: "" },
      ...{ logLevel: "silent", logPath: "" },
    },
    clock: systemClock,
    logger: silentLogger,
    onUp: (node) => void node.push(fullDelta(snapshot)),
    onDown: () => undefined,
  });
  await fleet.start();
  await until(() => configured().length === 2);
});

after(async () => {
  closeAll();
  await fleet.stop();
});

function configured(): readonly WorkerLink[] {
  return fleet.gateways.filter(({ heldVersion }) => heldVersion === snapshot.version);
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await pause(10);
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => systemClock.after(delayMs, resolve));
}

function open(): void {
  const socket = connect(port, "127.0.0.1");
  sockets.add(socket);
  socket.on("error", ({ code }: NodeJS.ErrnoException) => {
    if (code === "ECONNREFUSED") refused += 1;
  });
  socket.on("close", () => sockets.delete(socket));
}

function closeAll(): void {
  for (const socket of sockets) socket.destroy();
}

/** How many each worker has, the fewest first, when all have been accepted. */
async function accepted(): Promise<number[]> {
  let counts: number[] = [];
  await until(async () => {
    const links = configured();
    counts = await Promise.all(links.map((link) => connectionsOf(link)));
    return counts.reduce((sum, count) => sum + count, 0) === sockets.size;
  });
  return counts.sort((one, other) => one - other);
}

async function connectionsOf(link: WorkerLink): Promise<number> {
  const { families } = await link.metrics();
  const family = families.find(({ name }) => name === "graylane_downstream_connections");
  return family?.series[0]?.values[0] ?? 0;
}

const cases = [
  { name: "all at once", gapMs: 0, batch: COUNT },
  { name: "one every millisecond or so", gapMs: 1, batch: 1 },
  { name: "five every five milliseconds", gapMs: 5, batch: 5 },
];

for (const { name, gapMs, batch } of cases) {
  test(`two workers have half of 1,000 connections each that come ${name}`, async (t) => {
    closeAll();
    await until(() => sockets.size === 0);
    await accepted();
    let counts: number[] = [0, 0];
    for (let opened = 0; opened < COUNT_MAX; opened += COUNT) {
      for (let count = 0; count < COUNT; count += batch) {
        for (let one = 0; one < batch; one++) open();
        await pause(gapMs);
      }
      counts = await accepted();
      t.diagnostic(`${counts.join(" and ")} connections`);
      if (isEven(counts)) return;
    }
    assert.fail(`uneven to the end: ${counts.join(" and ")}`);
  });
}

function isEven([fewest = 0, most = 0]: readonly number[]): boolean {
  return fewest / (fewest + most) >= LEAST / COUNT;
}

test("a worker in another's place gets the next connections, and none is refused", async (t) => {
  refused = 0;
  const victim = configured()[0]?.pid ?? 0;
  process.kill(victim, "SIGKILL");
  await until(() => configured().length === 2 && !configured().some(({ pid }) => pid === victim));
  let counts = await accepted();
  for (let opened = 0; opened < COUNT_MAX && !isEven(counts); opened += COUNT / 2) {
    for (let count = 0; count < COUNT / 2; count++) {
      open();
      await pause(1);
    }
    counts = await accepted();
    t.diagnostic(`${counts.join(" and ")} connections`);
  }
  assert.ok(isEven(counts), `uneven to the end: ${counts.join(" and ")}`);
  assert.equal(refused, 0);
});

test("a port that was shared, given up and wanted again is opened again", async () => {
  closeAll();
  const without = { ...gatewaySnapshot(80, []), gateways: {}, version: "without" };
  for (const to of [without, snapshot]) {
    const links = fleet.gateways;
    const answers = await Promise.all(links.map((link) => link.push(fullDelta(to))));
    assert.deepEqual(
      answers.map(({ ok }) => ok),
      [true, true],
    );
  }
  refused = 0;
  open();
  assert.deepEqual(await accepted(), [0, 1]);
  assert.equal(refused, 0);
});
