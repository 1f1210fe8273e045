import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { ApiClient, ApiError } from "../api/client.ts";
import type {
  ApiKind,
  ExplainRequest,
  ExplainResult,
  PluginLogLine,
  PluginLogQuery,
  RuntimeStatus,
} from "../api/types.ts";
import { systemClock } from "../base/clock.ts";
import { FakeClock } from "../base/fake-clock.ts";
import { openMemoryStore } from "../controlplane/store/open-store.ts";
import type { ResourceStore } from "../controlplane/store/store.ts";
import type { Resource } from "../resources/object.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { ListenError, startApiServer, type ApiServer } from "./api-server.ts";
import { ensureCertificate } from "./certificate.ts";
import { writeKubeconfig } from "./credentials.ts";
import type { ServerDependencies } from "./dependencies.ts";
import { MESSAGES } from "./testing/served.ts";

const TOKEN = "t".repeat(64);
const CONFIG_MAPS: ApiKind = { group: "", version: "v1", plural: "configmaps", namespaced: true };
const SERVICES: ApiKind = { group: "", version: "v1", plural: "services", namespaced: true };
const VIRTUAL_SERVICES: ApiKind = {
  group: "networking.istio.io",
  version: "v1beta1",
  plural: "virtualservices",
  namespaced: true,
};

let clock: FakeClock;
let store: ResourceStore;
let server: ApiServer;
let client: ApiClient;
let asked: unknown[];
let shutdowns: number;

beforeEach(async () => {
  clock = new FakeClock();
  store = openMemoryStore({ clock, watchEventsMax: 16 });
  asked = [];
  shutdowns = 0;
  server = await startApiServer(dependencies(), { host: "127.0.0.1", port: 0 });
  client = new ApiClient({ baseUrl: server.url, token: TOKEN });
});

afterEach(async () => {
  await server.close();
  await store.close();
});

function dependencies(): ServerDependencies {
  return {
    store,
    clock,
    token: TOKEN,
    messages: MESSAGES,
    logger: silentLogger,
    recent: (query) => {
      const { length: keptCount } = query.where;
      return Promise.resolve({ decisions: [], keptCount, seenCount: query.limit, workerCount: 1 });
    },
    configDump: (node, { withEndpoints }) =>
      node === "edge-1" ? { configs: [{ node, withEndpoints }] } : null,
    explain: (request: ExplainRequest) => {
      asked.push(request);
      return Promise.resolve({ snapshotVersion: "s1" } as ExplainResult);
    },
    analyze: (request) => {
      asked.push(request);
      return Promise.resolve([]);
    },
    podLog: (_namespace, name, options) => (name === "p" ? logLines(options.follow) : null),
    pluginLog: (query) => (query.plugin === "a/p" ? pluginLines(query) : "no plug-in runs"),
    runtimeStatus: () => ({ version: "0.1.0" }) as RuntimeStatus,
    shutdown: () => {
      shutdowns += 1;
    },
  };
}

async function* logLines(follow: boolean): AsyncGenerator<string> {
  yield "first ü";
  yield follow ? "following" : "last";
  await Promise.resolve();
}

async function* pluginLines(query: PluginLogQuery): AsyncGenerator<PluginLogLine> {
  await Promise.resolve();
  yield { timeMs: 1, worker: "w", level: "info", rootId: "", message: JSON.stringify(query) };
}

function configMap(name: string, value = "1", labels?: Record<string, string>): Resource {
  const metadata = { name, namespace: "default", ...(labels === undefined ? {} : { labels }) };
  return { apiVersion: "v1", kind: "ConfigMap", metadata, data: { value } };
}

function fails(code: number, reason: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ApiError, String(error));
    assert.deepEqual([error.code, error.reason], [code, reason], error.message);
    return true;
  };
}

