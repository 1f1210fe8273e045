//! What explain foretells is what happens: random requests are explained, then really sent.
//! GRAYLANE_EXPLAIN_REQUESTS says how many.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { ExplainResult } from "../../src/api/types.ts";
import { SeededPrng } from "../../src/base/prng.ts";
import type { Prng } from "../../src/base/prng.ts";
import { Graylane } from "../support/graylane.ts";
import type { Answer, Question } from "../support/graylane.ts";

const SEED = 20_261_121;
const REQUEST_COUNT = Number(process.env["GRAYLANE_EXPLAIN_REQUESTS"] ?? 1_000);
const AT_ONCE = 8;
/** In changed states of the same example. */
const FEW = 100;

type Headers = readonly (readonly [name: string, value: string])[];

/** Service (`default/mocka`) and pod address of each hop, as the body of the answer tells. */
type ReadChain = (body: string) => readonly (readonly [service: string, address: string])[];

function pick<T>(prng: Prng, values: readonly T[]): T {
  return values[prng.below(values.length)] as T;
}

const NAMED_USERS = ["jason", "bob", "stacy", "jessie", "vance", "jack"];
const WEIRD_VALUES = [
  "",
  "0",
  "JASON",
  "jason jason",
  "a b\tc",
  "jürgen",
  "李雷",
  "%6aason",
  "x".repeat(256),
  "x".repeat(257),
  "x".repeat(4_000),
  `"quoted", and; more=1`,
  "'; drop table users; --",
];
const PATHS = ["/other", "/?a=1", "//", "/%2F", "/index.html?x=/"];

function userValue(prng: Prng): string {
  switch (prng.below(4)) {
    case 0:
      return pick(prng, NAMED_USERS);
    case 1:
      return pick(prng, WEIRD_VALUES);
    default:
      return prng.below(0x1_0000_0000).toString(36);
  }
}

function hashTaggingQuestion(prng: Prng): Question {
  const headers: (readonly [string, string])[] = [];
  if (prng.below(5) > 0) headers.push(["x-user-id", userValue(prng)]);
  if (prng.below(3) === 0) {
    const value = pick(prng, ["s1", "s2", "s3", "S2", "", "v2"]);
    headers.push([pick(prng, ["x-asm-prefer-tag", "X-Asm-Prefer-Tag"]), value]);
  }
  const path = prng.below(8) === 0 ? pick(prng, PATHS) : "/";
  return { path, method: pick(prng, ["GET", "GET", "POST", "DELETE"]), headers };
}

function mseQuestion(prng: Prng): Question {
  const headers: (readonly [string, string])[] = [];
  if (prng.below(4) > 0) {
    headers.push(["canary", pick(prng, ["gray", "gray", "Gray", " gray ", "", "grey", "blue"])]);
  }
  if (prng.below(4) === 0) headers.push(["x-mse-tag", pick(prng, ["gray", "base", ""])]);
  const path = pick(prng, ["/a", "/a", "/a/1?x", "/", "/b", "/ab"]);
  return { path, method: pick(prng, ["GET", "POST"]), headers };
}

const readMock: ReadChain = (body) =>
  [...body.matchAll(/-> (\w+)\(version: \w+, ip: ([\d.]+)\)/g)].map(
    ([, app = "", ip = ""]) => [`default/${app}`, ip] as const,
  );

const readSpringCloud: ReadChain = (body) =>
  [...body.matchAll(/([ABC])(?:gray)?\[([\d.]+)\]/g)].map(
    ([, app = "", ip = ""]) => [`default/sc-${app.toLowerCase()}`, ip] as const,
  );

/** `node:http` writes a character as one byte: a text goes out in UTF-8 like this. */
function onTheWire(headers: Headers): Headers {
  return headers.map(([name, value]) => [name, Buffer.from(value).toString("latin1")] as const);
}

