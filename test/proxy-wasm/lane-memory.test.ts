//! The plug-in lane-memory does in a sidecar Envoy what `src/lane/context.ts` does in ours.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fnv1a32 } from "../../src/base/fnv1a.ts";
import { SeededPrng } from "../../src/base/prng.ts";
import { TraceTable, traceKeyOf } from "../../src/lane/context.ts";
import { indexGroup } from "../../src/lane/group.ts";
import type { IndexedGroup } from "../../src/lane/group.ts";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import type { HeaderPair } from "../../src/wasm/header-pairs.ts";
import { MetricType } from "../../src/wasm/enums.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import type { StreamContext } from "../../src/wasm/stream-context.ts";
import { startPlugin, testServices } from "../support/plugin.ts";
import type { TestServices } from "../support/plugin.ts";
import { laneGroupOf } from "../../src/snapshot/testing/lane-maker.ts";

const LANE = "x-lane";
const STEPS = 3_000;
/** Of `plugins/lane-memory/assembly/table.ts`. */
const SLOTS = 16_384;
const CONFLICTS = "graylane_lane_memory_conflicts";
const OVERFLOWS = "graylane_lane_memory_overflows";

/** A sidecar: what comes in is remembered in `inbound`, what goes out is marked by `outbound`. */
async function sidecar(
  traceHeader: string,
): Promise<{ services: TestServices; inbound: Plugin; outbound: Plugin }> {
  const services = testServices();
  const start = async (side: string): Promise<Plugin> => {
    const groups = [{ name: "default/g", routeHeader: LANE, traceHeader }];
    const plugin = await startPlugin("lane-memory", JSON.stringify({ side, groups }), services);
    assert.ok(plugin instanceof Plugin, services.lines.join("\n"));
    return plugin;
  };
  return { services, inbound: await start("inbound"), outbound: await start("outbound") };
}

function run(plugin: Plugin, headers: readonly HeaderPair[]): [StreamContext, FakeStreamHost] {
  const host = new FakeStreamHost([[":path", "/"], ...headers]);
  const stream = plugin.createStream(host);
  assert.ok(stream !== null);
  assert.equal(stream.onRequestHeaders(true), 0);
  return [stream, host];
}

function laneOf(plugin: Plugin, headers: readonly HeaderPair[]): string | undefined {
  const [stream, host] = run(plugin, headers);
  stream.finish();
  return host.request.get(LANE);
}

function counted({ metrics }: TestServices, name: string): number {
  return metrics.define(MetricType.counter, name)?.value ?? 0;
}

function groupWith(traceHeader: string): IndexedGroup {
  const group = laneGroupOf({
    name: "default/g",
    gateways: [],
    baseline: { kind: "untagged", labelKeys: [] },
    context: { mode: "traceId", routeHeader: LANE, traceHeader },
  });
  return indexGroup(group, []);
}

test("random requests are remembered as by the embedded sidecar", async () => {
  const { services, inbound, outbound } = await sidecar("x-user");
  const prng = new SeededPrng(7);
  const table = new TraceTable();
  const open: { readonly stream: StreamContext; readonly id: string }[] = [];
  let foundCount = 0;
  for (let step = 0; step < STEPS; step++) {
    const id = `user-${prng.below(6)}`;
    const nowMs = services.clock.nowMs();
    const choice = prng.below(8);
    if (choice < 3) {
      const tag = [null, "gray", "blue"][prng.below(3)] ?? null;
      const lane: HeaderPair[] = tag === null ? [] : [[LANE, tag]];
      const [stream] = run(inbound, [["x-user", id], ...lane]);
      assert.ok(table.begin(id, tag, nowMs));
      open.push({ stream, id });
    } else if (choice < 6) {
      const [ended] = open.splice(prng.below(Math.max(1, open.length)), 1);
      ended?.stream.finish();
      if (ended !== undefined) table.end(ended.id, nowMs);
    } else {
      services.clock.advance(prng.below(35_000));
    }
    const want = table.lookup(id, services.clock.nowMs()) ?? undefined;
    assert.equal(laneOf(outbound, [["x-user", id]]), want, `step ${step}`);
    if (want !== undefined) foundCount++;
  }
  assert.ok(foundCount > STEPS / 10, `${foundCount} calls were in a lane`);
  assert.ok(table.conflicts > 0);
  assert.equal(counted(services, CONFLICTS), table.conflicts);
});