interface Raw {
  readonly method: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

/** A request with headers that `fetch` would not let us set. */
async function raw(ask: Raw): Promise<{ code: number; text: string; headers: object }> {
  const { method, path, headers = { authorization: `Bearer ${TOKEN}` } } = ask;
  const port = server.port;
  const request = httpRequest({ host: "127.0.0.1", port, method, path, headers });
  request.end(ask.body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { code: response.statusCode ?? 0, text, headers: response.headers };
}

test("an object goes through create, get, update, status, list and delete", async () => {
  const created = await client.create(CONFIG_MAPS, configMap("a"));
  assert.equal(created.resource.metadata.generation, 1);
  const same = await client.update(CONFIG_MAPS, configMap("a"));
  assert.equal(
    same.resource.metadata.resourceVersion,
    created.resource.metadata.resourceVersion,
    "unchanged",
  );
  await client.update(CONFIG_MAPS, configMap("a", "2"));
  const read = await client.get(CONFIG_MAPS, "default", "a");
  assert.deepEqual(read["data"], { value: "2" });
  const metadata = { name: "a", namespace: "default", labels: { is: "kept" } };
  const service = { apiVersion: "v1", kind: "Service", metadata, spec: { ports: [{ port: 80 }] } };
  await client.create(SERVICES, service);
  const other = { ...metadata, labels: { is: "ignored" } };
  await client.updateStatus(SERVICES, { ...service, metadata: other, status: { ready: true } });
  const written = await client.get(SERVICES, "default", "a");
  assert.deepEqual([written.metadata.labels, written.status], [{ is: "kept" }, { ready: true }]);
  const list = await client.list(CONFIG_MAPS);
  assert.deepEqual([list.kind, list.items.length], ["ConfigMapList", 1]);
  assert.equal(list.metadata.resourceVersion, String(store.revision));
  const gone = await client.delete(CONFIG_MAPS, { namespace: "default", name: "a" });
  assert.equal(gone.status, "Success");
  await assert.rejects(client.get(CONFIG_MAPS, "default", "a"), fails(404, "NotFound"));
});

test("conflicts are 409, with the word that says which", async () => {
  const { resource } = await client.create(CONFIG_MAPS, configMap("a"));
  await assert.rejects(client.create(CONFIG_MAPS, configMap("a")), (error) => {
    assert.match(String(error), /configmaps "a" already exists/);
    return fails(409, "AlreadyExists")(error);
  });
  await client.update(CONFIG_MAPS, configMap("a", "2"));
  const late = { ...configMap("a", "3"), metadata: resource.metadata };
  await assert.rejects(client.update(CONFIG_MAPS, late), fails(409, "Conflict"));
  await client.update(CONFIG_MAPS, configMap("a", "4"));
  const other = { namespace: "default", name: "a" };
  await assert.rejects(
    client.delete(CONFIG_MAPS, other, { uid: "not-this" }),
    fails(409, "Conflict"),
  );
});

test("an invalid object is 422 with every cause, its path and our code", async () => {
  const metadata = { name: "v", namespace: "default" };
  const kind = "VirtualService";
  const spec = { hosts: "not-a-list", http: [{ route: [{ weight: "much" }] }], bogus: 1 };
  const wrong: Resource = { apiVersion: "networking.istio.io/v1beta1", kind, metadata, spec };
  await assert.rejects(client.create(VIRTUAL_SERVICES, wrong), (error) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.code, 422);
    const fields = error.causes.map((cause) => cause.field);
    assert.ok(fields.includes("spec.hosts"), fields.join());
    assert.ok(fields.length >= 2, fields.join());
    for (const cause of error.causes) assert.match(cause.reason, /^GL\d{4}$/);
    return true;
  });
  assert.equal(store.revision, 0);
});

test("warnings of a valid object come as headers, in any script", async () => {
  const odd = { ...configMap("a"), "dätä%": {} };
  const { warnings } = await client.create(CONFIG_MAPS, odd);
  assert.equal(warnings.length, 1, warnings.join());
  assert.match(warnings[0] ?? "", /^GL\d{4}: .*dätä%/);
});

test("every served version of a kind reads the same object, under its own apiVersion", async () => {
  const metadata = { name: "v", namespace: "default" };
  const spec = { hosts: ["*"], http: [{ route: [{ destination: { host: "a" } }] }] };
  const apiVersion = "networking.istio.io/v1beta1";
  const { resource } = await client.create(VIRTUAL_SERVICES, {
    apiVersion,
    kind: "VirtualService",
    metadata,
    spec,
  });
  assert.equal(resource.apiVersion, apiVersion);
  const v1 = { ...VIRTUAL_SERVICES, version: "v1" };
  const read = await client.get(v1, "default", "v");
  assert.equal(read.apiVersion, "networking.istio.io/v1");
  const update = await client.update(v1, { ...read, apiVersion: "networking.istio.io/v1" });
  assert.equal(update.resource.metadata.resourceVersion, resource.metadata.resourceVersion);
  const v0 = { ...VIRTUAL_SERVICES, version: "v0" };
  await assert.rejects(client.list(v0), fails(404, "NotFound"));
});

