import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { FakeClock } from "../base/fake-clock.ts";
import { openMemoryStore } from "../controlplane/store/open-store.ts";
import type { ResourceStore } from "../controlplane/store/store.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { startApiServer, type ApiServer } from "./api-server.ts";
import type { ServerDependencies } from "./dependencies.ts";
import { isObject, type Json } from "./patch/json.ts";

const TOKEN = "t".repeat(64);
const MAPS = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments";
const MERGE = "application/merge-patch+json";

let clock: FakeClock;
let store: ResourceStore;
let server: ApiServer;

beforeEach(async () => {
  clock = new FakeClock();
  store = openMemoryStore({ clock, watchEventsMax: 16 });
  // Nothing else is asked for here.
  const own = { store, clock, token: TOKEN, logger: silentLogger } as Partial<ServerDependencies>;
  server = await startApiServer(own as ServerDependencies, { host: "127.0.0.1", port: 0 });
});

afterEach(async () => {
  await server.close();
  await store.close();
});

interface Answer {
  readonly code: number;
  readonly body: Json;
}

async function ask(
  method: string,
  path: string,
  body?: object,
  type = "application/json",
): Promise<Answer> {
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": type };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(server.url + path, { method, headers, ...sent });
  return { code: response.status, body: (await response.json()) as Json };
}

function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce((found, name) => (isObject(found) ? found[name] : undefined), value);
}

async function make(finalizers: readonly string[]): Promise<void> {
  const metadata = { name: "a", finalizers };
  assert.equal((await ask("POST", MAPS, { metadata, data: { x: "1" } })).code, 201);
}

async function isThere(): Promise<boolean> {
  return (await ask("GET", `${MAPS}/a`)).code === 200;
}

describe("an object with finalizers", () => {
  test("waits for the last of them when it is deleted, and serves meanwhile", async () => {
    await make(["graylane.io/one", "graylane.io/two"]);
    const { code, body } = await ask("DELETE", `${MAPS}/a`);
    assert.deepEqual([code, at(body, "kind")], [200, "ConfigMap"]);
    const since = at(body, "metadata", "deletionTimestamp");
    assert.equal(typeof since, "string");
    clock.advance(5_000);
    const again = await ask("DELETE", `${MAPS}/a`);
    assert.equal(at(again.body, "metadata", "deletionTimestamp"), since);
    const one = { metadata: { finalizers: ["graylane.io/two"] }, data: { x: "2" } };
    const patched = await ask("PATCH", `${MAPS}/a`, one, MERGE);
    assert.deepEqual([patched.code, at(patched.body, "data", "x")], [200, "2"]);
    assert.equal(await isThere(), true);
    const none = await ask("PATCH", `${MAPS}/a`, { metadata: { finalizers: null } }, MERGE);
    assert.equal(none.code, 200);
    assert.equal(await isThere(), false);
  });

  test("goes by an update as well, and its watch is told", async () => {
    await make(["graylane.io/one"]);
    const types: string[] = [];
    store.watch(null, null, ({ type }) => types.push(type));
    await ask("DELETE", `${MAPS}/a`);
    const { body } = await ask("GET", `${MAPS}/a`);
    const metadata = { ...(body["metadata"] as Json), finalizers: [] };
    assert.equal((await ask("PUT", `${MAPS}/a`, { ...body, metadata })).code, 200);
    assert.deepEqual(types, ["MODIFIED", "DELETED"]);
  });

  test("gets no more of them once it is to be deleted", async () => {
    await make(["graylane.io/one"]);
    await ask("DELETE", `${MAPS}/a`);
    const more = { metadata: { finalizers: ["graylane.io/one", "graylane.io/two"] } };
    const { code, body } = await ask("PATCH", `${MAPS}/a`, more, MERGE);
    assert.equal(code, 422);
    assert.match(String(body["message"]), /metadata\.finalizers: no new .*: graylane\.io\/two$/);
  });

  test("goes at once when it has none any more, and not for want of them", async () => {
    await make(["graylane.io/one"]);
    await ask("PATCH", `${MAPS}/a`, { metadata: { finalizers: [] } }, MERGE);
    assert.equal(await isThere(), true);
    assert.equal(at((await ask("DELETE", `${MAPS}/a`)).body, "status"), "Success");
    assert.equal(await isThere(), false);
  });

  test("is as it was after a dry run, of the delete and of the last finalizer's end", async () => {
    await make(["graylane.io/one"]);
    const dry = await ask("DELETE", `${MAPS}/a?dryRun=All`);
    assert.equal(typeof at(dry.body, "metadata", "deletionTimestamp"), "string");
    const { body } = await ask("GET", `${MAPS}/a`);
    assert.equal(at(body, "metadata", "deletionTimestamp"), undefined);
    await ask("DELETE", `${MAPS}/a`);
    await ask("PATCH", `${MAPS}/a?dryRun=All`, { metadata: { finalizers: [] } }, MERGE);
    assert.equal(await isThere(), true);
  });

  test("waits within a collection that is deleted", async () => {
    await make(["graylane.io/one"]);
    await ask("POST", MAPS, { metadata: { name: "b" } });
    assert.equal((await ask("DELETE", MAPS)).code, 200);
    assert.equal(await isThere(), true);
    assert.equal((await ask("GET", `${MAPS}/b`)).code, 404);
  });

  test("is refused where one of them is no text", async () => {
    const { code, body } = await ask("POST", MAPS, { metadata: { name: "a", finalizers: [1] } });
    assert.equal(code, 422);
    assert.match(String(body["message"]), /metadata\.finalizers\[0\]/);
  });
});

