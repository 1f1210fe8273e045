import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import type { Resource } from "../../resources/object.ts";
import type { Ask, ClusterAnswer } from "./cluster-client.ts";
import { clusterStatusWriter } from "./cluster-status.ts";

const METADATA = { name: "gray", namespace: "shop", resourceVersion: "7", uid: "u" };

function lane(status?: object): Resource {
  const own = { apiVersion: "graylane.io/v1alpha1", kind: "Lane", metadata: METADATA };
  return status === undefined ? own : { ...own, status };
}

function verdict(status: string, reason: string, message = ""): { readonly conditions: object[] } {
  return { conditions: [{ type: "Accepted", status, reason, message }] };
}

interface Asked {
  readonly result: boolean | string;
  readonly asks: readonly Ask[];
}

async function write(
  resource: Resource,
  status: { readonly conditions: object[] },
  { code = 200, leads = true } = {},
): Promise<Asked> {
  const asks: Ask[] = [];
  const client = {
    ask: (ask: Ask): Promise<ClusterAnswer> => {
      asks.push(ask);
      return Promise.resolve({ status: code, body: { message: "no" } });
    },
  };
  const writer = clusterStatusWriter(client, new FakeClock(), () => leads);
  const result = await writer({ resource, status }).catch(
    (error: unknown) => (error as Error).message,
  );
  return { result, asks };
}

test("the status alone is written, and only while the object is as it was read", async () => {
  const status = verdict("True", "Accepted");
  const { result, asks } = await write(lane(), status);
  assert.equal(result, true);
  assert.deepEqual(asks, [
    {
      method: "PATCH",
      path: "/apis/graylane.io/v1alpha1/namespaces/shop/lanes/gray/status",
      body: [
        { op: "replace", path: "/metadata/resourceVersion", value: "7" },
        { op: "add", path: "/status", value: status },
      ],
    },
  ]);
});

const OUTCOMES = [
  ["an object that has changed causes another pass", 409, false],
  ["an object that is gone is left", 404, false],
  ["any other refusal is told", 403, "403: no"],
] as const;

for (const [what, code, wanted] of OUTCOMES) {
  test(what, async () => {
    const { result } = await write(lane(), verdict("True", "Accepted"), { code });
    assert.equal(result, wanted);
  });
}

test("who does not lead, and of what every cluster has, writes nothing", async () => {
  const pod: Resource = { apiVersion: "v1", kind: "Pod", metadata: METADATA };
  const status = verdict("False", "Invalid", "GL0112: no");
  for (const given of [await write(lane(), status, { leads: false }), await write(pod, status)]) {
    assert.deepEqual(given, { result: true, asks: [] });
  }
});

const BAD = verdict("False", "Invalid", "GL0112: spec.rule is wrong");
const EVENTS = [
  ["a first good verdict is no Event", undefined, verdict("True", "Accepted"), null],
  ["a first bad one is a warning", undefined, BAD, "Warning Invalid GL0112: spec.rule is wrong"],
  ["the same verdict again is no Event", BAD, BAD, null],
  [
    "a mended object is told",
    BAD,
    verdict("True", "Accepted"),
    "Normal Accepted nothing is wrong any more",
  ],
] as const;

for (const [what, before, now, wanted] of EVENTS) {
  test(what, async () => {
    const { asks } = await write(lane(before), now);
    const told = asks.find(({ path }) => path === "/api/v1/namespaces/shop/events");
    const event = told?.body as Readonly<Record<string, string>> | undefined;
    const text = event && `${event["type"]} ${event["reason"]} ${event["message"]}`;
    assert.equal(text ?? null, wanted);
  });
}
