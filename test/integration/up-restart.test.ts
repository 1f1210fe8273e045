//! `graylane up` is restarted by SIGUSR2 under open-loop loads without retries: HTTP/1.1 on kept and
//! on fresh connections, TLS, HTTP/2 with and without it, calls between pods with the lane kept by a trace id, answers
//! that take longer than the restart, a watch and writes of the API.
//! Longer: GRAYLANE_RESTARTS=20 npm test -- up-restart

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { A_TEST } from "../../src/dataplane/testing/certificates.ts";
import type { Resource } from "../../src/resources/object.ts";
import { endEach } from "../support/ending.ts";
import { Graylane, KINDS, temporaryDirectory } from "../support/graylane.ts";
import {
  deployment,
  lane,
  laneGroup,
  outsideHost,
  SECURE_GATEWAY,
  service,
  tlsSecret,
  withEcho,
} from "../support/load-manifests.ts";
import { figuresOf } from "../support/load-setup.ts";
import { Http2Load } from "../support/mixed-load.ts";

const RESTARTS = Number(process.env["GRAYLANE_RESTARTS"] ?? 2);
const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 50);
/** Of the load before and after each restart. */
const REQUESTS_BETWEEN = 100;
/** At most 100 are under way on one connection; more would wait in the client, and end with it. */
const STREAM_EVERY_MS = 200;
const WRITE_EVERY_MS = 50;
const FRESH_EVERY = 3;
const LANE_EVERY = 2;

/** So many restarts later a long answer ends, and with it the process that it keeps. */
const LONG_RESTARTS = 2;
/** Answers that wait to be ended, by their request's path. */
const held = new Map<string, ServerResponse>();
const slow = createServer((request, response) => {
  response.write("begin,");
  held.set(request.url ?? "", response);
});
const folder = temporaryDirectory();
const manifest = join(folder, "objects.yaml");
let securePort: number;
let graylane: Graylane;

function objects(): readonly Resource[] {
  const upstreamUrl = "http://back:8000/";
  return [
    SECURE_GATEWAY,
    tlsSecret(A_TEST),
    ...["web", "back"].map(service),
    ...["web", "back"].flatMap((app) => {
      const onward = app === "web" ? { upstreamUrl } : {};
      return [
        deployment({ app, version: "base", ...onward }),
        deployment({ app, version: "gray", lane: "gray", ...onward }),
      ];
    }),
    laneGroup(["web", "back"]),
    lane("gray"),
    withEcho("web", 0),
    outsideHost("echo", (slow.address() as AddressInfo).port),
  ];
}

function write(resources: readonly Resource[]): void {
  // JSON is YAML.
  writeFileSync(manifest, resources.map((resource) => JSON.stringify(resource)).join("\n---\n"));
}

before(async () => {
  slow.listen(0, "127.0.0.1");
  await once(slow, "listening");
  securePort = await freePort();
  write(objects());
  graylane = await Graylane.start({
    files: [manifest],
    words: ["--map-port", `443=${securePort}`],
  });
});

after(() =>
  endEach(
    () => graylane.stop(),
    () => {
      slow.close();
      slow.closeAllConnections();
      rmSync(folder, { recursive: true, force: true });
    },
  ),
);

/** Every second one travels in the lane, whose name both services must say. */
function load(port: number, isSecure: boolean): OpenLoopClient {
  return new OpenLoopClient({
    ...{ host: "127.0.0.1", port, isSecure, ratePerSecond: RATE_PER_SECOND },
    ...{ connectionsMax: 1_000, timeoutMs: 30_000 },
    request: (index) => {
      const version = index % LANE_EVERY === 0 ? "gray" : "base";
      const canary = version === "gray" ? "canary: gray\r\n" : "";
      const end = index % FRESH_EVERY === 0 ? "connection: close\r\n" : "";
      const user = `x-user-id: ${isSecure ? "s" : "p"}${index}\r\n`;
      return {
        bytes: `GET / HTTP/1.1\r\nhost: a.test\r\n${user}${canary}${end}\r\n`,
        check: ({ status, body }) => {
          const text = body.toString();
          const versions = [...text.matchAll(/version: (\w+)/g)].map(([, one]) => one);
          const isRight = versions.length === 2 && versions.every((one) => one === version);
          return status === 200 && isRight ? null : `${version}: status ${status}: ${text}`;
        },
      };
    },
  });
}