test("a dry run answers like the real thing and changes nothing", async () => {
  await client.create(CONFIG_MAPS, configMap("a"), { dryRun: true });
  assert.equal(store.revision, 0);
  await client.create(CONFIG_MAPS, configMap("a"));
  await client.update(CONFIG_MAPS, configMap("a", "2"), { dryRun: true });
  await client.delete(CONFIG_MAPS, { namespace: "default", name: "a" }, { dryRun: true });
  assert.equal(store.revision, 1);
  const again = client.create(CONFIG_MAPS, configMap("a"), { dryRun: true });
  await assert.rejects(again, fails(409, "AlreadyExists"));
});

test("lists select by namespace, labels and name", async () => {
  await client.create(CONFIG_MAPS, configMap("a", "1", { tier: "x" }));
  await client.create(CONFIG_MAPS, configMap("b", "1", { tier: "y" }));
  const names = async (options: object): Promise<string[]> =>
    (await client.list(CONFIG_MAPS, options)).items.map((item) => item.metadata.name);
  assert.deepEqual(await names({ labelSelector: "tier in (x)" }), ["a"]);
  assert.deepEqual(await names({ fieldSelector: "metadata.name=b" }), ["b"]);
  assert.deepEqual(await names({ namespace: "other" }), []);
  await assert.rejects(names({ fieldSelector: "spec.x=1" }), fails(400, "BadRequest"));
  await assert.rejects(names({ labelSelector: "((" }), fails(400, "BadRequest"));
});

test("a YAML body is accepted, and another content type is not", async () => {
  const path = "/api/v1/namespaces/default/configmaps";
  const body = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y}\ndata: {k: v}\n";
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/yaml" };
  assert.equal((await raw({ method: "POST", path, headers, body })).code, 201);
  assert.deepEqual((await client.get(CONFIG_MAPS, "default", "y"))["data"], { k: "v" });
  const plain = { ...headers, "content-type": "text/plain" };
  assert.equal((await raw({ method: "POST", path, headers: plain, body })).code, 415);
  const broken = "a: [\n";
  assert.equal((await raw({ method: "POST", path, headers, body: broken })).code, 400);
});

test("a body over the limit is refused with 413", async () => {
  const path = "/api/v1/namespaces/default/configmaps";
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const body = Buffer.alloc(3 * 1024 * 1024 + 1, 0x20);
  assert.equal((await raw({ method: "POST", path, headers, body })).code, 413);
});

test("a watch goes on from a revision, and tells what enters and leaves its selector", async () => {
  await client.create(CONFIG_MAPS, configMap("a", "1", { tier: "x" }));
  const { metadata } = await client.list(CONFIG_MAPS);
  await client.update(CONFIG_MAPS, configMap("a", "2", { tier: "x" }));
  const stop = new AbortController();
  const seen: string[] = [];
  const options = { labelSelector: "tier=x", signal: stop.signal, ...metadata };
  for await (const event of client.watch(CONFIG_MAPS, options)) {
    seen.push(`${event.type} ${event.object.metadata.name}`);
    if (seen.length === 1) {
      await client.update(CONFIG_MAPS, configMap("a", "2", { tier: "y" }));
      await client.create(CONFIG_MAPS, configMap("b", "1", { tier: "y" }));
      await client.update(CONFIG_MAPS, configMap("b", "1", { tier: "x" }));
      await client.delete(CONFIG_MAPS, { namespace: "default", name: "b" });
    }
    if (seen.length === 4) stop.abort();
  }
  assert.deepEqual(seen, ["MODIFIED a", "DELETED a", "ADDED b", "DELETED b"]);
});

test("a watch without a revision begins with what there is", async () => {
  await client.create(CONFIG_MAPS, configMap("a"));
  await client.create(CONFIG_MAPS, configMap("b"));
  const seen: string[] = [];
  for await (const event of client.watch(CONFIG_MAPS, { namespace: "default" })) {
    seen.push(`${event.type} ${event.object.metadata.name}`);
    if (seen.length === 2) await client.create(CONFIG_MAPS, configMap("c"));
    if (seen.length === 3) break;
  }
  assert.deepEqual(seen, ["ADDED a", "ADDED b", "ADDED c"]);
});

test("a watch from a forgotten revision gets 410 Expired as its event", async () => {
  for (let at = 0; at < 40; at += 1) await client.create(CONFIG_MAPS, configMap(`a${at}`));
  const watch = client.watch(CONFIG_MAPS, { resourceVersion: "1" });
  await assert.rejects(watch.next(), fails(410, "Expired"));
});

