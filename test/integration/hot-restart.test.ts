//! `graylane envoy` is restarted by SIGUSR2 under an open-loop load without retries: on connections
//! that are kept, on one for each request, and with a long answer under way.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { httpListener, socketAddress } from "../support/envoy.ts";
import { COMMAND } from "../support/graylane.ts";

const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 200);
const RESTARTS = Number(process.env["GRAYLANE_RESTARTS"] ?? 2);
/** Of the load before and after each restart. */
const REQUESTS_BETWEEN = 200;
const FRESH_EVERY_MS = 10;

const folder = mkdtempSync(join(tmpdir(), "graylane-restart-"));
const file = join(folder, "envoy.json");
/** Answers that wait to be ended, by their request's path. */
const held = new Map<string, ServerResponse>();
const upstream = createServer((request, response) => {
  if (!(request.url ?? "").startsWith("/long")) {
    response.end("short");
    return;
  }
  response.write("begin,");
  held.set(request.url ?? "", response);
});
let port: number;
/** Of another listener: some accept sooner than others. */
let otherPort: number;
let adminPort: number;
let program: ChildProcess;
let log = "";
let wake = (): void => undefined;

function configure(version: string): void {
  const cluster = {
    ...{ name: "up", type: "STATIC", connect_timeout: "5s" },
    load_assignment: {
      cluster_name: "up",
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: socketAddress((upstream.address() as AddressInfo).port) } },
          ],
        },
      ],
    },
  };
  const routes = [
    {
      match: { path: "/version" },
      direct_response: { status: 200, body: { inline_string: version } },
    },
    { match: { prefix: "/" }, route: { cluster: "up", timeout: "0s" } },
  ];
  const resources = {
    listeners: [port, otherPort].map((each) => ({
      ...httpListener(each, [], routes),
      name: `at-${each}`,
    })),
    clusters: [cluster],
  };
  const admin = { address: socketAddress(adminPort) };
  writeFileSync(file, JSON.stringify({ admin, static_resources: resources }));
}

/** Resolves when the program has logged it once more than before. */
async function logged(text: string, count = 1): Promise<void> {
  while (log.split(text).length <= count) {
    assert.equal(program.exitCode, null, log);
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

function countOf(text: string): number {
  return log.split(text).length - 1;
}

before(async () => {
  upstream.listen(0, "127.0.0.1");
  await once(upstream, "listening");
  port = await freePort();
  otherPort = await freePort();
  adminPort = await freePort();
  configure("0");
  // A test of an SDK gives Envoy the second; both are without effect, also in a restart.
  const ids = ["--base-id", "7", "--use-dynamic-base-id"];
  const words = ["envoy", "-c", file, "--concurrency", "2", ...ids];
  program = spawn(process.execPath, [COMMAND, ...words], { stdio: ["ignore", "ignore", "pipe"] });
  program.stderr?.on("data", (chunk: Buffer) => {
    log += chunk.toString();
    wake();
  });
  program.on("exit", () => {
    wake();
  });
  await logged("starting main dispatch loop");
});

after(() => {
  program.kill("SIGKILL");
  upstream.close();
  upstream.closeAllConnections();
  rmSync(folder, { recursive: true, force: true });
});

interface Fetched {
  readonly status: number;
  readonly body: string;
}

/** On a connection of its own. */
function fetchFresh(path: string, atPort = port): Promise<Fetched> {
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port: atPort, path, agent: false });
    request.on("error", reject);
    request.on("response", (response: IncomingMessage) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body });
      });
    });
  });
}

/** Begins one every few milliseconds, whatever becomes of those before. */
class FreshClient {
  readonly #all: Promise<string>[] = [];
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => {
      this.#all.push(
        fetchFresh("/", this.#all.length % 2 === 0 ? port : otherPort).then(
          ({ status, body }) => (status === 200 && body === "short" ? "" : `${status} ${body}`),
          (error: unknown) => String(error),
        ),
      );
    }, FRESH_EVERY_MS);
  }

  async stop(): Promise<{ readonly sent: number; readonly wrong: readonly string[] }> {
    clearInterval(this.#timer);
    const all = await Promise.all(this.#all);
    return { sent: all.length, wrong: all.filter((fault) => fault !== "") };
  }
}

test("restarts refuse and lose nothing, and what is new serves after them", async (context) => {
  const kept = new OpenLoopClient({
    ...{ host: "127.0.0.1", port, ratePerSecond: RATE_PER_SECOND },
    request: () => ({
      bytes: "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      check: ({ status, body }) =>
        status === 200 && body.toString() === "short" ? null : `status ${status}`,
    }),
  });
  kept.start();
  const fresh = new FreshClient();
  const more = async (): Promise<void> => {
    const wanted = kept.progress.sent + REQUESTS_BETWEEN;
    while (kept.progress.sent < wanted) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const longAnswers: Promise<Fetched>[] = [];
  for (let restart = 1; restart <= RESTARTS; restart += 1) {
    await more();
    longAnswers.push(fetchFresh(`/long${restart}`));
    while (!held.has(`/long${restart}`)) await new Promise((resolve) => setImmediate(resolve));
    configure(String(restart));
    // Always the process that was started first.
    program.kill("SIGUSR2");
    await logged("the new process serves", restart);
    await more();
    assert.equal((await fetchFresh("/version")).body, String(restart));
    assert.equal((await fetchFresh("/ready", adminPort)).status, 200);
  }
  for (const response of held.values()) response.end("end");
  for (const answer of await Promise.all(longAnswers)) assert.equal(answer.body, "begin,end");
  const [one, other] = [await kept.stop(), await fresh.stop()];
  context.diagnostic(
    `${RESTARTS} restarts; kept connections: ${one.sent} requests, ${one.failed} failed, ` +
      `p99 ${(one.latencyUs.percentile(99) / 1_000).toFixed(1)} ms; ` +
      `fresh connections: ${other.sent} requests, ${other.wrong.length} failed`,
  );
  assert.deepEqual(one.failures, []);
  assert.equal(one.right, one.sent);
  assert.deepEqual(other.wrong, []);
});

test("when the new process does not start, the one before serves on and says why", async () => {
  const before = (await fetchFresh("/version")).body;
  writeFileSync(file, "static_resources: { listeners: 1 }");
  const failures = countOf("the restart failed");
  program.kill("SIGUSR2");
  await logged("the restart failed", failures + 1);
  assert.match(log, /this process serves on: the new process ended with code 1/);
  assert.equal((await fetchFresh("/version")).body, before);
  configure("mended");
  const served = countOf("the new process serves");
  program.kill("SIGUSR2");
  await logged("the new process serves", served + 1);
  assert.equal((await fetchFresh("/version")).body, "mended");
});

test("a signal to the first process ends all of them", async () => {
  program.kill("SIGTERM");
  const [code] = (await once(program, "exit")) as [number | null];
  assert.equal(code, 0, log);
  await assert.rejects(fetchFresh("/version"), /ECONNREFUSED/);
  await assert.rejects(fetchFresh("/ready", adminPort), /ECONNREFUSED/);
});
