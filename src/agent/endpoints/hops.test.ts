import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { TagSigner } from "../../lane/signed-tag.ts";
import type { LaneGroup } from "../../snapshot/snapshot.ts";
import { listOf } from "../testing/chain.ts";
import { Hops } from "./hops.ts";

const PORTS = { 8000: 1, 8443: 2, 8001: 3, 8444: 4, 9000: 5 };
const PODS = ["a-base", "a-gray", "b-base", "b-gray"].map((name) => ({ name, ports: PORTS }));
const ISOLATED: Partial<LaneGroup> = { isolated: true };
const KEY = Buffer.from("0123456789abcdef0123456789abcdef").toString("base64");
const SIGNATURE = { keys: [{ id: "k", signingSecret: KEY }], epoch: 1, lifetimeMs: 60_000 };
const SIGNED: Partial<LaneGroup> = { signature: SIGNATURE };
const BAGGAGE: Partial<LaneGroup> = {
  context: {
    ...{ mode: "baggage", routeHeader: "x-lane", baggageKey: "lane" },
    stripFromClients: true,
  },
};

function hopsOf(changes: Partial<LaneGroup>, pod = "a-base"): Hops {
  const hops = new Hops({ namespace: "default", pod });
  hops.take(listOf(PODS, changes));
  return hops;
}

const cases: readonly {
  readonly name: string;
  readonly changes: Partial<LaneGroup>;
  readonly caller?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly to: readonly string[];
  readonly context: Readonly<Record<string, string | null>>;
}[] = [
  {
    name: "a tag that the call carries is the lane, and is there already",
    ...{ changes: {}, headers: { "x-lane": "gray" }, to: ["default/b-gray"], context: {} },
  },
  {
    name: "no tag is the baseline, and nothing is written",
    ...{ changes: {}, headers: {}, to: ["default/b-base"], context: {} },
  },
  {
    name: "a member of the baggage is written into the route header, too",
    changes: BAGGAGE,
    headers: { baggage: "user=1,lane=gray" },
    ...{ to: ["default/b-gray"], context: { "x-lane": "gray" } },
  },
  {
    name: "a route header is written into the baggage, before the members of others",
    changes: BAGGAGE,
    headers: { baggage: "user=1", "x-lane": "gray" },
    ...{ to: ["default/b-gray"], context: { baggage: "lane=gray,user=1" } },
  },
  {
    name: "a pod of no lane calls the baseline of an isolated group, and takes the tag away",
    changes: { ...ISOLATED, ...BAGGAGE },
    headers: { "x-lane": "gray", baggage: "lane=gray,user=1" },
    ...{ to: ["default/b-base"], context: { "x-lane": null, baggage: "user=1" } },
  },
  {
    name: "a pod of a lane calls its lane in an isolated group, and writes its tag",
    ...{ changes: ISOLATED, caller: "a-gray", headers: {} },
    ...{ to: ["default/b-gray"], context: { "x-lane": "gray" } },
  },
  {
    name: "a tag that is not signed is taken away in a group that signs",
    ...{ changes: SIGNED, headers: { "x-lane": "gray" } },
    ...{ to: ["default/b-base"], context: { "x-lane": null } },
  },
  {
    name: "a service that is no member of the group gets the context, and its whole service",
    ...{ changes: { services: ["default/a"] }, headers: { "x-lane": "gray" } },
    ...{ to: ["default/b-base", "default/b-gray"], context: {} },
  },
];

for (const { name, changes, caller, headers, to, context } of cases) {
  test(name, () => {
    const hop = hopsOf(changes, caller).route("b:8000", (header) => headers[header]);
    assert.deepEqual(hop?.endpoints.map(({ pod }) => pod).sort(), to);
    assert.deepEqual(Object.fromEntries(hop.context), context);
  });
}

test("a pod of a lane signs its tag in an isolated group that signs", () => {
  const hops = hopsOf({ ...ISOLATED, ...SIGNED }, "a-gray");
  const text = hops.route("b:8000", () => undefined)?.context.get("x-lane") ?? "";
  const signer = new TagSigner("default/chain", SIGNATURE);
  assert.deepEqual(signer.check(text, systemClock.nowMs()), { tag: "gray" });
});

test("a list without keys believes no signed tag", () => {
  const text = new TagSigner("default/chain", SIGNATURE).sign("gray", systemClock.nowMs()) ?? "";
  const hops = hopsOf({ signature: { ...SIGNATURE, keys: [] } });
  const hop = hops.route("b:8000", (name) => (name === "x-lane" ? text : undefined));
  assert.deepEqual(
    hop?.endpoints.map(({ pod }) => pod),
    ["default/b-base"],
  );
});

test("a pod that is in the list no more keeps its labels", () => {
  const hops = hopsOf(ISOLATED, "a-gray");
  const others = PODS.filter(({ name }) => name !== "a-gray");
  hops.take(listOf(others, ISOLATED));
  const hop = hops.route("b:8000", () => undefined);
  assert.deepEqual(
    hop?.endpoints.map(({ pod }) => pod),
    ["default/b-gray"],
  );
});

test("a Service has all names of Kubernetes, and others are not known", () => {
  const hops = hopsOf({});
  for (const name of ["b", "B", "b.default", "b.default.svc", "b.default.svc.cluster.local."]) {
    assert.ok(hops.knows(`${name}:8000`), name);
  }
  for (const name of ["b:80", "b.other:8000", "example.com:8000", "c:8000"]) {
    assert.ok(!hops.knows(name), name);
  }
});

test("requests need the headers of every context mode noted", () => {
  assert.deepEqual(hopsOf({}).names(), ["x-lane"]);
  assert.deepEqual(hopsOf(BAGGAGE).names(), ["x-lane", "baggage"]);
});