function longAnswer(path: string): Promise<string> {
  return new Promise((resolve) => {
    const options = { host: "127.0.0.1", port: graylane.port, path, agent: false };
    const request = get(options, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("error", (error) => {
        resolve(`${body}${error.message}`);
      });
      response.on("end", () => {
        resolve(body);
      });
    });
    request.on("error", (error) => {
      resolve(error.message);
    });
  });
}

/** Writes the Service again and again; a watch that is resumed must tell each of the writes. */
class ApiLoad {
  readonly wrong: string[] = [];
  readonly seen = new Set<string>();
  written = 0;
  reconnects = 0;
  #isWriting = true;
  readonly #ending = new AbortController();
  readonly #tasks: readonly Promise<void>[];

  constructor() {
    this.#tasks = [this.#watch(), this.#write()];
  }

  async stop(): Promise<void> {
    this.#isWriting = false;
    await this.#tasks[1];
    await graylane.until("the last write is told", () => this.seen.has(String(this.written)));
    this.#ending.abort();
    await Promise.all(this.#tasks);
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending;
    const { metadata } = await graylane.client.list(KINDS.Service);
    let { resourceVersion } = metadata;
    for (;;) {
      try {
        const options = { resourceVersion, signal };
        for await (const { object } of graylane.client.watch(KINDS.Service, options)) {
          resourceVersion = object.metadata.resourceVersion ?? "";
          this.seen.add(object.metadata.annotations?.["count"] ?? "");
        }
      } catch (error) {
        this.wrong.push(`watch: ${String(error)}`);
        return;
      }
      if (signal.aborted) return;
      this.reconnects += 1;
    }
  }

  async #write(): Promise<void> {
    const resource = service("written");
    await graylane.client.create(KINDS.Service, resource);
    while (this.#isWriting) {
      const annotations = { count: String(this.written + 1) };
      const metadata = { ...resource.metadata, annotations };
      try {
        await graylane.client.update(KINDS.Service, { ...resource, metadata });
        this.written += 1;
      } catch (error) {
        this.wrong.push(`write ${this.written + 1}: ${String(error)}`);
      }
      await sleep(WRITE_EVERY_MS);
    }
  }
}

/** What must not change: pods with their addresses, containers, starts and restarts. */
async function podsNow(): Promise<readonly object[]> {
  const { items } = await graylane.client.list(KINDS.Pod);
  return items.map(({ metadata, status }) => {
    const { podIP, containerStatuses } = status as {
      readonly podIP: string;
      readonly containerStatuses: readonly object[];
    };
    return { name: metadata.name, uid: metadata.uid, podIP, containerStatuses };
  });
}

/** Asked twice: a connection that has been idle for 5 s may be closed while a call is sent on it. */
async function servingPid(): Promise<number> {
  try {
    return (await graylane.client.runtimeStatus()).pid;
  } catch {
    return (await graylane.client.runtimeStatus()).pid;
  }
}

async function restart(): Promise<void> {
  const pid = await servingPid();
  process.kill(graylane.pid, "SIGUSR2");
  await graylane.until("another process serves", async () => (await servingPid()) !== pid);
}