/** Everything in which the answer differs from what was foretold; empty when it does not. */
function differences(foretold: ExplainResult, answer: Answer, readChain: ReadChain): string[] {
  const { localReply } = foretold;
  const status = localReply?.status ?? 200;
  const found =
    answer.status === status ? [] : [`status: foretold ${status}, was ${answer.status}`];
  const lane = String(answer.headers["x-graylane-lane"]);
  const expectedLane = laneField(foretold);
  if (lane !== expectedLane) found.push(`lane: foretold ${expectedLane}, was ${lane}`);
  if (localReply !== null) {
    if (answer.body.trimEnd() !== localReply.body.trimEnd()) found.push(`body: ${answer.body}`);
    return found;
  }
  const chain = readChain(answer.body);
  if (chain.length !== 3) found.push(`no chain of three: ${answer.body}`);
  for (const [service, address] of chain) {
    const hop = foretold.hops.find((one) => one.service === service);
    const pods = hop?.pods.map((pod) => pod.address.replace(/:\d+$/, "")) ?? [];
    if (!pods.includes(address)) found.push(`${service}: foretold ${pods.join()}, was ${address}`);
  }
  return found;
}

/** What the gateway tells callers of this machine about the lane. */
function laneField({ decision, hops }: ExplainResult): string {
  if (decision === null) return "undefined";
  const first = hops[0];
  const served = first === undefined ? "" : (first.servedLane ?? "baseline");
  const fallback = first?.reason.startsWith("fallback") === true ? `; ${first.reason}` : "";
  return `${decision.lane ?? "baseline"}; reason=${decision.reason}; served=${served}${fallback}`;
}

/** Sends and explains `count` random requests; fails with the first few that differ. */
async function compare(
  graylane: Graylane,
  count: number,
  make: (prng: Prng) => Question,
  readChain: ReadChain,
): Promise<void> {
  const prng = new SeededPrng(SEED);
  const wrong: string[] = [];
  const statuses = new Map<number, number>();
  for (let done = 0; done < count; done += AT_ONCE) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - done) }, () => make(prng));
    await Promise.all(
      batch.map(async (question) => {
        const { method = "GET", path = "/", headers = [] } = question;
        const url = graylane.origin + path;
        const [foretold, answer] = await Promise.all([
          graylane.client.explain({ method, url, headers }),
          graylane.ask({ ...question, headers: onTheWire(headers) }),
        ]);
        statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        const text = differences(foretold, answer, readChain).join("\n    ");
        if (text !== "") wrong.push(`${JSON.stringify(question).slice(0, 300)}\n    ${text}`);
      }),
    );
  }
  const shown = wrong.slice(0, 10).join("\n  ");
  assert.equal(wrong.length, 0, `${wrong.length} of ${count} differ (seed ${SEED}):\n  ${shown}`);
  // Else the requests were not random enough to show anything.
  const [okCount = 0, refusedCount = 0] = [statuses.get(200), statuses.get(404)];
  assert.ok(okCount > count / 20 && refusedCount > 0, `${okCount} of ${count} had an answer`);
}

suite("explain agrees with what happens to asm-hash-tagging", () => {
  let graylane: Graylane;
  before(async () => {
    graylane = await Graylane.start({ files: ["examples/asm-hash-tagging"] });
  });
  after(async () => {
    await graylane.stop();
  });

  test(`in ${REQUEST_COUNT} random requests`, async () => {
    await compare(graylane, REQUEST_COUNT, hashTaggingQuestion, readMock);
  });

  test("when half of the users are in the canary", async () => {
    await graylane.applyFiles("examples/asm-hash-tagging/steps/range-50.yaml");
    await graylane.published();
    await compare(graylane, FEW, hashTaggingQuestion, readMock);
  });

  test("when the plug-in is gone", async () => {
    const plugin = ["wasmplugin", "hash-tagging", "-n", "istio-system"];
    assert.equal((await graylane.cli("delete", ...plugin)).exitCode, 0);
    await graylane.published();
    await compare(graylane, FEW, hashTaggingQuestion, readMock);
  });
});

suite("explain agrees with what happens to mse-order", () => {
  let graylane: Graylane;
  before(async () => {
    graylane = await Graylane.start({ files: ["examples/mse-order"] });
  });
  after(async () => {
    await graylane.stop();
  });

  test(`in ${REQUEST_COUNT} random requests`, async () => {
    await compare(graylane, REQUEST_COUNT, mseQuestion, readSpringCloud);
  });

  test("when the gray version of A is stopped", async () => {
    await graylane.applyFiles("examples/mse-order/steps/stop-gray-a.yaml");
    await graylane.settle();
    await compare(graylane, FEW, mseQuestion, readSpringCloud);
  });

  test("when the lane is closed", async () => {
    await graylane.applyFiles("examples/mse-order/steps/close-lane.yaml");
    await graylane.published();
    await compare(graylane, FEW, mseQuestion, readSpringCloud);
  });
});
