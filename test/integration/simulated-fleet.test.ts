//! Fifty simulated Envoys (the short form of `bench/fleet.ts`): all are told everything once, a change
//! sends what has changed, and who comes back is told nothing that it has.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { Clients } from "../../bench/fleet/clients.ts";
import { LABELS, LANE, ROUTES, clusterOf, moved, world } from "../../bench/fleet/world.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { isInSync } from "../../examples/walkthrough/settled.ts";
import { endEach } from "../support/ending.ts";
import { Graylane, KINDS } from "../support/graylane.ts";

const ENVOYS = 50;
const SERVICES = 100;
const ENDPOINTS = 10;
/** The goal for a message about one service's endpoints. */
const MESSAGE_BYTES_MAX = 300 + 150 * ENDPOINTS;

suite("fifty simulated Envoys", { timeout: 240_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "graylane-fleet-"));
  let graylane: Graylane;
  let clients: Clients;

  const inSync = async (): Promise<void> => {
    await graylane.published();
    await graylane.until("all are in sync", async () => {
      const { envoys, snapshot } = await graylane.client.runtimeStatus();
      const isIn = envoys.map((one) => one.snapshotVersion === snapshot?.version && isInSync(one));
      return isIn.length === ENVOYS && !isIn.includes(false);
    });
  };

  before(async () => {
    const file = join(folder, "world.yaml");
    writeFileSync(file, world(SERVICES));
    const address = `127.0.0.1:${await freePort()}`;
    graylane = await Graylane.start({
      ...{ files: [file], words: ["--xds", address, "--workers", "1"], waitsForPods: false },
    });
    clients = new Clients();
    const routeNames = [ROUTES];
    await clients.do({ kind: "start", count: ENVOYS, address, labels: LABELS, routeNames });
  });
  after(() =>
    endEach(
      () => clients.do({ kind: "stop" }),
      () => graylane.stop(),
      () => {
        rmSync(folder, { recursive: true, force: true });
      },
    ),
  );

  test("each is told everything", async () => {
    const whole = [`clusters ${SERVICES}`, `endpoints ${SERVICES}`, "listeners 1", "routes 1"];
    await clients.until("each holds everything", ({ held }) =>
      whole.every((key) => held[key] === ENVOYS),
    );
    await inSync();
  });

  test("one endpoint's change sends each that service's assignment, and nothing else", async () => {
    await clients.do({ kind: "reset" });
    await graylane.patch(KINDS.ServiceEntry, ["default", "s7"], moved(1));
    await inSync();
    const { told, bytes, messages } = await clients.do({ kind: "report" });
    assert.deepEqual(told, { [`endpoints ${clusterOf(7)}`]: ENVOYS });
    assert.equal(messages, ENVOYS);
    const each = bytes / messages;
    assert.ok(each <= MESSAGE_BYTES_MAX, `${each} bytes`);
  });

  test("a lane sends routes, and no other service's clusters or endpoints", async () => {
    await clients.do({ kind: "reset" });
    await graylane.apply(LANE);
    await inSync();
    const { told } = await clients.do({ kind: "report" });
    const others = Object.keys(told).filter((key) => key.includes("fleet.internal"));
    assert.deepEqual(others, []);
    assert.equal(told[`routes ${ROUTES}`], ENVOYS);
  });

  test("who comes back is told nothing that it has", async () => {
    await clients.do({ kind: "reset" });
    await clients.do({ kind: "reconnect" });
    await inSync();
    const { messages, told } = await clients.do({ kind: "report" });
    assert.deepEqual([messages, told], [0, {}]);
  });
});
