//! Forged lane headers, from clients and between services, of a group that signs its context and of
//! one that does not; and a VirtualService that matches on the header, in both.

import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { TagSigner } from "../../src/lane/signed-tag.ts";
import type { Resource } from "../../src/resources/object.ts";
import type { LaneSignature } from "../../src/snapshot/snapshot.ts";
import { ask, Graylane, KINDS } from "../support/graylane.ts";

const HOUR_MS = 3_600_000;
const KEY = "0123456789abcdef0123456789abcdef";
const OTHER_KEY = "fedcba9876543210fedcba9876543210";

const PLAIN = "{mode: header, routeHeader: x-mse-tag}";
const signedBy = (epoch: number): string =>
  `{mode: header, routeHeader: x-mse-tag, signed: {secretName: keys, epoch: ${epoch}}}`;

const group = (context: string): string => `
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: {name: mse-order, namespace: default}
spec:
  entry: {gateways: [{name: ingressgateway, namespace: istio-system}]}
  services: [{name: sc-a}, {name: sc-b}, {name: sc-c}]
  baseline: {}
  fallback: permissive
  context: ${context}
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: {name: gray, namespace: default}
spec:
  group: mse-order
  selector: {matchLabels: {alicloud.service.tag: gray}}
  rule: {header: canary, operator: "==", value: gray}
`;
const secret = (key: string): string => `
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: default}
stringData: {"2026-11": "${key}"}
`;
/** Who has the header is led into the lane by the route itself, when it matches on it. */
const virtualService = (isMatching: boolean): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: order, namespace: default}
spec:
  gateways: [istio-system/ingressgateway]
  hosts: ['*']
  http:
${isMatching ? MATCHING_ROUTE : ""}
  - {route: [{destination: {host: sc-a}}]}
`;
const MATCHING_ROUTE = `
  - match: [{headers: {x-mse-tag: {exact: gray}}}]
    route: [{destination: {host: sc-a, subset: gray}}]
`;

function signed(changes: Partial<LaneSignature> = {}, ageMs = 0, key = KEY): string {
  const keys = [{ id: "2026-11", signingSecret: Buffer.from(key).toString("base64") }];
  const signature = { keys, epoch: 1, lifetimeMs: 300_000, ...changes };
  const signer = new TagSigner("default/mse-order", signature);
  return signer.sign("gray", systemClock.nowMs() - ageMs) ?? "";
}

const NOT_BELIEVED = {
  "a plain tag": () => "gray",
  "a tag of a guessed key": () => signed({}, 0, OTHER_KEY),
  "a tag that was kept for an hour": () => signed({}, HOUR_MS),
  "a tag of another epoch": () => signed({ epoch: 0 }),
};

suite("lane headers that nobody should believe", () => {
  let graylane: Graylane;
  let podOfA = "";
  before(async () => {
    graylane = await Graylane.start({ files: ["examples/mse-order"] });
    const pods = (await graylane.client.list(KINDS.Pod)).items;
    const base = pods.find(({ metadata: { labels = {} } }) => isBaseOfA(labels));
    podOfA = `http://${(base as Resource & { status: { podIP: string } }).status.podIP}:20001`;
  });
  after(async () => {
    await graylane.stop();
  });

  const use = async (context: string, isMatching = false): Promise<void> => {
    await graylane.apply([secret(KEY), group(context), virtualService(isMatching)].join("---"));
    await graylane.published();
  };
  const grayIn = (body: string): string =>
    [...body.matchAll(/([ABC])gray/g)].map(([, app = ""]) => app).join("");
  /** The services that answered in gray: of a client's request, and of one inside to A. */
  const fromOutside = async (...headers: (readonly [string, string])[]): Promise<string> => {
    const answer = await graylane.ask({ path: "/a", headers });
    assert.equal(answer.status, 200, answer.body);
    return grayIn(answer.body);
  };
  const fromInside = async (tag: string): Promise<string> => {
    const answer = await ask(podOfA, { path: "/a", headers: [["x-mse-tag", tag]] });
    assert.equal(answer.status, 200, answer.body);
    return grayIn(answer.body);
  };

  test("plain: a client's header enters no lane, and inside it is believed", async () => {
    await use(PLAIN);
    assert.equal(await fromOutside(["canary", "gray"]), "AC");
    assert.equal(await fromOutside(["x-mse-tag", "gray"]), "");
    assert.equal(await fromInside("gray"), "C");
  });

  test("plain: a VirtualService that matches on the header takes a client's", async () => {
    await use(PLAIN, true);
    assert.equal(await fromOutside(["x-mse-tag", "gray"]), "AC");
    assert.equal(await fromOutside(["canary", "gray"]), "AC");
    assert.equal(await fromOutside(["x-mse-tag", "blue"]), "");
  });

  test("signed: the lane travels through all hops, and a stripped client has no say", async () => {
    await use(signedBy(1));
    assert.equal(await fromOutside(["canary", "gray"]), "AC");
    assert.equal(await fromOutside(["x-mse-tag", signed()]), "");
    assert.equal(await fromInside(signed()), "C");
  });

  test("signed: a VirtualService matches on what is believed", async () => {
    await use(signedBy(1), true);
    assert.equal(await fromOutside(["canary", "gray"]), "AC");
    assert.equal(await fromOutside(["x-mse-tag", signed()]), "AC");
  });

  for (const [name, make] of Object.entries(NOT_BELIEVED)) {
    test(`signed: ${name} enters no lane, from outside or between hops`, async () => {
      await use(signedBy(1), true);
      assert.equal(await fromOutside(["x-mse-tag", make()]), "");
      assert.equal(await fromInside(make()), "");
    });
  }

  test("signed: when the epoch is raised, what was signed before is worth nothing", async () => {
    const old = signed();
    await use(signedBy(2), true);
    assert.equal(await fromOutside(["canary", "gray"]), "AC");
    assert.equal(await fromOutside(["x-mse-tag", old]), "");
    assert.equal(await fromInside(old), "");
  });

  test("signed: with a short key every lane is closed, and the group says why", async () => {
    await graylane.apply(secret("short"));
    await graylane.published();
    assert.equal(await fromOutside(["canary", "gray"]), "");
    const { stdout } = await graylane.cli("describe", "lanegroup", "mse-order");
    assert.match(stdout, /GL0350[^]*Secret keys has no key of 32 bytes/);
    assert.doesNotMatch(stdout, /short\b/);
    await graylane.apply(secret(KEY));
    await graylane.published();
    assert.equal(await fromOutside(["canary", "gray"]), "AC");
  });
});

function isBaseOfA(labels: Readonly<Record<string, string>>): boolean {
  return labels["app"] === "spring-cloud-a" && labels["release"] === "base";
}
