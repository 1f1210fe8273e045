//! Deployments rolled, scaled and deleted under load: no request fails, and each is answered by a
//! pod that it may be answered by.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import type { OpenLoopResult } from "../../bench/support/open-loop.ts";
import {
  deployment,
  GATEWAY,
  lane,
  laneGroup,
  service,
  virtualService,
} from "../support/load-manifests.ts";
import { figuresOf, startWith } from "../support/load-setup.ts";
import type { Running } from "../support/load-setup.ts";
import { put, remove } from "../support/put.ts";

const ROLLS = Number(process.env["GRAYLANE_ROLLS"] ?? 3);
const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 50);
const CONNECTIONS_MAX = 2_000;
const FRESH_CONNECTION_EVERY = 4;
const PAUSE_MS = 300;
const UPSTREAM = "http://back:8000/";

let running: Running;

before(async () => {
  running = await startWith([
    GATEWAY,
    service("front"),
    service("back"),
    deployment({ app: "front", version: "r0", upstreamUrl: UPSTREAM }),
    deployment({ app: "front", version: "gray", lane: "gray", upstreamUrl: UPSTREAM }),
    deployment({ app: "back", version: "r0" }),
    deployment({ app: "back", version: "gray", lane: "gray" }),
    laneGroup(["front", "back"]),
    lane("gray"),
    virtualService("front", 0),
  ]);
});

after(async () => {
  await running.stop();
});

/** Which versions may answer a canary request and a plain one, now. */
interface Allowed {
  canary: RegExp;
  plain: RegExp;
}

async function underLoad(allowed: Allowed, work: () => Promise<void>): Promise<OpenLoopResult> {
  const client = new OpenLoopClient({
    host: "127.0.0.1",
    port: running.graylane.port,
    ratePerSecond: RATE_PER_SECOND,
    connectionsMax: CONNECTIONS_MAX,
    timeoutMs: 60_000,
    request(index) {
      const isCanary = index % 2 === 1;
      const { canary, plain } = allowed;
      return {
        bytes:
          `GET / HTTP/1.1\r\nhost: front\r\nx-user-id: u${index}\r\n` +
          (isCanary ? "canary: gray\r\n" : "") +
          (index % FRESH_CONNECTION_EVERY === 0 ? "connection: close\r\n" : "") +
          "\r\n",
        check({ status, body }) {
          const text = body.toString();
          if (status !== 200) return `status ${status}: ${text.slice(0, 300)}`;
          const versions = [...text.matchAll(/\(version: (\w+),/g)].map((match) => match[1]).join();
          return (isCanary ? canary : plain).test(versions) ? null : `wrong pods: ${text}`;
        },
      };
    },
  });
  client.start();
  await sleep(PAUSE_MS);
  await work();
  await sleep(PAUSE_MS);
  return client.stop();
}

function assertAllRight(result: OpenLoopResult): void {
  assert.deepEqual(result.failures, []);
  assert.equal(result.right, result.sent);
}

test(`a chain of two Deployments rolled ${ROLLS} times loses no request`, async (t) => {
  const { client: api } = running.graylane;
  const allowed = { canary: /^gray,gray$/, plain: /^r\d+,r\d+$/ };
  const result = await underLoad(allowed, async () => {
    for (let roll = 1; roll <= ROLLS; roll++) {
      const version = `r${roll}`;
      await put(api, deployment({ app: "front", version, upstreamUrl: UPSTREAM }));
      await put(api, deployment({ app: "back", version }));
      await running.graylane.settle();
    }
  });
  t.diagnostic(figuresOf(result));
  assertAllRight(result);
  const newest = { canary: allowed.canary, plain: new RegExp(`^r${ROLLS},r${ROLLS}$`) };
  assertAllRight(await underLoad(newest, () => Promise.resolve()));
});

test("scaling up and down loses no request", async (t) => {
  const { client: api } = running.graylane;
  const version = `r${ROLLS}`;
  const allowed = { canary: /^gray,gray$/, plain: new RegExp(`^${version},${version}$`) };
  const result = await underLoad(allowed, async () => {
    for (const replicas of [3, 1, 2, 1]) {
      await put(api, deployment({ app: "back", version, replicas }));
      await running.graylane.settle();
    }
  });
  t.diagnostic(figuresOf(result));
  assertAllRight(result);
});

test("deleting a lane's Deployments sends its users to the baseline and loses none", async (t) => {
  const { client: api } = running.graylane;
  const version = `r${ROLLS}`;
  const either = `(gray|${version})`;
  const allowed = {
    canary: new RegExp(`^${either},${either}$`),
    plain: new RegExp(`^${version},${version}$`),
  };
  const gray = [
    deployment({ app: "back", version: "gray", lane: "gray" }),
    deployment({ app: "front", version: "gray", lane: "gray", upstreamUrl: UPSTREAM }),
  ];
  const result = await underLoad(allowed, async () => {
    for (const one of gray) {
      await remove(api, one);
      await running.graylane.settle();
    }
    allowed.canary = allowed.plain;
    await sleep(PAUSE_MS);
    allowed.canary = new RegExp(`^${either},${either}$`);
    for (const one of gray) {
      await put(api, one);
      await running.graylane.settle();
    }
    allowed.canary = /^gray,gray$/;
  });
  t.diagnostic(figuresOf(result));
  assertAllRight(result);
});