test("the lane that the app itself has written counts", async () => {
  const { inbound, outbound } = await sidecar("x-user");
  run(inbound, [
    ["x-user", "u"],
    [LANE, "gray"],
  ]);
  const written: HeaderPair[] = [
    ["x-user", "u"],
    [LANE, "blue"],
  ];
  assert.equal(laneOf(outbound, written), "blue");
  assert.equal(laneOf(outbound, [["x-user", "u"]]), "gray");
});

test("of nine ids in flight that share eight slots the last is not remembered", async () => {
  const { services, inbound, outbound } = await sidecar("x-user");
  const shared = (id: string): boolean => fnv1a32(Buffer.from(id)) % SLOTS === 5;
  const ids: string[] = [];
  for (let number = 0; ids.length < 10; number++) {
    if (shared(`user-${number}`)) ids.push(`user-${number}`);
  }
  const [first = "", ...others] = ids;
  const last = others.pop() ?? "";
  const enter = (id: string): StreamContext =>
    run(inbound, [
      ["x-user", id],
      [LANE, "gray"],
    ])[0];
  const stream = enter(first);
  for (const id of others) enter(id);
  const isKnown = (id: string): boolean => laneOf(outbound, [["x-user", id]]) === "gray";
  assert.deepEqual([first, ...others].map(isKnown), [...Array<boolean>(8).fill(true), false]);
  assert.equal(counted(services, OVERFLOWS), 1);
  // One that has ended gives way.
  stream.finish();
  enter(last);
  assert.deepEqual([first, last].map(isKnown), [false, true]);
  assert.equal(counted(services, OVERFLOWS), 1);
});

const ID = "4bf92f3577b34da6a3ce929d0e0e4736";
const VALUES: Readonly<Record<string, readonly string[]>> = {
  traceparent: [`00-${ID}-00f067aa0ba902b7-01`, `00-${ID}`, `00-${ID.toUpperCase()}-a-01`, "00--"],
  b3: [`${ID}-1`, "0123456789abcdef-1-1", "0123-1", `${ID}0-1`, "0", `${ID.toUpperCase()}-1`],
  "uber-trace-id": [`${ID}:1:0:1`, `${ID}%3A1%3A0%3A1`, ":1", "xyz:1", "ab%3Acd:1", ID],
  sw8: ["1-dHJhY2U=-c2Vn-3", "1--c2Vn", "x-a-b", "1-a", "9-a-", "-"],
  "x-user": ["jack", "a,b", "a , b", ",b", " ", "x".repeat(256), "x".repeat(257)],
};

for (const [header, values] of Object.entries(VALUES)) {
  test(`the id is taken from ${header} as by the embedded sidecar`, async () => {
    const { inbound, outbound } = await sidecar(header);
    for (const value of values) {
      const key = traceKeyOf(groupWith(header), (name) => (name === header ? value : undefined));
      const [stream] = run(inbound, [
        [header, value],
        [LANE, "gray"],
      ]);
      const want = key === undefined ? undefined : "gray";
      assert.equal(laneOf(outbound, [[header, value]]), want, value);
      stream.finish();
    }
  });
}

test("a configuration that is not one is refused, and says why", async () => {
  const cases = [
    ["[", /the configuration is not JSON/],
    ['{"groups": []}', /side must be inbound or outbound/],
    ['{"side": "inbound"}', /groups must be a list of at most 1000/],
    ['{"side": "inbound", "groups": [{}]}', /traceHeader must be a text/],
  ] as const;
  for (const [text, words] of cases) {
    const services = testServices();
    const plugin = await startPlugin("lane-memory", text, services);
    assert.ok(!(plugin instanceof Plugin));
    assert.match(services.lines.join("\n"), words);
  }
});
