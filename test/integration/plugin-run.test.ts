//! `graylane plugin run` as an author uses it: a gateway with one plug-in before an echo.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { freePort } from "../../src/base/testing/free-port.ts";
import { COMMAND } from "../support/graylane.ts";
import { guest } from "../support/guest.ts";

const folder = mkdtempSync(join(tmpdir(), "graylane-plugin-run-"));
after(() => {
  rmSync(folder, { recursive: true });
});

/** Logs its configuration, refuses that of 3 bytes, and sets `x-plugin: run` on requests. */
const FILE = written(
  "plugin.wasm",
  guest({
    imports: `(import "env" "proxy_get_buffer_bytes"
        (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
      (import "env" "proxy_add_header_map_value"
        (func $add (param i32 i32 i32 i32 i32) (result i32)))`,
    body: `(data (i32.const 16) "x-pluginrun")
      (func (export "proxy_on_configure") (param i32 i32) (result i32)
        (drop (call $buffer (i32.const 7) (i32.const 0) (local.get 1) (i32.const 0) (i32.const 4)))
        (drop (call $log (i32.const 2) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
        (i32.ne (local.get 1) (i32.const 3)))
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 0) (i32.const 16) (i32.const 8) (i32.const 24) (i32.const 3)))
        (i32.const 0))`,
  }),
);
const CONFIGURATION = written("config.json", Buffer.from('{"by": "file"}'));

function written(name: string, bytes: Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

interface Run {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
}

/** `use` is called when it serves; then it is interrupted, as by Ctrl-C. */
async function run(words: readonly string[], use?: () => Promise<void>): Promise<Run> {
  const child = spawn(process.execPath, [COMMAND, "plugin", "run", ...words]);
  let [stdout, stderr] = ["", ""];
  child.stderr.on("data", (part: Buffer) => (stderr += part.toString()));
  const exited = once(child, "close");
  const serves = new Promise<boolean>((resolve) => {
    child.stdout.on("data", (part: Buffer) => {
      stdout += part.toString();
      if (stdout.includes("Ctrl-C stops")) resolve(true);
    });
    void exited.then(() => {
      resolve(false);
    });
  });
  try {
    if (await serves) await use?.();
  } finally {
    child.kill("SIGINT");
    await exited;
  }
  return { stdout, stderr, exitCode: child.exitCode };
}

test("requests go through the plug-in to an echo, and its log has Envoy's form", async () => {
  const port = String(await freePort());
  const words = [FILE, "--port", port, "--config", `@${CONFIGURATION}`, "--root-id", "here"];
  const { stdout, stderr, exitCode } = await run(words, async () => {
    const url = `http://127.0.0.1:${port}/a?b=c`;
    const answer = await fetch(url, { method: "POST", body: "hello", headers: { "x-own": "1" } });
    assert.equal(answer.status, 200);
    const echo = (await answer.json()) as Record<string, unknown>;
    const { method, path, body, bytes } = echo;
    assert.deepEqual([method, path, body, bytes], ["POST", "/a?b=c", "hello", 5]);
    const headers = echo["headers"] as Record<string, string>;
    assert.deepEqual([headers["x-plugin"], headers["x-own"]], ["run", "1"]);
  });
  assert.match(stdout, new RegExp(`plugin.wasm runs at http://127.0.0.1:${port};`));
  assert.match(stderr, /\[info\]\[wasm\] .*wasm log plug-in here: \{"by": "file"\}/);
  assert.equal(exitCode, 0);
});

const REFUSED: readonly (readonly [name: string, words: () => Promise<string[]>, says: RegExp])[] =
  [
    [
      "a configuration that it does not take",
      async () => [FILE, "--port", String(await freePort()), "--config", "bad"],
      /wasm log plug-in: bad\n.*error: .*plugin\.wasm: The plug-in refused its configuration/s,
    ],
    [
      "a file that is no Wasm",
      async () => [CONFIGURATION, "--port", String(await freePort())],
      /error: .*config\.json: The file is not a Wasm module: it begins with .*\nGive a WebAssembly binary/,
    ],
    [
      "a file that is not there",
      () => Promise.resolve([join(folder, "none.wasm")]),
      /none\.wasm: there is no such file/,
    ],
    [
      "a configuration's file that is not there",
      () => Promise.resolve([FILE, "--config", `@${join(folder, "none.json")}`]),
      /--config @.*none\.json.*\n.*Name a file after the @/s,
    ],
    ["a port that is none", () => Promise.resolve([FILE, "--port", "70000"]), /--port 70000: not/],
    [
      "a port that is taken",
      async () => {
        const taken = createServer().listen(0, "127.0.0.1").unref();
        await once(taken, "listening");
        return [FILE, "--port", String((taken.address() as { port: number }).port)];
      },
      /GL0601: 127\.0\.0\.1:\d+ .*in use/,
    ],
  ];

for (const [name, words, says] of REFUSED) {
  test(`${name} is said, and the exit code is not 0`, async () => {
    const { stderr, exitCode } = await run(await words());
    assert.match(stderr, says);
    assert.equal(stderr.match(/The (plug-in refused|file is not)/g)?.length ?? 1, 1, stderr);
    assert.notEqual(exitCode, 0);
    assert.notEqual(exitCode, null);
  });
}