test("a watcher that takes nothing is cut off, and the writers never wait for it", async () => {
  const socket = connect(server.port, "127.0.0.1");
  socket.on("error", () => undefined);
  const path = "/api/v1/configmaps?watch=1";
  socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`);
  await once(socket, "readable");
  socket.pause();
  const large = "x".repeat(1_000_000);
  for (let at = 0; at < 12; at += 1) {
    await client.create(CONFIG_MAPS, configMap(`a${at}`, large));
  }
  assert.ok(clock.pendingCount > 0, "the stall timer runs");
  const closed = once(socket, "close");
  clock.advance(30_000);
  socket.resume();
  await closed;
});

test("a pod's log comes line by line, and a missing one is 404", async () => {
  const lines: string[] = [];
  const pod = { namespace: "default", name: "p" };
  for await (const line of client.podLog(pod, { follow: true, tailLines: 5 })) lines.push(line);
  assert.deepEqual(lines, ["first ü", "following"]);
  const missing = client.podLog({ namespace: "default", name: "q" });
  await assert.rejects(missing.next(), fails(404, "NotFound"));
});

test("a plug-in's log comes as objects, with what was asked for", async () => {
  const query = { plugin: "a/p", follow: true, tailLines: 5, sinceMs: 7 };
  for await (const line of client.pluginLog(query)) {
    assert.deepEqual([line.worker, JSON.parse(line.message)], ["w", query]);
  }
  const unknown = client.pluginLog({ ...query, plugin: "a/q" });
  await assert.rejects(unknown.next(), fails(404, "NotFound"));
  const { code } = await raw({ method: "GET", path: "/graylane/v1/pluginlog?sinceMs=yesterday" });
  assert.equal(code, 400);
});

test("Graylane's own calls reach the program, with their input checked", async () => {
  const request: ExplainRequest = {
    method: "GET",
    url: "http://localhost/",
    headers: [["a", "b"]],
  };
  assert.equal((await client.explain(request)).snapshotVersion, "s1");
  const ref = { apiVersion: "v1", kind: "Pod", namespace: "default", name: "p" };
  assert.deepEqual(await client.analyze({ delete: [ref] }), []);
  assert.deepEqual(await client.analyze({}), []);
  assert.deepEqual(asked, [request, { delete: [ref] }, {}], "no change is not an empty change");
  const relative = client.explain({ ...request, url: "/relative" });
  await assert.rejects(relative, fails(400, "BadRequest"));
  assert.equal((await client.runtimeStatus()).version, "0.1.0");
  assert.equal((await client.configDump("edge-1")).configs[0]?.["withEndpoints"], true);
  await assert.rejects(client.configDump("edge-2"), fails(404, "NotFound"));
  await client.shutdown();
  assert.equal(shutdowns, 1);
});

test("discovery names every group, version and kind", async () => {
  const at = async (path: string): Promise<string> => (await raw({ method: "GET", path })).text;
  assert.match(await at("/api"), /"APIVersions"/);
  assert.match(await at("/apis"), /"networking.istio.io\/v1beta1"/);
  assert.match(await at("/apis/graylane.io"), /"graylane.io\/v1alpha1"/);
  assert.match(await at("/apis/graylane.io/v1alpha1"), /"lanegroups\/status"/);
  assert.match(await at("/api/v1"), /"pods\/log"/);
  assert.match(await at("/version"), /graylane-0.1.0/);
  assert.equal((await raw({ method: "GET", path: "/apis/none.example" })).code, 404);
  assert.equal((await raw({ method: "GET", path: "/api/v1/lanes" })).code, 404);
});

const origins = [
  { name: "another host", headers: { host: "evil.example" }, code: 403 },
  {
    name: "a host that begins like this one",
    headers: { host: "localhost.evil.example" },
    code: 403,
  },
  { name: "a number that is not loopback", headers: { host: "10.0.0.1:80" }, code: 403 },
  { name: "localhost", headers: { host: "localhost:1" }, code: 200 },
  { name: "IPv6 loopback", headers: { host: "[::1]:1" }, code: 200 },
  {
    name: "a page of another origin",
    headers: { host: "localhost", origin: "http://evil.example" },
    code: 403,
  },
  { name: "a sandboxed page", headers: { host: "localhost", origin: "null" }, code: 403 },
  {
    name: "a page of its own",
    headers: { host: "localhost:7", origin: "http://localhost:7" },
    code: 200,
  },
];

for (const { name, headers, code } of origins) {
  test(`a request in the name of ${name} gets ${code}, even with the token`, async () => {
    const all = { authorization: `Bearer ${TOKEN}`, ...headers };
    const { code: actual } = await raw({ method: "GET", path: "/api", headers: all });
    assert.equal(actual, code);
  });
}

const misuses = [
  { name: "an unknown path", method: "GET", path: "/nothing", code: 404 },
  { name: "a verb that is not served", method: "DELETE", path: "/api", code: 405 },
  { name: "an authority in the target", method: "GET", path: "http://a.b/api", code: 404 },
  { name: "a broken escape", method: "GET", path: "/api/v1/%zz", code: 404 },
  { name: "a slash in a name", method: "GET", path: "/api/v1/namespaces/a%2fb", code: 404 },
  { name: "a namespaced kind without one", method: "GET", path: "/api/v1/pods/p", code: 404 },
  { name: "a page of a list", method: "GET", path: "/api/v1/pods?continue=x", code: 400 },
  {
    name: "a revision of letters",
    method: "GET",
    path: "/api/v1/pods?watch=1&resourceVersion=x",
    code: 400,
  },
];

for (const { name, method, path, code } of misuses) {
  test(`${name} is answered with ${code} and a Status`, async () => {
    const answer = await raw({ method, path });
    assert.equal(answer.code, code, answer.text);
    assert.equal((JSON.parse(answer.text) as { kind: string }).kind, "Status");
  });
}

test("a port in use and a foreign address are told apart, with what to do", async () => {
  const port = server.port;
  const inUse = startApiServer(dependencies(), { host: "127.0.0.1", port });
  await assert.rejects(inUse, (error) => {
    assert.ok(error instanceof ListenError);
    assert.equal(error.fault.code, "GL0610");
    assert.match(error.message, new RegExp(`API cannot listen on 127.0.0.1:${port}.*--api`));
    return true;
  });
  const foreign = startApiServer(dependencies(), { host: "0.0.0.0", port: 0 });
  await assert.rejects(foreign, /GL0611.*0\.0\.0\.0/);
});

test("closing ends the watches that are open", async () => {
  const watch = client.watch(CONFIG_MAPS);
  const first = watch.next();
  await client.create(CONFIG_MAPS, configMap("a"));
  await first;
  const end = watch.next();
  await server.close();
  assert.equal((await end).done, true);
});

test("a client that reaches nobody says so", async () => {
  const { port } = server as Pick<AddressInfo, "port">;
  await server.close();
  const lost = new ApiClient({ baseUrl: `http://127.0.0.1:${port}`, token: TOKEN });
  await assert.rejects(lost.runtimeStatus(), fails(0, "Unreachable"));
});

