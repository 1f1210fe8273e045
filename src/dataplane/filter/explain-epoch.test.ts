//! Explain says under which salt a share was dealt, and in which epoch the lane travels on.

import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/clock.ts";
import { SeededPrng } from "../../base/prng.ts";
import type { KeyHashName } from "../../snapshot/cohort.ts";
import type { LaneGroup, LaneSignature } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import { preparer } from "../testing/harness.ts";
import { cluster, forwardRoute, gatewaySnapshot } from "../testing/snapshot-maker.ts";
import { explainQuestion } from "./explain-question.ts";

const B = cluster("b");
const GROUP = laneGroupOf({
  services: ["default/b"],
  context: { mode: "header", routeHeader: "x-tag" },
  lanes: [laneOf("gray")],
});
const SIGNATURE: LaneSignature = {
  keys: [{ id: "k1", signingSecret: Buffer.alloc(32, 1).toString("base64") }],
  epoch: 7,
  lifetimeMs: 60_000,
};

/** Everybody, or nobody, is in the lane's share. */
function withShare(hash: KeyHashName, salt: string, toPpm: number): Partial<LaneGroup> {
  const deal = { key: { kind: "header", name: "x-user" }, hash, salt, modulo: 100 } as const;
  const everybody = [{ fromPpm: 0, toPpm, lane: "gray" }];
  return { cohorts: { deal, tables: { "*": everybody }, routes: {} } };
}

async function detailOf(group: Partial<LaneGroup>): Promise<string> {
  const snapshot = gatewaySnapshot(80, [forwardRoute(B.name)], {
    clusters: { [B.name]: B },
    laneGroups: { [GROUP.name]: { ...GROUP, ...group } },
  });
  const runtime = await preparer().prepareGateway(snapshot, null);
  const headers = [["x-user", "ann"]] as const;
  const question = { method: "GET", authority: "a", target: "/", headers, port: 80 };
  const deps = { prng: new SeededPrng(1), clock: systemClock };
  return (await explainQuestion(runtime, question, deps))?.decision?.detail ?? "";
}

const ALL_PPM = 1_000_000;

test("the salt of a share is named, and so is that there is none", async () => {
  const salted = await detailOf(withShare("murmur3", "spring", ALL_PPM));
  assert.match(salted, /header x-user is "ann", murmur3 with the salt "spring" is \d+, bucket/);
  const plain = await detailOf(withShare("fnv1a", "", ALL_PPM));
  assert.match(plain, /fnv1a % 100 without a salt is \d+, bucket \d+ of 1000000/);
  assert.doesNotMatch(salted, /epoch/, "nothing is signed");
});

test("the lane of a group that signs is said to travel in the group's epoch", async () => {
  const detail = await detailOf({ ...withShare("murmur3", "s", ALL_PPM), signature: SIGNATURE });
  assert.match(detail, /of the lane gray; signed in the epoch 7$/);
});

test("what stays in the baseline is not signed, and no epoch is said", async () => {
  const detail = await detailOf({ ...withShare("murmur3", "s", 1), signature: SIGNATURE });
  assert.match(detail, /in no interval: the baseline$/);
});
