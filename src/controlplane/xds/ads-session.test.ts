import assert from "node:assert/strict";
import { test } from "node:test";
import { TYPE_URLS, byType } from "../../compile-envoy/envoy-config.ts";
import type { EnvoyResource, ResourceType } from "../../compile-envoy/envoy-config.ts";
import { AdsSession } from "./ads-session.ts";
import type { AdsResponse, Stage } from "./ads-session.ts";

/** An Envoy that is told what to answer, and keeps what it was sent. */
class FakeEnvoy {
  readonly inbox: AdsResponse[] = [];
  readonly session: AdsSession = new AdsSession((response) => {
    this.inbox.push(response);
  });
  readonly names: Record<ResourceType, readonly string[]> = byType(() => []);

  ask(type: ResourceType, names: readonly string[] = [], nonce = "", error: string | null = null) {
    this.names[type] = names;
    this.session.onRequest({
      ...{
        typeUrl: TYPE_URLS[type],
        subscribe: names,
        unsubscribe: [],
        initialVersions: new Map(),
      },
      ...{ nonce, error },
    });
  }

  /** Takes the oldest message; returns what it was. */
  take(error: string | null = null): string {
    const message = this.inbox.shift();
    assert.ok(message !== undefined, "nothing was sent");
    this.ask(message.type, this.names[message.type], message.nonce, error);
    return summary(message);
  }
}

function summary({ type, resources }: AdsResponse): string {
  const texts = resources.map(({ name, json }) => `${name}@${JSON.stringify(json["revision"])}`);
  return `${type}: ${texts.join(" ")}`;
}

type Revisions = Readonly<Record<string, number>>;

function stage(resources: Partial<Readonly<Record<ResourceType, Revisions>>>): Stage {
  const of = (type: ResourceType): Record<string, EnvoyResource> =>
    Object.fromEntries(
      Object.entries(resources[type] ?? {}).map(([name, revision]) => {
        const source = { kind: type, namespace: "default", name };
        const json = { name, revision };
        const needs = type === "clusters" || type === "listeners" ? [name] : [];
        return [name, { name, json, parts: [{ source, json }], needs }];
      }),
    );
  return { version: "v", resources: byType(of) };
}

/** Two clusters, one listener with its routes. */
const both = (revisions: { cluster?: number; route?: number } = {}): Stage =>
  stage({
    clusters: { a: revisions.cluster ?? 1, b: 1 },
    endpoints: { a: 1, b: 1 },
    listeners: { entry: 1 },
    routes: { entry: revisions.route ?? 1 },
  });

async function synced(): Promise<FakeEnvoy> {
  const envoy = new FakeEnvoy();
  const settled = envoy.session.bring([both()]);
  envoy.ask("clusters");
  envoy.take();
  envoy.ask("endpoints", ["a", "b"]);
  envoy.take();
  envoy.ask("listeners");
  envoy.take();
  envoy.ask("routes", ["entry"]);
  envoy.take();
  await settled;
  return envoy;
}

test("clusters and endpoints go before listeners and routes", async () => {
  const envoy = new FakeEnvoy();
  const settled = envoy.session.bring([both()]);
  envoy.ask("listeners");
  assert.deepEqual(envoy.inbox, []);
  envoy.ask("clusters");
  assert.equal(envoy.inbox.length, 1);
  envoy.ask("endpoints", ["a", "b"]);
  // Envoy says that it has the clusters when they are warm, for which it needs the endpoints.
  assert.deepEqual(envoy.inbox.map(summary), ["clusters: a@1 b@1", "endpoints: a@1 b@1"]);
  envoy.take();
  assert.equal(envoy.inbox.length, 1);
  envoy.take();
  assert.deepEqual(envoy.inbox.map(summary), ["listeners: entry@1"]);
  envoy.take();
  envoy.ask("routes", ["entry"]);
  assert.equal(envoy.take(), "routes: entry@1");
  await settled;
  const { secrets, ...types } = envoy.session.status();
  assert.deepEqual(new Set(Object.values(types)), new Set(["SYNCED"]));
  assert.equal(secrets, "NOT SENT");
});

