import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededPrng } from "../../base/prng.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { PluginClusters } from "./plugin-clusters.ts";

const ENDPOINT = { address: "127.0.0.1", port: 80, pod: "", labels: {} };
const WEB = {
  name: "web",
  host: "web",
  aliases: [],
  namespace: "",
  port: 0,
  service: "web",
  connectTimeoutMs: 1,
};
const SNAPSHOT: Snapshot = {
  ...EMPTY_SNAPSHOT,
  clusters: { web: WEB },
  endpoints: { web: { endpoints: [ENDPOINT] } },
};

test("a plug-in that ticks before anything serves reaches the clusters that will be there", () => {
  const clusters = new PluginClusters(new SeededPrng(1));
  assert.equal(clusters.find("web"), null);
  clusters.prepares(SNAPSHOT);
  const cluster = clusters.find("web") ?? assert.fail();
  assert.deepEqual(clusters.pick(cluster), ENDPOINT);
  assert.equal(clusters.find("wob"), null);
});
