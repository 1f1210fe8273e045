//! A plug-in whose start takes long comes to gateways that serve: a fresh worker starts it and
//! takes over, so that nobody waits for it. How long anybody waits is the machine's affair: printed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { OpenLoopClient } from "../../bench/support/open-loop.ts";
import { Graylane } from "../support/graylane.ts";
import { guest } from "../support/guest.ts";

const RATE_PER_SECOND = 100;
/** Some tenths of a second with fuel, and far from the five seconds that a start may last. */
const ROUNDS = 300_000_000;

const folder = mkdtempSync(join(tmpdir(), "graylane-long-start-"));
let graylane: Graylane;

before(async () => {
  graylane = await Graylane.start({ files: ["examples/asm-hash-tagging"] });
});
after(async () => {
  await graylane.stop();
  rmSync(folder, { recursive: true });
});

interface Start {
  readonly rounds: number;
  readonly traps?: boolean;
}

/** Answers carry `x-plugin: <version>`; a request with `x-trap` makes it trap. */
function plugin(version: "v1" | "v2" | "v3", { rounds, traps = false }: Start): Uint8Array {
  return guest({
    imports: `(import "env" "proxy_add_header_map_value"
      (func $add (param i32 i32 i32 i32 i32) (result i32)))
      (import "env" "proxy_get_header_map_value"
      (func $get (param i32 i32 i32 i32 i32) (result i32)))`,
    body: `
      (data (i32.const 16) "x-plugin${version}x-trap")
      (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $get (i32.const 0) (i32.const 26) (i32.const 6) (i32.const 0) (i32.const 4)))
        (if (i32.load (i32.const 4)) (then unreachable))
        (i32.const 0))
      (func (export "_initialize") (local $left i32)
        (local.set $left (i32.const ${rounds}))
        (loop $again
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br_if $again (i32.gt_s (local.get $left) (i32.const 0))))
        ${traps ? "unreachable" : ""})
      (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
        (drop (call $add (i32.const 2) (i32.const 16) (i32.const 8) (i32.const 24) (i32.const 2)))
        (i32.const 0))`,
  });
}

/** What the tests apply, made before: while it is made this process answers nobody. */
const FILES = {
  v1: fileOf(plugin("v1", { rounds: 1 })),
  long: fileOf(plugin("v2", { rounds: ROUNDS })),
  longAndFailing: fileOf(plugin("v3", { rounds: ROUNDS, traps: true })),
  v3: fileOf(plugin("v3", { rounds: 1 })),
};

function fileOf(bytes: Uint8Array): string {
  const file = join(folder, `${createHash("sha256").update(bytes).digest("hex")}.wasm`);
  writeFileSync(file, bytes);
  return file;
}

/** Does not wait until it runs. */
async function applyPlugin(file: string): Promise<void> {
  await graylane.apply(`apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: slow, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  url: file://${file}
`);
}