test("a listener has arrived when its secret has; a new secret is all that is sent", async () => {
  const envoy = await synced();
  const name = "certificate|entry/a.test";
  const made = (revision: number): Stage => {
    const { version, resources } = stage({ secrets: { [name]: revision } });
    const before = both().resources;
    const entry = before.listeners["entry"];
    assert.ok(entry !== undefined);
    const listener = { ...entry, json: { name: "entry", revision: 2 }, needs: ["entry", name] };
    return {
      version,
      resources: { ...before, secrets: resources.secrets, listeners: { entry: listener } },
    };
  };
  let isSettled = false;
  const settled = envoy.session.bring([made(1)]).then(() => {
    isSettled = true;
  });
  assert.equal(envoy.take(), "listeners: entry@2");
  await Promise.resolve();
  assert.ok(!isSettled);
  envoy.ask("secrets", [name]);
  assert.equal(envoy.take(), `secrets: ${name}@1`);
  await settled;
  const renewed = envoy.session.bring([made(2)]);
  assert.equal(envoy.take(), `secrets: ${name}@2`);
  await renewed;
  assert.deepEqual(envoy.inbox, []);
  const bad = envoy.session.bring([made(3)]);
  envoy.take("Failed to load private key from <inline>");
  await bad;
  assert.equal(envoy.session.status().secrets, "STALE");
  const [refused] = envoy.session.refused();
  assert.equal(refused?.name, name);
});

test("what only the old routes need goes when the new routes are in", async () => {
  const envoy = await synced();
  const next = { clusters: { b: 1, c: 1 }, endpoints: { b: 1, c: 1 }, listeners: { entry: 1 } };
  const making = { ...next, clusters: { a: 1, b: 1, c: 1 }, endpoints: { a: 1, b: 1, c: 1 } };
  const routes = { routes: { entry: 2 } };
  const settled = envoy.session.bring([
    stage({ ...making, ...routes }),
    stage({ ...next, ...routes }),
  ]);
  envoy.ask("endpoints", ["a", "b", "c"], "2");
  assert.equal(envoy.take(), "clusters: a@1 b@1 c@1");
  assert.equal(envoy.take(), "endpoints: c@1");
  assert.equal(envoy.take(), "routes: entry@2");
  assert.equal(envoy.take(), "clusters: b@1 c@1");
  await settled;
  assert.deepEqual(envoy.inbox, []);
});

test("one endpoint's change sends that one assignment, and nothing else", async () => {
  const envoy = await synced();
  const next = both();
  const changed = stage({ endpoints: { a: 2, b: 1 } }).resources.endpoints;
  const settled = envoy.session.bring([
    { ...next, resources: { ...next.resources, endpoints: changed } },
  ]);
  assert.equal(envoy.take(), "endpoints: a@2");
  await settled;
});

test("a changed cluster is sent with its endpoints, which Envoy waits for", async () => {
  const envoy = await synced();
  const settled = envoy.session.bring([both({ cluster: 2 })]);
  assert.deepEqual(envoy.inbox.map(summary), ["clusters: a@2 b@1", "endpoints: a@1"]);
  envoy.take();
  envoy.take();
  await settled;
});

test("what is refused stays as it was, is named, and holds up nothing else", async () => {
  const envoy = await synced();
  const changed = stage({
    clusters: { a: 2, b: 2 },
    endpoints: { a: 1, b: 1 },
    listeners: { entry: 1 },
    routes: { entry: 2 },
  });
  const settled = envoy.session.bring([changed]);
  assert.equal(envoy.take("Error adding/updating cluster(s) a: bad"), "clusters: a@2 b@2");
  assert.equal(envoy.take(), "endpoints: a@1 b@1");
  assert.equal(envoy.take(), "clusters: a@1 b@2");
  assert.equal(envoy.take(), "endpoints: b@1");
  assert.equal(envoy.take("no such thing"), "routes: entry@2");
  await settled;
  const refused = envoy.session.refused().map(({ name, error }) => `${name}: ${error}`);
  assert.deepEqual(refused, ["a: Error adding/updating cluster(s) a: bad", "entry: no such thing"]);
  assert.equal(envoy.session.status().routes, "STALE");

  const mended = envoy.session.bring([both({ route: 3 })]);
  assert.equal(envoy.take(), "clusters: a@1 b@1");
  assert.equal(envoy.take(), "endpoints: b@1");
  assert.equal(envoy.take(), "routes: entry@3");
  await mended;
  assert.deepEqual(envoy.session.refused(), []);
});

test("an answer to an older message, and a type that is not served, change nothing", async () => {
  const envoy = await synced();
  const settled = envoy.session.bring([both({ route: 2 })]);
  envoy.ask("routes", ["entry"], "1", "late");
  envoy.session.onRequest({
    ...{ typeUrl: "type.googleapis.com/other", subscribe: [], unsubscribe: [] },
    ...{ initialVersions: new Map(), nonce: "", error: null },
  });
  assert.equal(envoy.take(), "routes: entry@2");
  await settled;
  assert.deepEqual(envoy.session.refused(), []);
});
