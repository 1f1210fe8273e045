//! The spare worker of gateways: it has the code of the plug-ins before it is needed, as they are now.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import type { Clock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import {
  forwardRoute,
  gatewaySnapshot,
  SOURCE,
} from "../../src/dataplane/testing/snapshot-maker.ts";
import { diffSnapshots, fullDelta, snapshotVersion } from "../../src/snapshot/delta.ts";
import type { Plugin, Snapshot } from "../../src/snapshot/snapshot.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { SPARE_DELAY_MS } from "../../src/main/spare-workers.ts";
import { WorkerFleet } from "../../src/main/worker-fleet.ts";
import { guest } from "../support/guest.ts";

const folder = mkdtempSync(join(tmpdir(), "graylane-spare-"));
after(() => {
  rmSync(folder, { recursive: true });
});

/** A plug-in that answers each request with that status. */
function plugin(status: number): Plugin {
  const bytes = guest({
    imports: `(import "env" "proxy_send_local_response"
      (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))`,
    body: `(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
      (drop (call $reply (i32.const ${status}) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1))) (i32.const 0))`,
  });
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const path = join(folder, `${sha256}.wasm`);
  writeFileSync(path, bytes);
  return {
    ...{ name: "p", source: SOURCE, module: { sha256, path }, configuration: "" },
    ...{ rootId: "", vmId: "", failMode: "closed", env: {} },
  };
}

function snapshotWith(one: Plugin): Snapshot {
  const snapshot = gatewaySnapshot(80, [forwardRoute("none")], { plugins: { p: one } });
  return { ...snapshot, version: snapshotVersion(snapshot) };
}

/** Null: nobody takes connections there. */
function statusAt(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const outgoing = request({ port, host: "127.0.0.1", agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    outgoing.on("error", () => {
      resolve(null);
    });
    outgoing.end();
  });
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) {
    await new Promise<void>((resolve) => {
      systemClock.after(5, resolve);
    });
  }
}

test("a worker that takes another's place, and is followed by a spare at once, has the code of the newest plug-ins, files or not", async () => {
  const port = await freePort();
  const [first, second] = [plugin(441), plugin(442)];
  let current = snapshotWith(first);
  let isWaitOver = true;
  const clock: Clock = {
    nowMs: () => systemClock.nowMs(),
    monotonicMs: () => systemClock.monotonicMs(),
    after: (ms, run, options) =>
      systemClock.after(
        ms,
        () => {
          if (ms !== SPARE_DELAY_MS || isWaitOver) run();
        },
        options,
      ),
  };
  const fleet = new WorkerFleet({
    ...{ gatewayCount: 1, sidecarCount: 0, clock, logger: silentLogger },
    worker: {
      ...{ gatewayHost: "127.0.0.1", portMap: { "80": port }, accessLogPath: "" },
      ...{ logLevel: "silent", logPath: "" },
    },
    onUp: (node) => void node.push(fullDelta(current)),
    onDown: () => undefined,
  });
  await fleet.start();
  const spareHas = (sha256: string): boolean => {
    const { loaded = [] } = fleet.spare("gateway") ?? {};
    return loaded.length === 1 && loaded[0] === sha256;
  };
  await until(() => spareHas(first.module.sha256));
  assert.equal(await statusAt(port), 441);

  const next = snapshotWith(second);
  const answer = await fleet.gateways[0]?.push(diffSnapshots(current, next));
  assert.deepEqual(answer, { ok: true, faults: [] });
  current = next;
  await until(() => spareHas(second.module.sha256));
  // Whoever serves from now on had the code before.
  rmSync(second.module.path);
  isWaitOver = false;
  const killed = fleet.gateways[0]?.pid ?? 0;
  process.kill(killed, "SIGKILL");
  await until(() => fleet.gateways[0]?.pid !== killed);
  await until(async () => (await statusAt(port)) === 442);
  await until(() => spareHas(second.module.sha256));
  await fleet.stop();
});
