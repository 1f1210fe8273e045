//! The page of examples/envoy-token-filter, run with its own envoy.yaml in real Envoy and in
//! `graylane envoy`: other ports, a quicker timer, and else what it says.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { parse } from "yaml";
import { delay, systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { endEach } from "../support/ending.ts";
import { Envoy, findEnvoy } from "../support/envoy.ts";
import type { EnvoyOptions } from "../support/envoy.ts";
import { ask, COMMAND } from "../support/graylane.ts";
import type { Answer } from "../support/graylane.ts";
import { sdkPlugin } from "../support/sdk-plugins.ts";

const FOLDER = "examples/envoy-token-filter";
const README = readFileSync(join(FOLDER, "README.md"), "utf8");
const UNTIL_MS_MAX = 60_000;
const TICK_MS = 500;
const WORKER_COUNT = 2;

const built = sdkPlugin("envoy-token-filter");
const binary = await findEnvoy();
const skip = built.kind === "missing" ? built.reason : false;
const engines: readonly {
  readonly name: string;
  readonly program: Pick<EnvoyOptions, "binary" | "words">;
  readonly skip: string | false;
  /** Envoy's main thread has one too. */
  readonly vmCount: number;
}[] = [
  {
    name: "graylane envoy",
    program: { binary: process.execPath, words: [COMMAND, "envoy"] },
    skip,
    vmCount: WORKER_COUNT,
  },
  {
    name: "Envoy",
    program: { binary: binary.kind === "found" ? binary.path : "" },
    skip: binary.kind === "missing" ? binary.reason : skip,
    vmCount: WORKER_COUNT + 1,
  },
];

/** What the page shows below `$ curl -i localhost:10000<path>`. Which token it is does not matter. */
function expectedLines(path: string): string[] {
  const command = `$ curl -i localhost:10000${path}\n`;
  const start = README.indexOf(command);
  assert.ok(start !== -1, `the page has ${command}`);
  const block = README.slice(start + command.length);
  return anyToken(block.slice(0, block.indexOf("```")).trim()).split("\n");
}

function anyToken(text: string): string {
  return text.replace(/token-\d+/g, "token-N");
}

/** As curl prints it; header names are in lower case. */
function lines({ status, headers, body }: Answer): string[] {
  const reason = status === 200 ? "OK" : "Service Unavailable";
  const fields = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}`);
  const [text = ""] = body.split("\n");
  return [`HTTP/1.1 ${status} ${reason}`, ...fields.map(anyToken), text];
}

async function until(what: () => string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = systemClock.monotonicMs() + UNTIL_MS_MAX;
  while (!(await isSo())) {
    assert.ok(systemClock.monotonicMs() < endMs, what());
    await delay(systemClock, 20);
  }
}

async function startService(port: number): Promise<ChildProcess> {
  const words = [join(FOLDER, "token-service.js"), String(port)];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

/** The example's own file, but for ports, the module's place and the period. */
function configuration(ports: { gateway: number; admin: number; service: number }): object {
  assert.ok(built.kind === "built");
  const changes: readonly (readonly [string, string])[] = [
    ["port_value: 10000", `port_value: ${ports.gateway}`],
    ["port_value: 9901", `port_value: ${ports.admin}`],
    ["port_value: 8080", `port_value: ${ports.service}`],
    ["filename: optimized.wasm", `filename: ${JSON.stringify(built.path)}`],
    ['"tickMilliseconds": 15000', `"tickMilliseconds": ${TICK_MS}`],
  ];
  let yaml = readFileSync(join(FOLDER, "envoy.yaml"), "utf8");
  for (const [from, to] of changes) {
    assert.equal(yaml.split(from).length, 2, `${from} is in envoy.yaml, once`);
    yaml = yaml.replace(from, to);
  }
  return parse(yaml) as object;
}

for (const { name, program, skip: why, vmCount } of engines) {
  suite(`examples/envoy-token-filter in ${name}`, { skip: why, timeout: 240_000 }, () => {
    let service: ChildProcess;
    let envoy: Envoy;
    let origin = "";

    before(async () => {
      const ports = { service: await freePort(), gateway: await freePort() };
      service = await startService(ports.service);
      origin = `http://127.0.0.1:${ports.gateway}`;
      envoy = await Envoy.start({
        ...program,
        bootstrap: (admin) => configuration({ ...ports, admin }),
        concurrency: WORKER_COUNT,
        componentLogLevel: "wasm:info",
      });
    });
    after(() =>
      endEach(
        () => envoy.stop(),
        () => service.kill(),
      ),
    );

    /** The threads, or processes, in which the plug-in has got a token. */
    function vms(): ReadonlySet<string> {
      const said = /\[(\d+)\]\[info\]\[wasm\].*has the token Bearer token-\d+/g;
      return new Set([...envoy.log.matchAll(said)].map(([, id = ""]) => id));
    }

    test("each worker's VM asks for a token of its own", async () => {
      await until(
        () => `tokens in the VMs ${[...vms()].join()}`,
        () => vms().size === vmCount,
      );
    });

    test("a response has what the page shows", async () => {
      const got = lines(await ask(origin));
      for (const line of expectedLines("/"))
        assert.ok(got.includes(line), `${line} in\n${got.join("\n")}`);
    });

    test("a crash costs its request, and the plug-in comes back", async () => {
      const crashed = lines(await ask(origin, { path: "/panic" }));
      for (const line of expectedLines("/panic")) assert.ok(crashed.includes(line), line);
      let last = "";
      await until(
        () => last,
        async () => {
          const got = lines(await ask(origin));
          last = got.join("\n");
          return expectedLines("/").every((line) => got.includes(line));
        },
      );
      assert.match(envoy.log, /asked to/);
    });
  });
}
