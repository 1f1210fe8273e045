import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { afterEach, beforeEach, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { openMemoryStore } from "../../controlplane/store/open-store.ts";
import type { ResourceStore } from "../../controlplane/store/store.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { startApiServer, type ApiServer } from "../api-server.ts";
import type { ServerDependencies } from "../dependencies.ts";
import type { Json } from "./json.ts";

const TOKEN = "t".repeat(64);
const CONFIG_MAPS = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments";
const LANES = "/apis/graylane.io/v1alpha1/namespaces/default/lanes";

let store: ResourceStore;
let server: ApiServer;

beforeEach(async () => {
  const clock = new FakeClock();
  store = openMemoryStore({ clock });
  const dependencies = { store, clock, token: TOKEN, logger: silentLogger };
  server = await startApiServer(dependencies as unknown as ServerDependencies, {
    host: "127.0.0.1",
    port: 0,
  });
  await ask("POST", CONFIG_MAPS, configMap({ a: "1", b: "2" }));
});

afterEach(async () => {
  await server.close();
  await store.close();
});

function configMap(data: Json): Json {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "m" }, data };
}

interface Answer {
  readonly code: number;
  readonly body: Json;
}

async function ask(method: string, path: string, body?: unknown, type = "json"): Promise<Answer> {
  const headers: Record<string, string> = {
    authorization: `Bearer ${TOKEN}`,
    "content-type": `application/${type}`,
    "user-agent": "tester/1.0",
    ...(method === "GET" && type !== "json" ? { accept: `application/${type}` } : {}),
  };
  const request = httpRequest({ host: "127.0.0.1", port: server.port, method, path, headers });
  request.end(typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body));
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { code: response.statusCode ?? 0, body: JSON.parse(text) as Json };
}

function patch(type: string, body: unknown, query = ""): Promise<Answer> {
  return ask("PATCH", `${CONFIG_MAPS}/m${query}`, body, type);
}

const JSON_PATCH = "json-patch+json";
const MERGE_PATCH = "merge-patch+json";
const STRATEGIC_PATCH = "strategic-merge-patch+json";
const APPLY_PATCH = "apply-patch+yaml";

const good: readonly { name: string; type: string; body: unknown }[] = [
  { name: "a merge patch", type: MERGE_PATCH, body: { data: { a: "3", b: null } } },
  { name: "a strategic merge patch", type: STRATEGIC_PATCH, body: { data: { a: "3", b: null } } },
  {
    name: "a JSON patch",
    type: JSON_PATCH,
    body: [
      { op: "test", path: "/data/a", value: "1" },
      { op: "replace", path: "/data/a", value: "3" },
      { op: "remove", path: "/data/b" },
    ],
  },
];

for (const { name, type, body } of good) {
  test(`${name} changes what it names, in one write`, async () => {
    const { code, body: answer } = await patch(type, body);
    assert.deepEqual([code, answer["data"]], [200, { a: "3" }]);
    const stored = await ask("GET", `${CONFIG_MAPS}/m`);
    assert.deepEqual(stored.body["data"], { a: "3" });
  });

  test(`${name} with dryRun=All answers the same and writes nothing`, async () => {
    const before = store.revision;
    const { body: answer } = await patch(type, body, "?dryRun=All");
    assert.deepEqual(answer["data"], { a: "3" });
    assert.equal(store.revision, before);
  });
}

const bad: readonly { name: string; type: string; body: unknown; code: number; says: RegExp }[] = [
  { name: "another media type", type: "json", body: {}, code: 415, says: /merge-patch\+json/ },
  { name: "a patch that is no JSON", type: MERGE_PATCH, body: "{", code: 400, says: /not JSON/ },
  {
    name: "a patch of hostile depth",
    type: MERGE_PATCH,
    body: `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`,
    code: 400,
    says: /deeper than 100/,
  },
  { name: "a JSON patch that is no list", type: JSON_PATCH, body: {}, code: 400, says: /list/ },
  {
    name: "a test that fails",
    type: JSON_PATCH,
    body: [{ op: "test", path: "/data/a", value: "x" }],
    code: 422,
    says: /operation 0/,
  },
  {
    name: "a pointer to nothing",
    type: JSON_PATCH,
    body: [{ op: "remove", path: "/data/none/such" }],
    code: 422,
    says: /operation 0/,
  },
  {
    name: "a pointer to a prototype",
    type: JSON_PATCH,
    body: [{ op: "add", path: "/__proto__/x", value: 1 }],
    code: 400,
    says: /usable path/,
  },
  {
    name: "a patch that leaves a wrong object",
    type: MERGE_PATCH,
    body: { data: { a: 7 } },
    code: 422,
    says: /data/,
  },
  {
    name: "a patch of another name",
    type: MERGE_PATCH,
    body: { metadata: { name: "other" } },
    code: 400,
    says: /names m, the body "other"/,
  },
  {
    name: "a patch with an old resourceVersion",
    type: MERGE_PATCH,
    body: { metadata: { resourceVersion: "0" }, data: { a: "9" } },
    code: 409,
    says: /resourceVersion/,
  },
  {
    name: "an apply without a fieldManager",
    type: APPLY_PATCH,
    body: configMap({}),
    code: 400,
    says: /fieldManager/,
  },
];

