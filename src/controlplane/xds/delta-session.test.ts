import assert from "node:assert/strict";
import { test } from "node:test";
import { TYPE_URLS, byType } from "../../compile-envoy/envoy-config.ts";
import type { EnvoyResource, ResourceType } from "../../compile-envoy/envoy-config.ts";
import { AdsSession } from "./ads-session.ts";
import type { AdsResponse, Stage } from "./ads-session.ts";
import { PART_BYTES_MAX } from "./delta-state.ts";
import { versionOf } from "./type-channel.ts";
import type { AdsRequest } from "./type-channel.ts";

/** An Envoy that is told what to answer. */
class DeltaEnvoy {
  readonly inbox: AdsResponse[] = [];
  readonly session: AdsSession;

  constructor(sizeOf: (name: string) => number = () => 1) {
    const send = (response: AdsResponse): void => {
      this.inbox.push(response);
    };
    this.session = new AdsSession(send, "delta", (_type, { name }) => sizeOf(name));
  }

  ask(type: ResourceType, request: Partial<AdsRequest> = {}): void {
    this.session.onRequest({
      ...{ typeUrl: TYPE_URLS[type], subscribe: [], unsubscribe: [], initialVersions: new Map() },
      ...{ nonce: "", error: null },
      ...request,
    });
  }

  /** Takes the oldest message; returns what it was. */
  take(request: Partial<AdsRequest> = {}): string {
    const message = this.inbox.shift();
    assert.ok(message !== undefined, "nothing was sent");
    this.ask(message.type, { nonce: message.nonce, ...request });
    return summary(message);
  }
}

function summary({ type, resources, removed }: AdsResponse): string {
  const news = resources.map(({ name, json }) => `${name}@${JSON.stringify(json["revision"])}`);
  return [`${type}:`, ...news, ...removed.map((name) => `-${name}`)].join(" ");
}

type Revisions = Readonly<Record<string, number>>;
const made = new Map<string, EnvoyResource>();

/** Equal content is the same object, as the compiler has it. */
function resourceOf(type: ResourceType, name: string, revision: number): EnvoyResource {
  const key = `${type} ${name} ${revision}`;
  const json = { name, revision };
  const source = { kind: type, namespace: "default", name };
  const needs = type === "clusters" || type === "listeners" ? [name] : [];
  const resource = made.get(key) ?? { name, json, parts: [{ source, json }], needs };
  made.set(key, resource);
  return resource;
}

function stage(resources: Partial<Readonly<Record<ResourceType, Revisions>>>): Stage {
  const of = (type: ResourceType): Record<string, EnvoyResource> =>
    Object.fromEntries(
      Object.entries(resources[type] ?? {}).map(([name, revision]) => [
        name,
        resourceOf(type, name, revision),
      ]),
    );
  return { version: "v", resources: byType(of) };
}

const WORLD = {
  clusters: { a: 1, b: 1 },
  endpoints: { a: 1, b: 1 },
  listeners: { entry: 1 },
  routes: { entry: 1 },
};

const versionsOf = (type: ResourceType): Map<string, string> =>
  new Map(
    Object.entries(stage(WORLD).resources[type]).map(([name, one]) => [name, versionOf(one)]),
  );

async function synced(sizeOf?: (name: string) => number): Promise<DeltaEnvoy> {
  const envoy = new DeltaEnvoy(sizeOf);
  const settled = envoy.session.bring([stage(WORLD)]);
  envoy.ask("clusters");
  envoy.ask("endpoints", { subscribe: ["a", "b"] });
  assert.equal(envoy.take(), "clusters: a@1 b@1");
  assert.equal(envoy.take(), "endpoints: a@1 b@1");
  envoy.ask("listeners");
  assert.equal(envoy.take(), "listeners: entry@1");
  envoy.ask("routes", { subscribe: ["entry"] });
  assert.equal(envoy.take(), "routes: entry@1");
  await settled;
  return envoy;
}

function assertSynced({ session }: DeltaEnvoy): void {
  const { secrets, ...types } = session.status();
  assert.deepEqual(new Set(Object.values(types)), new Set(["SYNCED"]));
  assert.equal(secrets, "NOT SENT");
}

test("a change sends what has changed, and nothing that has not", async () => {
  const cases: readonly (readonly [change: object, sent: readonly string[]])[] = [
    [{ endpoints: { a: 2, b: 1 } }, ["endpoints: a@2"]],
    [{ routes: { entry: 2 } }, ["routes: entry@2"]],
    [{ clusters: { a: 1, b: 2 } }, ["clusters: b@2", "endpoints: b@1"]],
    [{ listeners: { entry: 2 } }, ["listeners: entry@2"]],
    [{}, []],
  ];
  for (const [change, sent] of cases) {
    const envoy = await synced();
    const settled = envoy.session.bring([stage({ ...WORLD, ...change })]);
    assert.deepEqual(envoy.inbox.map(summary), sent);
    while (envoy.inbox.length > 0) envoy.take();
    await settled;
    assertSynced(envoy);
  }
});

