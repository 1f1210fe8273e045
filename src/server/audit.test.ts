//! What the audit log tells of requests to the API.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { afterEach, beforeEach, test } from "node:test";
import type { ExplainResult, RuntimeStatus } from "../api/types.ts";
import { FakeClock } from "../base/fake-clock.ts";
import { openMemoryStore } from "../controlplane/store/open-store.ts";
import type { ResourceStore } from "../controlplane/store/store.ts";
import { silentLogger } from "../telemetry/logger.ts";
import { startApiServer, type ApiServer } from "./api-server.ts";
import type { ServerDependencies } from "./dependencies.ts";
import { MESSAGES } from "./testing/served.ts";

const TOKEN = "t".repeat(64);

interface Audited {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: Readonly<Record<string, string>>;
  readonly responseStatus: { readonly code?: number };
  readonly requestURI: string;
}

let store: ResourceStore;
let server: ApiServer;
let audited: Audited[];

beforeEach(async () => {
  audited = [];
  const clock = new FakeClock();
  store = openMemoryStore({ clock, watchEventsMax: 16 });
  const dependencies: ServerDependencies = {
    ...{ store, clock, token: TOKEN, messages: MESSAGES, logger: silentLogger },
    audit: { write: note, writeThrough },
    recent: () => Promise.resolve({ decisions: [], keptCount: 0, seenCount: 0, workerCount: 1 }),
    explain: () => Promise.resolve({ snapshotVersion: "s1" } as ExplainResult),
    analyze: () => Promise.resolve([]),
    podLog: () => null,
    pluginLog: () => "no plug-in runs",
    configDump: () => null,
    runtimeStatus: () => ({ version: "0.1.0" }) as RuntimeStatus,
    shutdown: () => undefined,
  };
  server = await startApiServer(dependencies, { host: "127.0.0.1", port: 0 });
});

afterEach(async () => {
  await server.close();
  await store.close();
});

function note(line: string): void {
  audited.push(JSON.parse(line) as Audited);
}

function writeThrough(line: string): Promise<void> {
  note(line);
  return Promise.resolve();
}

function configMap(name: string): object {
  const metadata = { name, namespace: "default" };
  return { apiVersion: "v1", kind: "ConfigMap", metadata, data: { value: "1" } };
}

const DEFAULT = "/api/v1/namespaces/default";
const AUDITED: readonly {
  readonly method: string;
  readonly path: string;
  readonly token?: string;
  readonly host?: string;
  readonly body?: unknown;
  readonly says: readonly [verb: string, ref: string, user: string, code: number];
}[] = [
  {
    ...{ method: "POST", path: `${DEFAULT}/configmaps`, body: configMap("ä") },
    says: ["create", "v1/default/configmaps", "graylane:admin", 422],
  },
  {
    ...{ method: "POST", path: `${DEFAULT}/configmaps`, body: configMap("a") },
    says: ["create", "v1/default/configmaps", "graylane:admin", 201],
  },
  {
    ...{ method: "GET", path: `${DEFAULT}/configmaps/a` },
    says: ["get", "v1/default/configmaps/a", "graylane:admin", 200],
  },
  {
    ...{ method: "GET", path: "/apis/apps/v1/deployments" },
    says: ["list", "apps/v1/deployments", "graylane:admin", 200],
  },
  {
    ...{ method: "DELETE", path: `${DEFAULT}/configmaps?labelSelector=a%3Db` },
    says: ["deletecollection", "v1/default/configmaps", "graylane:admin", 200],
  },
  {
    ...{ method: "GET", path: `${DEFAULT}/pods/none/log` },
    says: ["get", "v1/default/pods/none/log", "graylane:admin", 404],
  },
  {
    ...{ method: "DELETE", path: `${DEFAULT}/configmaps/a`, token: "wrong" },
    says: ["delete", "v1/default/configmaps/a", "system:anonymous", 401],
  },
  {
    ...{ method: "DELETE", path: `${DEFAULT}/configmaps/a`, host: "evil.test" },
    says: ["delete", "v1/default/configmaps/a", "system:anonymous", 403],
  },
  { method: "GET", path: "/nothing", says: ["get", "", "graylane:admin", 404] },
];

function refText(ref: Readonly<Record<string, string>> = {}): string {
  const parts = ["apiGroup", "apiVersion", "namespace", "resource", "name", "subresource"];
  return parts.flatMap((part) => ref[part] ?? []).join("/");
}

async function lines(count: number): Promise<void> {
  while (audited.length < count) await new Promise(setImmediate);
}

test("the audit log has a line for each request: who, what, and what it came to", async () => {
  for (const { method, path, token = TOKEN, host = "localhost", body, says } of AUDITED) {
    const before = audited.length;
    const answered = once(
      httpRequest(`${server.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, host, "content-type": "application/json" },
      }).end(body === undefined ? undefined : JSON.stringify(body)),
      "response",
    );
    const [response] = (await answered) as [IncomingMessage];
    response.resume();
    await once(response, "close");
    await lines(before + 1);
    const { verb, objectRef, user, responseStatus, requestURI } = audited[before] as Audited;
    assert.equal(requestURI, path);
    assert.deepEqual([verb, refText(objectRef), user.username, responseStatus.code], says, path);
  }
  assert.equal(JSON.stringify(audited).includes(TOKEN), false);
});

test("a watch is in the audit log when it ends, and health checks are not", async () => {
  const watch = httpRequest(`${server.url}${DEFAULT}/configmaps?watch=true`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  }).end();
  await once(watch, "response");
  await fetch(`${server.url}/healthz`).then((answer) => answer.text());
  assert.equal(audited.length, 0, "it has not ended");
  watch.on("error", () => undefined).destroy();
  await lines(1);
  assert.deepEqual(
    audited.map(({ verb, responseStatus }) => [verb, responseStatus.code]),
    [["watch", 200]],
  );
});