for (const { name, type, body, code, says } of bad) {
  test(`${name} is refused with ${code} and changes nothing`, async () => {
    const before = store.revision;
    const answer = await patch(type, body);
    assert.equal(answer.code, code, JSON.stringify(answer.body));
    assert.match(String(answer.body["message"]), says);
    assert.equal(store.revision, before);
  });
}

test("a strategic merge patch merges containers by name; custom resources have none", async () => {
  const template = {
    metadata: { labels: { app: "a" } },
    spec: { containers: [{ name: "c", image: "i:1" }] },
  };
  const spec = { selector: { matchLabels: { app: "a" } }, template };
  await ask("POST", DEPLOYMENTS, { metadata: { name: "d" }, spec });
  const change = { spec: { template: { spec: { containers: [{ name: "c", image: "i:2" }] } } } };
  const { body } = await ask("PATCH", `${DEPLOYMENTS}/d`, change, STRATEGIC_PATCH);
  assert.match(JSON.stringify(body["spec"]), /"image":"i:2"/);
  const custom = await ask("PATCH", `${LANES}/x`, {}, STRATEGIC_PATCH);
  assert.equal(custom.code, 415);
});

test("an apply creates, changes, and says who conflicts", async () => {
  const path = (manager: string, force = false): string =>
    `${CONFIG_MAPS}/new?fieldManager=${manager}${force ? "&force=true" : ""}`;
  const yaml = (value: string): string =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\ndata: {a: "${value}"}\n`;
  assert.equal((await ask("PATCH", path("one"), yaml("1"), APPLY_PATCH)).code, 201);
  const conflict = await ask("PATCH", path("two"), yaml("2"), APPLY_PATCH);
  assert.equal(conflict.code, 409);
  assert.match(String(conflict.body["message"]), /conflict with "one": \.data\.a/);
  const forced = await ask("PATCH", path("two", true), yaml("2"), APPLY_PATCH);
  assert.deepEqual([forced.code, forced.body["data"]], [200, { a: "2" }]);
});

test("two users who patch different members at once both succeed", async () => {
  const patches = Array.from({ length: 8 }, (_, at) =>
    patch(MERGE_PATCH, { data: { [`k${at}`]: "x" } }),
  );
  const codes = (await Promise.all(patches)).map(({ code }) => code);
  const { body } = await ask("GET", `${CONFIG_MAPS}/m`);
  const kept = Object.keys(body["data"] as Json).filter((name) => name.startsWith("k"));
  // A patch that was overtaken too often is refused, never lost in silence.
  assert.equal(kept.length, codes.filter((code) => code === 200).length);
  assert.ok(kept.length >= 5, `${kept.length} of 8`);
});

test("fieldValidation=Strict makes an unknown field an error", async () => {
  const body = { ...configMap({}), metadata: { name: "strict" }, dta: {} };
  const strict = await ask("POST", `${CONFIG_MAPS}?fieldValidation=Strict`, body);
  assert.equal(strict.code, 400);
  assert.match(String(strict.body["message"]), /unknown field "dta"/);
  assert.equal((await ask("POST", CONFIG_MAPS, body)).code, 201);
});

test("a client that asks for a table gets one, with the columns of the kind", async () => {
  const table = "json;as=Table;v=v1;g=meta.k8s.io";
  const list = await ask("GET", CONFIG_MAPS, undefined, table);
  assert.equal(list.body["kind"], "Table");
  const [first] = list.body["rows"] as { cells: string[]; object: { kind: string } }[];
  assert.equal(first?.cells[0], "m");
  assert.equal(first.object.kind, "PartialObjectMetadata");
  const one = await ask("GET", `${CONFIG_MAPS}/m?includeObject=None`, undefined, table);
  assert.equal((one.body["rows"] as { object?: unknown }[])[0]?.object, undefined);
});

test("deleting a collection deletes what its selector chooses", async () => {
  const metadata = { name: "labelled", labels: { app: "x" } };
  await ask("POST", CONFIG_MAPS, { ...configMap({}), metadata });
  await ask("DELETE", `${CONFIG_MAPS}?labelSelector=app%3Dx`);
  const { body } = await ask("GET", CONFIG_MAPS);
  const names = (body["items"] as { metadata: { name: string } }[]).map((one) => one.metadata.name);
  assert.deepEqual(names, ["m"]);
});

test("generateName makes a name", async () => {
  const metadata = { generateName: "made-" };
  const { code, body } = await ask("POST", CONFIG_MAPS, { ...configMap({}), metadata });
  assert.equal(code, 201);
  assert.match((body["metadata"] as { name: string }).name, /^made-[0-9a-f]{5}$/);
});

test("OpenAPI names every kind with its group, version and fields", async () => {
  const index = await ask("GET", "/openapi/v3");
  const paths = index.body["paths"] as Record<string, { serverRelativeURL: string }>;
  const url = paths["apis/graylane.io/v1alpha1"]?.serverRelativeURL ?? "";
  const { components } = (await ask("GET", url)).body as {
    components: { schemas: Record<string, { properties: { spec: { properties: object } } }> };
  };
  const lane = components.schemas["io.graylane.v1alpha1.Lane"];
  assert.ok(lane !== undefined && "group" in lane.properties.spec.properties);
  const v2 = await ask("GET", "/openapi/v2");
  assert.ok("io.graylane.v1alpha1.Lane" in (v2.body["definitions"] as object));
});