test("restarts refuse and lose nothing, and pods notice none of it", async (context) => {
  const pods = await podsNow();
  const [plain, secure] = [load(graylane.port, false), load(securePort, true)];
  const streams = [graylane.port, securePort].map(
    (each) => new Http2Load(each, STREAM_EVERY_MS, each === securePort),
  );
  const api = new ApiLoad();
  plain.start();
  secure.start();
  const more = async (): Promise<void> => {
    const wanted = plain.progress.sent + REQUESTS_BETWEEN;
    while (plain.progress.sent < wanted) await sleep(5);
  };
  const longAnswers: Promise<string>[] = [];
  let isDone = false;
  try {
    for (let count = 1; count <= RESTARTS; count += 1) {
      await more();
      longAnswers.push(longAnswer(`/echo${count}`));
      while (!held.has(`/echo${count}`)) await sleep(1);
      held.get(`/echo${count - LONG_RESTARTS}`)?.end("end");
      await restart();
      await more();
    }
    isDone = true;
  } finally {
    for (const response of held.values()) response.end("end");
    if (!isDone) await Promise.all([plain, secure, ...streams].map((one) => one.stop()));
  }
  for (const answer of await Promise.all(longAnswers)) assert.equal(answer, "begin,end");
  await api.stop();
  const results = [await plain.stop(), await secure.stop()];
  await Promise.all(streams.map((one) => one.stop()));
  context.diagnostic(`${RESTARTS} restarts; ${longAnswers.length} long answers`);
  for (const result of results) context.diagnostic(`HTTP/1.1 (TLS second): ${figuresOf(result)}`);
  for (const { sent, again, wrong } of streams) {
    const figures = `${sent} sent, ${again} of them again, ${wrong.length} failed`;
    context.diagnostic(`HTTP/2 (TLS second): ${figures}`);
  }
  context.diagnostic(`API: ${api.written} writes, ${api.reconnects} watches ended`);
  for (const { failures, right, sent } of results) {
    assert.deepEqual(failures, []);
    assert.equal(right, sent);
  }
  assert.deepEqual(
    streams.flatMap(({ wrong }) => wrong),
    [],
  );
  assert.deepEqual(api.wrong, []);
  assert.equal(api.seen.size >= api.written, true, `${api.seen.size} of ${api.written} told`);
  assert.deepEqual(await podsNow(), pods);
});

test("a version that refuses the files or fails in the middle leaves the one that serves", async () => {
  const pods = await podsNow();
  const pid = await servingPid();
  const cases = [
    { text: "kind: [", says: "nothing was started; mend the files first" },
    { text: JSON.stringify(gatewayAt(takenPort())), says: "is in use by another program" },
  ];
  for (const { text, says } of cases) {
    const failures = failuresLogged();
    writeFileSync(manifest, text);
    process.kill(graylane.pid, "SIGUSR2");
    await graylane.until(`the restart fails: ${says}`, () => failuresLogged() > failures);
    assert.ok(graylane.output.includes(says), graylane.output);
    assert.equal(await servingPid(), pid);
    assert.equal((await graylane.ask({ path: "/" })).status, 200);
    // What the new one has written has been undone, and what is written now is kept.
    const { spec } = await graylane.client.get(KINDS.Gateway, "istio-system", "ingressgateway");
    assert.deepEqual(spec, SECURE_GATEWAY.spec);
    await graylane.client.update(KINDS.Service, service("web"));
  }
  assert.deepEqual(await podsNow(), pods);
  write(objects());
  await restart();
  assert.deepEqual(await podsNow(), pods);
});

/** In the file: on the terminal the same words are not said again and again. */
function failuresLogged(): number {
  const log = readFileSync(join(graylane.stateDirectory, "graylane.log"), "utf8");
  return log.split("the restart failed").length;
}

/** Another program's: here the slow upstream's. */
function takenPort(): number {
  return (slow.address() as AddressInfo).port;
}

function gatewayAt(port: number): Resource {
  const servers = [{ port: { number: port, name: "http", protocol: "HTTP" }, hosts: ["*"] }];
  return { ...SECURE_GATEWAY, spec: { selector: { istio: "ingressgateway" }, servers } };
}

test("`graylane down` ends all of them, and the apps", async () => {
  const { exitCode } = await graylane.cli("down");
  assert.equal(exitCode, 0);
  assert.equal(await graylane.ended(), 0, graylane.output);
  assert.equal((await graylane.ask({ path: "/" })).status, 0);
});