test("the port speaks TLS, too, and cuts a connection that says nothing", async () => {
  const directory = mkdtempSync(join(tmpdir(), "graylane-api-"));
  const certificate = await ensureCertificate(directory, systemClock);
  assert.deepEqual(await ensureCertificate(directory, systemClock), certificate, "is kept");
  const both = await startApiServer(dependencies(), { host: "127.0.0.1", port: 0, certificate });
  try {
    const { url, port } = both;
    const plain = await new ApiClient({ baseUrl: url, token: TOKEN }).list(CONFIG_MAPS);
    assert.equal(plain.items.length, 0);
    const path = writeKubeconfig(directory, { server: url, token: TOKEN, cert: certificate.cert });
    const config = JSON.parse(readFileSync(path, "utf8")) as {
      clusters: { cluster: { "certificate-authority-data": string; server: string } }[];
    };
    const { cluster } = config.clusters[0] ?? { cluster: null };
    assert.equal(cluster?.server, `https://127.0.0.1:${port}`);
    const ca = Buffer.from(cluster["certificate-authority-data"], "base64");
    const request = httpsRequest(`${cluster.server}/healthz`, { ca, agent: false });
    request.end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    assert.equal(response.statusCode, 200);
    response.resume();
    const silent = connect(port, "127.0.0.1");
    await once(silent, "connect");
    // Its time begins when the server has seen it.
    await new ApiClient({ baseUrl: url, token: TOKEN }).list(CONFIG_MAPS);
    clock.advance(10_000);
    await once(silent, "close");
  } finally {
    await both.close();
    rmSync(directory, { recursive: true });
  }
});