async function workers(): Promise<readonly string[]> {
  const { workers: all } = await graylane.client.runtimeStatus();
  return all.flatMap(({ id, role }) => (role === "gateway" ? id : []));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** A client that sends the same request again and again at one connection, as it is told. */
class Client {
  readonly #socket: Socket;
  #text = "";

  constructor(port: number) {
    this.#socket = connect({ port, host: "127.0.0.1" });
    this.#socket.on("data", (chunk) => {
      this.#text += chunk.toString();
    });
  }

  /** The head of the answer, or null when the connection has ended without one. */
  async ask(): Promise<string | null> {
    this.#text = "";
    this.#socket.write("GET / HTTP/1.1\r\nhost: a\r\nx-user-id: jack\r\n\r\n");
    for (;;) {
      const end = this.#text.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(this.#text)?.[1] ?? 0);
      if (end !== -1 && this.#text.length >= end + 4 + length) return this.#text;
      if (this.#socket.readableEnded) return null;
      await new Promise((resolve) => {
        this.#socket.once("data", resolve);
        this.#socket.once("close", resolve);
      });
    }
  }

  end(): void {
    this.#socket.destroy();
  }
}

/** `seen` holds by which version each request was answered. */
function load(seen: string[]): OpenLoopClient {
  return new OpenLoopClient({
    host: "127.0.0.1",
    port: graylane.port,
    ratePerSecond: RATE_PER_SECOND,
    timeoutMs: 30_000,
    request: (index) => ({
      bytes: "GET / HTTP/1.1\r\nhost: a\r\nx-user-id: jack\r\n\r\n",
      check({ status, head }) {
        const found = /\r\nx-plugin: (v\d)/.exec(head)?.[1] ?? "none";
        if (status !== 200) return `status ${status}: ${head}`;
        seen[index] = found;
        return null;
      },
    }),
  });
}

test("a long start is a fresh worker's: who served leaves, and no request fails", async (t) => {
  await applyPlugin(FILES.v1);
  await graylane.published();
  const before = await workers();
  assert.equal(before.length, 2, before.join());
  const { workers: all } = await graylane.client.runtimeStatus();
  const pids = all.flatMap(({ role, pid }) => (role === "gateway" && pid !== null ? pid : []));
  const idle = new Client(graylane.port);
  assert.match((await idle.ask()) ?? "", /x-plugin: v1/);

  const seen: string[] = [];
  const client = load(seen);
  t.after(() => client.stop());
  client.start();
  await applyPlugin(FILES.long);
  await graylane.until("both replaced", async () => {
    const now = await workers();
    return now.length === 2 && !now.some((id) => before.includes(id));
  });
  // It may be asked once more, and says that it is the last time.
  const last = (await idle.ask()) ?? "";
  assert.match(last, /x-plugin: v1/);
  assert.match(last, /connection: close/i);
  idle.end();
  await graylane.published();
  // Who is late is not waited for, on a busy machine.
  await graylane.until("both gone", () => pids.every((pid) => !isRunning(pid)));
  const settled = client.progress.sent;
  await graylane.until("asked again", () => client.progress.sent >= settled + RATE_PER_SECOND);
  const { failures, sent, latencyUs } = await client.stop();
  assert.deepEqual(failures, []);
  assert.deepEqual([...new Set(seen)].sort(), ["v1", "v2"]);
  assert.deepEqual([...new Set(seen.slice(settled))], ["v2"]);
  const ms = Math.round(latencyUs.max / 1_000);
  console.log(`${sent} requests beside a plug-in that starts long: ${ms} ms at most`);
});

test("after a trap a fresh worker makes it anew, and nobody waits for that", async (t) => {
  const before = await workers();
  const trapped = await graylane.ask({ headers: [["x-trap", "1"]] });
  assert.equal(trapped.status, 503);
  const client = new OpenLoopClient({
    ...{ host: "127.0.0.1", port: graylane.port, ratePerSecond: RATE_PER_SECOND },
    timeoutMs: 30_000,
    request: () => ({
      bytes: "GET / HTTP/1.1\r\nhost: a\r\nx-user-id: jack\r\n\r\n",
      check: ({ status, head }) => (status === 200 || status === 503 ? null : head),
    }),
  });
  t.after(() => client.stop());
  client.start();
  await graylane.until("one replaced", async () => {
    const now = await workers();
    return now.length === 2 && now.filter((id) => !before.includes(id)).length === 1;
  });
  const { failures, latencyUs } = await client.stop();
  assert.deepEqual(failures, []);
  await graylane.until("it answers everywhere", async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => graylane.ask({ headers: [["x-user-id", "jack"]] })),
    );
    return answers.every(({ status, headers }) => status === 200 && headers["x-plugin"] === "v2");
  });
  console.log(`beside one that is made anew: ${Math.round(latencyUs.max / 1_000)} ms at most`);
});

test("nobody who serves begins a start that is long and fails; what ran goes on", async (t) => {
  const before = await workers();
  const seen: string[] = [];
  const client = load(seen);
  t.after(() => client.stop());
  client.start();
  await applyPlugin(FILES.longAndFailing);
  await graylane.published();
  const { failures, latencyUs } = await client.stop();
  assert.deepEqual(failures, []);
  assert.deepEqual([...new Set(seen)], ["v2"]);
  assert.deepEqual(await workers(), before);
  const { stdout } = await graylane.cli("describe", "wasmplugin", "slow", "-n", "istio-system");
  assert.match(
    stdout.replace(/\s+/g, " "),
    /The plug-in failed to start: unreachable; the version and configuration that ran before go on/,
  );
  console.log(`beside one that fails: ${Math.round(latencyUs.max / 1_000)} ms at most`);
});

test("a plug-in that starts quickly is started where it serves", async () => {
  const before = await workers();
  await applyPlugin(FILES.v3);
  await graylane.published();
  const { headers } = await graylane.ask({ headers: [["x-user-id", "jack"]] });
  assert.equal(headers["x-plugin"], "v3");
  assert.deepEqual(await workers(), before);
});