test("what is gone is removed by name, and only when the new routes are in", async () => {
  const envoy = await synced();
  const next = { ...WORLD, clusters: { b: 1 }, endpoints: { b: 1 }, routes: { entry: 2 } };
  const settled = envoy.session.bring([stage({ ...WORLD, routes: { entry: 2 } }), stage(next)]);
  assert.equal(envoy.take(), "routes: entry@2");
  assert.deepEqual(envoy.inbox.map(summary), ["clusters: -a"]);
  // Envoy asks for its endpoints no more before it says that the cluster has gone.
  envoy.ask("endpoints", { unsubscribe: ["a"] });
  envoy.take();
  await settled;
  assert.deepEqual(envoy.inbox, []);
});

test("after a new connection nothing is sent that the Envoy has", async () => {
  const envoy = new DeltaEnvoy();
  const settled = envoy.session.bring([stage({ ...WORLD, endpoints: { a: 1, b: 2 } })]);
  const initial = new Map([...versionsOf("clusters"), ["old", "1"]]);
  envoy.ask("clusters", { subscribe: ["*"], initialVersions: initial });
  assert.equal(envoy.take(), "clusters: -old");
  const names = { subscribe: ["a", "b"], initialVersions: versionsOf("endpoints") };
  envoy.ask("endpoints", names);
  assert.equal(envoy.take(), "endpoints: b@2");
  envoy.ask("listeners", { initialVersions: versionsOf("listeners") });
  envoy.ask("routes", { subscribe: ["entry"], initialVersions: versionsOf("routes") });
  assert.deepEqual(envoy.inbox.map(summary), []);
  await settled;
  assertSynced(envoy);
});

test("what is refused is named and not sent again; the others are", async () => {
  const envoy = await synced();
  const change = { clusters: { a: 2, b: 2 }, routes: { entry: 2 } };
  const settled = envoy.session.bring([stage({ ...WORLD, ...change })]);
  const error = "Error adding/updating cluster(s) a: bad";
  assert.equal(envoy.take({ error }), "clusters: a@2 b@2");
  assert.equal(envoy.take(), "endpoints: a@1 b@1");
  assert.equal(envoy.take(), "clusters: b@2");
  assert.equal(envoy.take(), "endpoints: b@1");
  assert.equal(envoy.take({ error: "no such thing" }), "routes: entry@2");
  await settled;
  const refused = envoy.session.refused().map(({ name, error: words }) => `${name}: ${words}`);
  assert.deepEqual(refused, [`a: ${error}`, "entry: no such thing"]);
  assert.equal(envoy.session.status().routes, "STALE");

  const same = envoy.session.bring([stage({ ...WORLD, ...change })]);
  await same;
  assert.deepEqual(envoy.inbox, []);

  const mended = envoy.session.bring([stage({ ...WORLD, ...change, clusters: { a: 3, b: 2 } })]);
  assert.equal(envoy.take(), "clusters: a@3");
  assert.equal(envoy.take(), "endpoints: a@1");
  await mended;
  assert.deepEqual(
    envoy.session.refused().map(({ name }) => name),
    ["entry"],
  );
});

test("a name that is asked for again is sent again, one that is not there is told so", async () => {
  const envoy = await synced();
  envoy.ask("endpoints", { unsubscribe: ["a"] });
  envoy.ask("endpoints", { subscribe: ["a", "nobody"] });
  assert.equal(envoy.take(), "endpoints: a@1 -nobody");
  assert.deepEqual(envoy.inbox, []);
});

test("an answer to an older message answers nothing, but what it asks for counts", async () => {
  const envoy = await synced();
  const settled = envoy.session.bring([stage({ ...WORLD, routes: { entry: 2 } })]);
  envoy.ask("routes", { nonce: "1", error: "late", unsubscribe: ["other"] });
  assert.equal(envoy.take(), "routes: entry@2");
  await settled;
  assert.deepEqual(envoy.session.refused(), []);
});

test("an Envoy is told when there is nothing, so that it starts", () => {
  const envoy = new DeltaEnvoy();
  void envoy.session.bring([stage({})]);
  envoy.ask("clusters");
  assert.equal(envoy.take(), "clusters:");
  envoy.ask("listeners");
  assert.equal(envoy.take(), "listeners:");
});

test("much goes in parts, each after the answer to the last, and routes after all", async () => {
  const sizes: Readonly<Record<string, number>> = { c: PART_BYTES_MAX * 2, e: PART_BYTES_MAX };
  const envoy = await synced((name) => sizes[name] ?? 1);
  const more = { a: 1, b: 1, c: 1, d: 1, e: 1 };
  const change = { clusters: more, endpoints: more, routes: { entry: 2 } };
  const settled = envoy.session.bring([stage({ ...WORLD, ...change })]);
  assert.deepEqual(envoy.inbox.map(summary), ["clusters: c@1"]);
  // Asked for before the clusters are warm, as Envoy does.
  envoy.ask("endpoints", { subscribe: ["c"] });
  assert.equal(envoy.inbox[1] && summary(envoy.inbox[1]), "endpoints: c@1");
  assert.equal(envoy.take(), "clusters: c@1");
  assert.equal(envoy.take(), "endpoints: c@1");
  // One byte too much for one part.
  assert.equal(envoy.take(), "clusters: d@1");
  assert.equal(envoy.take(), "clusters: e@1");
  envoy.ask("endpoints", { subscribe: ["d", "e"] });
  assert.equal(envoy.take(), "endpoints: d@1");
  assert.equal(envoy.take(), "endpoints: e@1");
  assert.equal(envoy.take(), "routes: entry@2");
  await settled;
  assertSynced(envoy);
});
