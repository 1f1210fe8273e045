//! The life of `graylane up`: killed with everything and started again, told to end, and asked what
//! a deletion would do before it is done.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { delay, systemClock } from "../../src/base/clock.ts";
import type { Resource } from "../../src/resources/object.ts";
import { Graylane, KINDS, runCommand, temporaryDirectory } from "../support/graylane.ts";

const EXAMPLE = "examples/asm-hash-tagging";
const GONE_DEADLINE_MS = 60_000;
const POLL_MS = 20;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A zombie has ended; nobody has fetched its exit code yet.
  return !/^State:\s+Z/m.test(readOr(`/proc/${pid}/status`));
}

function readOr(path: string): string {
  return existsSync(path) ? readFileSync(path, "latin1") : "";
}

/** The main process, its workers, and everything that runs for a pod. */
async function processesOf(graylane: Graylane): Promise<number[]> {
  const { workers } = await graylane.client.runtimeStatus();
  const names = (await graylane.client.list(KINDS.Pod)).items.map(({ metadata }) => metadata.name);
  const pids = [graylane.pid, ...workers.map(({ pid }) => pid ?? 0), ...appsOf(names)];
  for (const pid of pids) assert.ok(isAlive(pid), `process ${pid} of ${pids.join()} is not there`);
  return pids;
}

/** Processes whose environment names one of the pods. Only Linux shows that. */
function appsOf(podNames: readonly string[]): number[] {
  if (!existsSync("/proc/self/environ")) return [];
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const apps = podNames.map((name) => {
    const mark = `\0POD_NAME=${name}\0`;
    return pids.filter((pid) => `\0${environmentOf(pid)}`.includes(mark)).map(Number);
  });
  for (const [index, own] of apps.entries()) {
    assert.ok(own.length > 0, `no process runs for pod ${podNames[index] ?? ""}`);
  }
  return apps.flat();
}

function environmentOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, "latin1");
  } catch {
    return "";
  }
}

async function assertGone(pids: readonly number[]): Promise<void> {
  const endMs = systemClock.monotonicMs() + GONE_DEADLINE_MS;
  let alive = pids.filter(isAlive);
  while (alive.length > 0 && systemClock.monotonicMs() < endMs) {
    await delay(systemClock, POLL_MS);
    alive = pids.filter(isAlive);
  }
  assert.deepEqual(alive, [], `of ${pids.join()} these are still there`);
}

async function versionOf(graylane: Graylane, user: string): Promise<string> {
  const { status, body } = await graylane.ask({ headers: [["x-user-id", user]] });
  return status === 200 ? (/mockc\(version: (\w+)/.exec(body)?.[1] ?? body) : `${status}: ${body}`;
}

/** What the user wrote, by kind and name: not what Graylane adds, such as pods and status. */
async function writtenObjects(graylane: Graylane): Promise<Map<string, unknown>> {
  const written = new Map<string, unknown>();
  for (const [kind, apiKind] of Object.entries(KINDS)) {
    if (kind === "Pod") continue;
    for (const { metadata, ...rest } of (await graylane.client.list(apiKind)).items) {
      const { name, namespace = "", uid, creationTimestamp, generation } = metadata;
      const { spec } = rest as Resource & { spec?: unknown };
      written.set(`${kind} ${namespace}/${name}`, { uid, creationTimestamp, generation, spec });
    }
  }
  return written;
}

suite("kill -9 of the whole, and a start from the state alone", () => {
  const state = temporaryDirectory();
  after(() => {
    rmSync(state, { recursive: true, force: true });
  });

  test("everything acknowledged is there, and nothing of the first run is left", async () => {
    const first = await Graylane.start({ files: [EXAMPLE], stateDirectory: state });
    let second: Graylane | null = null;
    try {
      await first.applyFiles(`${EXAMPLE}/steps/range-50.yaml`);
      const pids = await processesOf(first);
      assert.ok(pids.length >= 1 + 3 + 4, `only ${pids.join()}`);
      const written = await writtenObjects(first);
      // The last write is acknowledged when the kill comes.
      await first.patch(KINDS.Service, ["default", "mockc"], (service) => ({
        ...service,
        metadata: { ...service.metadata, labels: { last: "write" } },
      }));
      await first.kill();
      await assertGone(pids);

      second = await Graylane.start({ files: [], stateDirectory: state, port: first.port });
      assert.deepEqual(await writtenObjects(second), written);
      const service = await second.client.get(KINDS.Service, "default", "mockc");
      assert.deepEqual(service.metadata.labels, { last: "write" });
      const users = { jason: "v2", bob: "v2", stacy: "v2", jessie: "v2", jack: "v2", vance: "v1" };
      for (const [user, version] of Object.entries(users)) {
        assert.equal(await versionOf(second, user), version, user);
      }
    } finally {
      await first.kill();
      await second?.stop();
    }
  });
});

suite("graylane down", () => {
  const state = temporaryDirectory();
  after(() => {
    rmSync(state, { recursive: true, force: true });
  });

  test("ends every process, and the next command says that there is no server", async () => {
    const graylane = await Graylane.start({ files: [EXAMPLE], stateDirectory: state });
    try {
      const pids = await processesOf(graylane);
      const down = await graylane.cli("down");
      assert.equal(down.exitCode, 0, down.stderr);
      assert.equal(await graylane.ended(), 0, graylane.output);
      await assertGone(pids);
      assert.equal(existsSync(join(state, "client.json")), false);
      const next = await runCommand(["get", "pods", "--state", state]);
      assert.equal(next.exitCode, 1);
      assert.match(next.stderr, /no server found/);
    } finally {
      await graylane.stop();
    }
  });
});

suite("delete --dry-run", () => {
  let graylane: Graylane;
  before(async () => {
    graylane = await Graylane.start({ files: [EXAMPLE] });
  });
  after(async () => {
    await graylane.stop();
  });

  test("of the plug-in foretells the 404 of users without a tag, and changes nothing", async () => {
    const words = ["delete", "wasmplugin", "hash-tagging", "-n", "istio-system"];
    const { exitCode, stdout } = await graylane.cli(...words, "--dry-run");
    assert.equal(exitCode, 0);
    assert.match(stdout, /"hash-tagging" deleted \(dry run\)/);
    assert.match(stdout, /VirtualService istio-system\/swimlane-ingress-vs/);
    assert.match(stdout, /\b404\b/);
    assert.equal(await versionOf(graylane, "jack"), "v2");

    assert.equal((await graylane.cli(...words)).exitCode, 0);
    await graylane.published();
    assert.match(await versionOf(graylane, "jack"), /^404: no_route/);
    assert.equal(await versionOf(graylane, "jason"), "v2");
    await graylane.applyFiles(`${EXAMPLE}/wasm.yaml`);
    await graylane.published();
    assert.equal(await versionOf(graylane, "jack"), "v2");
  });

  test("of lane s2 foretells the fallback to s1, and changes nothing", async () => {
    const words = ["delete", "asmswimlane", "s2"];
    const { exitCode, stdout } = await graylane.cli(...words, "--dry-run");
    assert.equal(exitCode, 0);
    const foretold = stdout.split("\n").slice(1).join("\n");
    assert.match(foretold, /\bs2\b/);
    assert.match(foretold, /\bs1\b/);
    assert.equal(await versionOf(graylane, "jason"), "v2");

    assert.equal((await graylane.cli(...words)).exitCode, 0);
    await graylane.published();
    assert.equal(await versionOf(graylane, "jason"), "v1");
    assert.equal(await versionOf(graylane, "jack"), "v1");
  });
});
