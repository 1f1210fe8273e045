//! Envoys that stall beside others, by a clock of the test's own: they are cut off within 30 s,
//! counted and named; the others are told of each change, and one that reads slowly stays.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { after, suite, test } from "node:test";
import { DeltaClient } from "../../bench/fleet/delta-client.ts";
import { RawClient } from "../../bench/fleet/raw-client.ts";
import { LABELS, ROUTES, world } from "../../bench/fleet/world.ts";
import { VirtualClock } from "../../src/base/virtual-clock.ts";
import type { ConfigNode } from "../../src/controlplane/publish/config-node.ts";
import { AdsServer } from "../../src/controlplane/xds/ads-server.ts";
import { EnvoyApi } from "../../src/controlplane/xds/envoy-api.ts";
import { METADATA_KEY } from "../../src/controlplane/xds/node-identity.ts";
import { LOOKS_MAX, LOOK_MS } from "../../src/controlplane/xds/stall-watch.ts";
import { ENVOY_API_FILE } from "../../src/main/package-root.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import { compileYaml } from "../support/compile-yaml.ts";
import type { LogFields } from "../../src/telemetry/logger.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";

const GOOD = 5;
const SERVICES = 150;
/** Of who reads by itself: less than what there is for it to read. */
const WINDOW_BYTES = 2 << 10;
/** More than half of the window, so that each read opens it again. */
const SIP_BYTES = 1_500;
const API = EnvoyApi.load(ENVOY_API_FILE);
const WORLD = world(SERVICES);
const MOVED = "10.0.7.1,";

function nodeOf(id: string) {
  const said = { role: "gateway", labels: LABELS, bind_address: "127.0.0.1", ports: {} };
  return { id, metadata: { [METADATA_KEY]: said } };
}

/** The world after so many changes of one endpoint. */
function snapshotOf(revision: number): Snapshot {
  return compileYaml(WORLD.replace(MOVED, `10.100.0.${revision},`)).snapshot;
}

suite("Envoys that stall", { timeout: 120_000 }, () => {
  const clock = new VirtualClock();
  const warnings: LogFields[] = [];
  const nodes = new Map<string, ConfigNode>();
  const arrivals = new Map<string, () => void>();
  const gone: string[] = [];
  const server = new AdsServer({
    ...{ api: API, clock },
    logger: { ...silentLogger, warn: (_message, fields = {}) => warnings.push(fields) },
    onUp: (node) => {
      nodes.set(node.id, node);
      arrivals.get(node.id)?.();
    },
    onDown: ({ id }) => gone.push(id),
  });
  const clients: DeltaClient[] = [];
  const raws: RawClient[] = [];
  after(() => {
    for (const client of clients) client.close();
    for (const one of raws) one.close();
    server.stop();
  });

  const here = (name: string): Promise<void> =>
    new Promise((resolve) => {
      arrivals.set(`envoy/${name}`, resolve);
    });
  /** Resolves when these run it; what was told to others waits for them. */
  const bring = async (names: readonly string[], snapshot: Snapshot): Promise<void> => {
    await Promise.all(names.map(async (name) => nodes.get(`envoy/${name}`)?.run?.(snapshot)));
  };

  test("they are cut off, counted and named; others are told of each change", async () => {
    const port = await server.listen("127.0.0.1", 0);
    const good = Array.from({ length: GOOD }, (_, index) => `good-${index}`);
    for (const name of good) {
      const isHere = here(name);
      const client = new DeltaClient({
        ...{ api: API, address: `127.0.0.1:${port}`, node: nodeOf(name), routeNames: [ROUTES] },
        onMessage: () => undefined,
      });
      clients.push(client);
      client.connect();
      await isHere;
    }
    const raw = async (name: string): Promise<RawClient> => {
      const isHere = here(name);
      const client = new RawClient({
        ...{ api: API, address: `127.0.0.1:${port}`, node: nodeOf(name) },
        windowBytes: WINDOW_BYTES,
      });
      raws.push(client);
      await isHere;
      return client;
    };
    const [stuck, slow] = [await raw("stuck"), await raw("slow")];
    const mute = connect(port, "127.0.0.1");
    const muteClosed = once(mute, "close");
    mute.resume();
    await bring(good, snapshotOf(0));
    for (const name of ["stuck", "slow"]) void bring([name], snapshotOf(0));

    for (let look = 1; look <= LOOKS_MAX; look += 1) {
      assert.deepEqual(gone, []);
      await slow.read(SIP_BYTES);
      await Promise.all([stuck.ping(), slow.ping()]);
      await bring(good, snapshotOf(look));
      clock.advance(LOOK_MS);
    }
    await Promise.all([stuck.ping(), slow.ping()]);
    await bring(good, snapshotOf(LOOKS_MAX + 1));
    clock.advance(LOOK_MS);
    await Promise.all([muteClosed, stuck.closed]);

    assert.deepEqual(gone, ["envoy/stuck"]);
    const told = warnings.map(({ node, error }) => `${String(node)}: ${String(error)}`).sort();
    assert.deepEqual(told, [
      ": nothing has come from it for 25 s, not even the answer to a ping",
      "envoy/stuck: it has taken nothing of what waits for it for 25 s",
    ]);
    const [cut] = server.metrics().families;
    assert.deepEqual(cut?.series, [
      { labelValues: ["silent"], values: [1] },
      { labelValues: ["not_taken"], values: [1] },
    ]);
    for (const { held } of clients) assert.equal(held.endpoints.size, SERVICES);
  });
});
