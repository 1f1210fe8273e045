//! The end-to-end tests of proxy-wasm-go-sdk, as they are published, with `graylane envoy` in the
//! place of the `envoy` that they find in the PATH.
//!
//! Their examples are modules of their own, which the SDK's module does not hold: the plug-ins and
//! bootstraps are ours, and do what the tests ask of the examples. `GRAYLANE_SDK_TESTS=all` runs all
//! of them, which takes a minute; `GRAYLANE_SDK_ENVOY=1` runs them with real Envoy instead.

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { findEnvoy } from "../support/envoy.ts";
import { execute } from "../support/go-component.ts";
import { goSdkTests } from "../support/go-sdk.ts";
import { exampleBootstraps } from "../support/go-sdk-examples.ts";
import { COMMAND } from "../support/graylane.ts";
import { sdkPlugin } from "../support/sdk-plugins.ts";

const RUN_MS_MAX = 240_000;
/** Their limits are in real time, a start within 5 s: on a busy machine one may not keep them. */
const ATTEMPTS_MAX = 3;
const ALL = [
  ...["dispatch_call_on_tick", "foreign_call_on_tick", "helloworld", "http_auth_random"],
  ...["http_body", "http_headers", "http_routing", "json_validation", "metrics"],
  ...["multiple_dispatches", "network", "postpone_requests", "properties", "shared_data"],
  ...["shared_queue", "vm_plugin_configuration"],
];
/** HTTP, TCP, services and queues, and the metrics of the admin endpoints. */
const SHORT = ["http_headers", "metrics", "network", "shared_queue"];
const NAMES = process.env["GRAYLANE_SDK_TESTS"] === "all" ? ALL : SHORT;

const built = sdkPlugin("go-sdk-e2e");
const skip = built.kind === "missing" ? built.reason : false;

suite("the tests of proxy-wasm-go-sdk", { skip, timeout: 600_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), "graylane-go-sdk-"));
  const echo = createServer((request, response) => {
    request.pipe(response);
  });
  const started = join(folder, "started");
  let output = "";
  let listed = "";
  before(async () => {
    await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
    const { port: echoPort } = echo.address() as AddressInfo;
    const module = built.kind === "built" ? built.path : "";
    for (const [name, bootstrap] of Object.entries(exampleBootstraps({ module, echoPort }))) {
      mkdirSync(join(folder, "examples", name), { recursive: true });
      writeFileSync(join(folder, "examples", name, "envoy.yaml"), JSON.stringify(bootstrap));
    }
    mkdirSync(join(folder, "bin"));
    const script = `echo $$ >> '${started}'\nexec ${await envoyCommand()} "$@"\n`;
    writeFileSync(join(folder, "bin", "envoy"), `#!/bin/sh\n${script}`);
    chmodSync(join(folder, "bin", "envoy"), 0o755);
    // They look for the examples beside their own folder.
    const cwd = join(folder, "e2e");
    mkdirSync(cwd);
    const program = await goSdkTests();
    const env = { ...process.env, PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}` };
    listed = await runTests(["-test.list", "."]);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const left = NAMES.filter((name) => !hasPassed(name));
      if (left.length > 0) output += await runTests(["-test.v", "-test.run", patternOf(left)]);
      endStarted(started);
    }

    async function runTests(words: readonly string[]): Promise<string> {
      const { stdout, stderr } = await execute(program, words, { cwd, env, timeout: RUN_MS_MAX });
      return stdout + stderr;
    }
  });
  after(() => {
    echo.close();
    echo.closeAllConnections();
    rmSync(folder, { recursive: true });
  });

  const hasPassed = (name: string): boolean => {
    return new RegExp(`^--- PASS: Test_${name} `, "m").test(output);
  };

  for (const name of NAMES) {
    test(`Test_${name} passes`, () => {
      const from = output.lastIndexOf(`=== RUN   Test_${name}\n`);
      assert.ok(hasPassed(name), from === -1 ? output : output.slice(from));
    });
  }

  test("no test of the SDK is unknown here", () => {
    const names = [...listed.matchAll(/^Test_(\w+)$/gm)].map(([, name]) => name);
    assert.deepEqual(names.sort(), ALL);
  });
});

/** A test that gives a start up leaves it running, at the ports of the next one. */
function endStarted(file: string): void {
  if (!existsSync(file)) return;
  for (const line of readFileSync(file, "utf8").trim().split("\n")) {
    try {
      process.kill(Number(line), "SIGKILL");
    } catch {
      // It has ended.
    }
  }
  rmSync(file);
}

function patternOf(names: readonly string[]): string {
  return `^Test_(${names.join("|")})$`;
}

async function envoyCommand(): Promise<string> {
  if (process.env["GRAYLANE_SDK_ENVOY"] !== "1") return `${process.execPath} ${COMMAND} envoy`;
  const binary = await findEnvoy();
  return binary.kind === "found" ? binary.path : "false";
}
