//! `graylane envoy` is restarted by SIGUSR2 under open-loop loads without retries: HTTP/1.1 and
//! HTTP/2, in clear and over TLS, on connections that are kept, on one for each request, and with
//! long answers under way.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, get } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import type { OpenLoopResult } from "../../bench/support/open-loop.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { A_TEST } from "../../src/dataplane/testing/certificates.ts";
import { endEach } from "../support/ending.ts";
import { httpListener, socketAddress } from "../support/envoy.ts";
import { COMMAND } from "../support/graylane.ts";
import { figuresOf } from "../support/load-setup.ts";
import { Http2Load } from "../support/mixed-load.ts";

const RATE_PER_SECOND = Number(process.env["GRAYLANE_RATE"] ?? 100);
const RESTARTS = Number(process.env["GRAYLANE_RESTARTS"] ?? 2);
/** Of the load before and after each restart. */
const REQUESTS_BETWEEN = 100;
const FRESH_EVERY_MS = 20;
const STREAM_EVERY_MS = 50;
/** Of the requests over TLS, so many keep their connection for one with a new one. */
const SECURE_FRESH_EVERY = 3;

const folder = mkdtempSync(join(tmpdir(), "graylane-restart-"));
const file = join(folder, "envoy.json");
/** So many restarts later a long answer ends, and with it the process that it keeps. */
const LONG_RESTARTS = 2;
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
/** With TLS. */
let securePort: number;
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
  const listeners = [port, otherPort, securePort].map((each) => ({
    ...httpListener(each, [], routes),
    name: `at-${each}`,
  }));
  const resources = {
    listeners: listeners.map((one, index) => (index === 2 ? withTls(one) : one)),
    clusters: [cluster],
  };
  const admin = { address: socketAddress(adminPort) };
  writeFileSync(file, JSON.stringify({ admin, static_resources: resources }));
}

function withTls(listener: ReturnType<typeof httpListener>): object {
  const type = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
  const pair = {
    certificate_chain: { inline_string: A_TEST.certificate },
    private_key: { inline_string: A_TEST.privateKey },
  };
  const context = { "@type": type, common_tls_context: { tls_certificates: [pair] } };
  const socket = { transport_socket: { name: "tls", typed_config: context } };
  return {
    ...listener,
    filter_chains: listener.filter_chains.map((one) => ({ ...one, ...socket })),
  };
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
  securePort = await freePort();
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

after(() =>
  endEach(
    () => program.kill("SIGKILL"),
    () => {
      upstream.close();
      upstream.closeAllConnections();
      rmSync(folder, { recursive: true, force: true });
    },
  ),
);

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

/** Of this restart and those before. */
function endHeld(restart: number): void {
  for (const [path, response] of held) {
    if (Number(/\d+$/.exec(path)?.[0]) <= restart) response.end("end");
  }
}

async function longAnswer(path: string): Promise<string> {
  try {
    return (await fetchFresh(path)).body;
  } catch (error) {
    return String(error);
  }
}

/** A stream on a session of its own, over TLS. */
async function longStream(path: string): Promise<string> {
  const session = connectHttp2(`https://127.0.0.1:${securePort}`, { rejectUnauthorized: false });
  session.on("error", () => undefined);
  try {
    const stream = session.request({ ":path": path });
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    await once(stream, "close");
    return `${body}${stream.rstCode === 0 ? "" : ` reset with ${stream.rstCode}`}`;
  } catch (error) {
    return String(error);
  } finally {
    session.destroy();
  }
}

function openLoop(isSecure: boolean): OpenLoopClient {
  return new OpenLoopClient({
    ...{ host: "127.0.0.1", port: isSecure ? securePort : port, isSecure, timeoutMs: 30_000 },
    // A handshake in its own process costs the client as much as the program.
    ratePerSecond: isSecure ? RATE_PER_SECOND / 4 : RATE_PER_SECOND,
    request: (index) => {
      const isLast = isSecure && index % SECURE_FRESH_EVERY === 0;
      const end = isLast ? "Connection: close\r\n" : "";
      return {
        bytes: `GET / HTTP/1.1\r\nHost: a\r\n${end}\r\n`,
        check: ({ status, body }) =>
          status === 200 && body.toString() === "short" ? null : `status ${status}`,
      };
    },
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

interface Outcome {
  readonly results: readonly OpenLoopResult[];
  readonly other: Awaited<ReturnType<FreshClient["stop"]>>;
}

test("restarts refuse and lose nothing, and what is new serves after them", async (context) => {
  const [kept, secure] = [openLoop(false), openLoop(true)];
  kept.start();
  secure.start();
  const fresh = new FreshClient();
  const streams = [port, securePort].map(
    (each) => new Http2Load(each, STREAM_EVERY_MS, each === securePort),
  );
  const more = async (): Promise<void> => {
    const wanted = kept.progress.sent + REQUESTS_BETWEEN;
    while (kept.progress.sent < wanted) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const longAnswers: Promise<string>[] = [];
  const stopAll = async (): Promise<Outcome> => {
    endHeld(RESTARTS);
    const [results, other] = await Promise.all([
      Promise.all([kept.stop(), secure.stop()]),
      fresh.stop(),
      ...streams.map((one) => one.stop()),
    ]);
    return { results, other };
  };
  let outcome: Outcome;
  try {
    for (let restart = 1; restart <= RESTARTS; restart += 1) {
      await more();
      const paths = [`/long${restart}`, `/long-stream${restart}`] as const;
      longAnswers.push(longAnswer(paths[0]), longStream(paths[1]));
      while (!paths.every((path) => held.has(path))) await new Promise(setImmediate);
      endHeld(restart - LONG_RESTARTS);
      configure(String(restart));
      // Always the process that was started first.
      program.kill("SIGUSR2");
      await logged("the new process serves", restart);
      await more();
      assert.equal((await fetchFresh("/version")).body, String(restart));
      assert.equal((await fetchFresh("/ready", adminPort)).status, 200);
    }
  } finally {
    outcome = await stopAll();
  }
  const { results, other } = outcome;
  context.diagnostic(`${RESTARTS} restarts; ${longAnswers.length} long answers`);
  for (const result of results) context.diagnostic(`HTTP/1.1 (TLS second): ${figuresOf(result)}`);
  context.diagnostic(`new connections: ${other.sent} requests, ${other.wrong.length} failed`);
  for (const { sent, again, wrong } of streams) {
    const figures = `${sent} sent, ${again} of them again, ${wrong.length} failed`;
    context.diagnostic(`HTTP/2 (TLS second): ${figures}`);
  }
  const cut = (await Promise.all(longAnswers)).filter((answer) => answer !== "begin,end");
  const wrong = [
    ...cut,
    ...results.flatMap(({ failures }) => failures),
    ...[other, ...streams].flatMap((one) => one.wrong),
  ];
  assert.deepEqual(wrong, [], `${wrong.join("\n")}\n${log}`);
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