const WEB = {
  metadata: { name: "web" },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: { containers: [{ name: "app", image: "app" }] },
    },
  },
};

test("a policy that nobody knows is refused, and so is Orphan for what has pods", async () => {
  await make([]);
  await ask("POST", DEPLOYMENTS, WEB);
  const wrong = await ask("DELETE", `${MAPS}/a`, { propagationPolicy: "Sometimes" });
  assert.equal(wrong.code, 422);
  assert.match(String(wrong.body["message"]), /"Foreground", "Background", "Orphan", "nil"$/);
  const orphan = await ask("DELETE", `${DEPLOYMENTS}/web?propagationPolicy=Orphan`);
  assert.equal(orphan.code, 400);
  assert.match(String(orphan.body["message"]), /pods end with their Deployment/);
  const held = await ask("DELETE", `${MAPS}/a`, { propagationPolicy: "Orphan" });
  assert.deepEqual([held.code, at(held.body, "metadata", "finalizers")], [200, ["orphan"]]);
  const foreground = { propagationPolicy: "Foreground" };
  assert.equal((await ask("DELETE", `${DEPLOYMENTS}/web`, foreground)).code, 200);
});

describe("the scale of a Deployment", () => {
  const SCALE = `${DEPLOYMENTS}/web/scale`;

  beforeEach(async () => {
    assert.equal((await ask("POST", DEPLOYMENTS, WEB)).code, 201);
  });

  const replicas = async (): Promise<unknown> =>
    at((await ask("GET", `${DEPLOYMENTS}/web`)).body, "spec", "replicas");

  test("says replicas and selector", async () => {
    const { body } = await ask("GET", SCALE);
    assert.deepEqual([body["kind"], body["apiVersion"]], ["Scale", "autoscaling/v1"]);
    assert.deepEqual(body["spec"], { replicas: 2 });
    assert.deepEqual(body["status"], { replicas: 0, selector: "app=web" });
  });

  test("is changed by a merge patch, a JSON patch and an update", async () => {
    const merged = await ask("PATCH", SCALE, { spec: { replicas: 3 } }, MERGE);
    assert.deepEqual([merged.code, at(merged.body, "spec", "replicas")], [200, 3]);
    const replace = [{ op: "replace", path: "/spec/replicas", value: 4 }];
    assert.equal((await ask("PATCH", SCALE, replace, "application/json-patch+json")).code, 200);
    assert.equal(await replicas(), 4);
    const { body } = await ask("GET", SCALE);
    assert.equal((await ask("PUT", SCALE, { ...body, spec: { replicas: 0 } })).code, 200);
    assert.equal(await replicas(), 0);
    assert.equal((await ask("PUT", SCALE, { ...body, spec: { replicas: 9 } })).code, 409);
  });

  const WRONG = [
    ["a text", { spec: { replicas: "3" } }, 400],
    ["less than none", { spec: { replicas: -1 } }, 422],
    ["no object", { spec: 3 }, 400],
  ] as const;
  for (const [what, patch, code] of WRONG) {
    test(`is not ${what}`, async () => {
      assert.equal((await ask("PATCH", SCALE, patch, MERGE)).code, code);
      assert.equal(await replicas(), 2);
    });
  }

  test("is of Deployments only, and told by discovery", async () => {
    assert.equal((await ask("GET", `${MAPS}/a/scale`)).code, 404);
    assert.equal((await ask("GET", `${DEPLOYMENTS}/none/scale`)).code, 404);
    const { resources } = (await ask("GET", "/apis/apps/v1")).body as {
      readonly resources: readonly Json[];
    };
    const scale = resources.find(({ name }) => name === "deployments/scale");
    assert.equal(scale?.["kind"], "Scale");
    assert.equal(scale["group"], "autoscaling");
  });
});
