//! The listener's checks (deadlines, limits, TLS) taken out one by one: a test must fail each time.
//! Not here, since another check holds the same: a certificate for a name that no server has is
//! refused when it is looked for, and once more when the handshake has ended.
//! Every sixth in a usual run; all:
//! GRAYLANE_MUTANTS=all node scripts/test.mjs --components listener-mutation

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";

const EVERY = process.env["GRAYLANE_MUTANTS"] === "all" ? 1 : 6;
const TEST_MS_MAX = 60_000;
const EXCHANGE = "exchange/exchange.test.js";
const ABUSE = "listener/http2-abuse.test.js";
const TLS = "listener/tls.test.js";
const HTTP2 = "listener/http2.test.js";
const OVERLOAD = "overload.test.js";
const PROXIED = "listener/proxied-socket.test.js";
const HTTP1 = "listener/downstream-connection.js";

interface Mutant {
  /** Below dist/src/dataplane, as the two tests' names. */
  readonly file: string;
  /** The check, as it stands in the compiled file, and what stands there instead. */
  readonly check: string;
  readonly instead: string;
  readonly heldBy: string;
}

const MUTANTS: readonly Mutant[] = [
  at(HTTP1, EXCHANGE, "exchange === null && this.#awaitsHead && this.#lingeringBytes", "0"),
  at(HTTP1, EXCHANGE, "this.#bodyWindowBytes >= REQUEST_BODY_BYTES_MIN", "true"),
  at(HTTP1, EXCHANGE, "this.#isPaused || this.#bodyWindowBytes >=", "0 >="),
  at(HTTP1, EXCHANGE, "context.sweeper.add(this)", "0"),
  at(HTTP1, EXCHANGE, "if (this.requestComplete)", "if (false)"),
  at("listener/http2-stream.js", HTTP2, "this.#bodyWindowBytes >= REQUEST_BODY_BYTES_MIN", "true"),
  at("listener/http2-stream.js", HTTP2, "this.#stream.isPaused || this.#bodyWindowBytes", "0"),
  at("listener/http2-abuse.js", ABUSE, "this.#resets > RESETS_PER_WINDOW_MAX", "false"),
  at("listener/http2-abuse.js", ABUSE, "this.#controls > CONTROLS_PER_WINDOW_MAX", "false"),
  at(
    "listener/http2-abuse.js",
    ABUSE,
    "this.#idleFrames > IDLE_FRAMES_PER_WINDOW_MAX",
    "false && 0",
  ),
  at("listener/http2-abuse.js", ABUSE, "nowMs < this.#windowEndMs", "nowMs < Infinity"),
  at("listener/listener.js", TLS, "return socket.authorized &&", "return"),
  at("listener/listener.js", TLS, "requestCert: tls.asksClients", "requestCert: false"),
  at("listener/listener.js", TLS, "handshakeTimeout: handshakeMs,", ""),
  at("listener/listener.js", TLS, "choice !== null && isKnown(socket, choice.server)", "true"),
  at("listener/listener.js", TLS, "ALPNProtocols: [...TLS_PROTOCOLS],", ""),
  at("listener/tls-contexts.js", TLS, "minVersion,\n        maxVersion,\n    }", "}"),
  at("listener/tls-contexts.js", TLS, "length <= bestLength", "false"),
  at("overload.js", OVERLOAD, "this.connectionCount >= this.limits.connectionsMax", "false"),
  at("overload.js", OVERLOAD, "this.#memoryPressure() >= MEMORY_VERY_FULL", "false"),
  at("overload.js", OVERLOAD, "cpuMs / lateForMs < OWN_WORK_MIN", "false"),
  at("overload.js", OVERLOAD, "now.taken - taken >= wanted", "true"),
  at("listener/proxied-socket.js", PROXIED, ": PROXY_HEADER_TIMEOUT_MS);", ": 1e9);"),
];

function at(file: string, heldBy: string, check: string, instead: string): Mutant {
  return { file, heldBy, check, instead };
}

/** A copy of the compiled sources, beside the same packages. */
function copy(): string {
  const folder = mkdtempSync(join(tmpdir(), "graylane-mutants-"));
  cpSync(resolve("dist/src"), join(folder, "dist", "src"), { recursive: true });
  cpSync(resolve("package.json"), join(folder, "package.json"));
  for (const name of ["node_modules", "plugins", "samples", "catalogue", "generated"]) {
    symlinkSync(resolve(name), join(folder, name));
  }
  return folder;
}

/** Whether the tests of that file pass. */
async function passes(folder: string, name: string): Promise<boolean> {
  const file = join(folder, "dist", "src", "dataplane", name);
  // Not as a part of this run: its failures are what is wanted.
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  const child = spawn(process.execPath, ["--test", "--test-timeout=20000", file], {
    ...{ cwd: folder, env, stdio: "ignore", timeout: TEST_MS_MAX },
  });
  return new Promise((done) =>
    child.once("exit", (code) => {
      done(code === 0);
    }),
  );
}

test("every check of the listener is held by a test", async (context) => {
  const folder = copy();
  const survivors: string[] = [];
  const chosen = MUTANTS.filter((_mutant, index) => index % EVERY === 0);
  try {
    for (const { file, check, instead, heldBy } of chosen) {
      const path = join(folder, "dist", "src", "dataplane", file);
      const source = readFileSync(path, "utf8");
      assert.equal(source.split(check).length, 2, `${file} has \`${check}\` once`);
      writeFileSync(
        path,
        source.replace(check, () => instead),
      );
      if (await passes(folder, heldBy)) survivors.push(`${file}: ${check}`);
      writeFileSync(path, source);
    }
    for (const name of new Set(chosen.map(({ heldBy }) => heldBy))) {
      assert.ok(await passes(folder, name), `${name} passes with nothing taken out`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const found = chosen.length - survivors.length;
  context.diagnostic(`mutation score: ${found} of ${chosen.length} (${MUTANTS.length} in all)`);
  assert.deepEqual(survivors, []);
});
