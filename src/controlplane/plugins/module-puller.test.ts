import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { FakeClock } from "../../base/fake-clock.ts";
import { ModuleCache } from "./module-cache.ts";
import { ModulePuller } from "./module-puller.ts";
import type { PullRequest } from "./module-puller.ts";
import type { PullFault } from "./pull-fault.ts";

const directory = mkdtempSync(join(tmpdir(), "graylane-puller-"));
after(() => {
  rmSync(directory, { recursive: true });
});

const WASM = Buffer.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
const DOWN: PullFault = { code: "GL0408", error: "down", remedy: "-", isTemporary: true };
const MISSING: PullFault = { code: "GL0407", error: "missing", remedy: "-", isTemporary: false };

type Outcome = { readonly bytes: Uint8Array } | PullFault;

const module = (mark: number): Outcome => ({
  bytes: Buffer.concat([WASM, Buffer.from([0, 1, mark])]),
});

function request(url: string, other: Partial<PullRequest> = {}): PullRequest {
  const rest = { sha256: "", dockerConfig: null, mayUseCached: true, revision: "" };
  return { url, ...rest, ...other };
}

let count = 0;
function setUp(cache?: ModuleCache): {
  readonly puller: ModulePuller;
  readonly cache: ModuleCache;
  readonly clock: FakeClock;
  readonly outcomes: Outcome[];
  readonly changed: () => Promise<void>;
  readonly fetchCount: () => number;
} {
  count += 1;
  const own =
    cache ?? new ModuleCache({ directory: join(directory, String(count)), inUse: () => [] });
  const clock = new FakeClock();
  const outcomes: Outcome[] = [];
  let fetches = 0;
  let notify = (): void => undefined;
  const puller = new ModulePuller({
    cache: own,
    clock,
    fetch: () => {
      fetches += 1;
      return Promise.resolve(outcomes.shift() ?? DOWN);
    },
    onChange: () => {
      notify();
    },
  });
  return {
    ...{ puller, cache: own, clock, outcomes },
    changed: () =>
      new Promise((resolve) => {
        notify = resolve;
      }),
    fetchCount: () => fetches,
  };
}

test("a module that was pulled is not pulled again, also by a new process", async () => {
  const { puller, outcomes, cache, fetchCount } = setUp();
  outcomes.push(module(1));
  const first = await puller.state(request("a:v1"));
  assert.equal(first.kind, "ready");
  assert.deepEqual(await puller.state(request("a:v1")), first);
  assert.equal(fetchCount(), 1);
  const later = setUp(cache);
  assert.deepEqual(await later.puller.state(request("a:v1")), first);
  assert.equal(later.fetchCount(), 0);
});

test("with the policy Always each new revision of the object pulls, no other pass", async () => {
  const { puller, outcomes, fetchCount } = setUp();
  outcomes.push(module(1), module(2));
  const always = { mayUseCached: false };
  const one = await puller.state(request("b:latest", { ...always, revision: "1" }));
  await puller.state(request("b:latest", { ...always, revision: "1" }));
  assert.equal(fetchCount(), 1);
  const two = await puller.state(request("b:latest", { ...always, revision: "2" }));
  assert.equal(fetchCount(), 2);
  assert.notDeepEqual(one, two);
});

test("what failed is tried again with a growing pause, until it is there", async () => {
  const { puller, outcomes, clock, changed, fetchCount } = setUp();
  outcomes.push(DOWN, DOWN, module(1));
  const failed = await puller.state(request("c:v1"));
  assert.deepEqual(failed, { kind: "failed", fault: DOWN });
  clock.advance(999);
  assert.equal(fetchCount(), 1);
  clock.advance(1);
  await new Promise(setImmediate);
  assert.equal(fetchCount(), 2);
  const isThere = changed();
  clock.advance(1_999);
  assert.equal(fetchCount(), 2);
  clock.advance(1);
  await isThere;
  assert.equal((await puller.state(request("c:v1"))).kind, "ready");
});

test("a registry that is down leaves what it gave before; one that says no does not", async () => {
  const { puller, outcomes } = setUp();
  outcomes.push(module(1), DOWN, MISSING);
  const old = await puller.state(request("d:latest", { mayUseCached: false, revision: "1" }));
  const down = await puller.state(request("d:latest", { mayUseCached: false, revision: "2" }));
  assert.ok(old.kind === "ready" && down.kind === "ready");
  assert.deepEqual(down.module, old.module);
  assert.equal(down.fault?.code, "GL0408");
  const no = await puller.state(request("d:latest", { mayUseCached: false, revision: "3" }));
  assert.equal(no.kind, "failed");
});

test("what is not wanted any more is not tried again", async () => {
  const { puller, clock, fetchCount } = setUp();
  await puller.state(request("e:v1"));
  puller.keepOnly([]);
  clock.advance(600_000);
  assert.equal(fetchCount(), 1);
});

test("a look pulls nothing", async () => {
  const { puller, fetchCount } = setUp();
  assert.deepEqual(await puller.peek(request("f:v1")), { kind: "pulling" });
  assert.equal(fetchCount(), 0);
});

test("what is no module is not kept", async () => {
  const { puller, outcomes } = setUp();
  outcomes.push({ bytes: Buffer.from("<html>") });
  const state = await puller.state(request("g:v1"));
  assert.ok(state.kind === "failed");
  assert.equal(state.fault.code, "GL0403");
});

test("a full cache loses what nobody uses, and keeps what runs", async () => {
  const inUse: string[] = [];
  const cache = new ModuleCache({
    directory: join(directory, "full"),
    inUse: () => inUse,
    bytesMax: 2 * (WASM.length + 3),
  });
  const keep = async (mark: number): Promise<{ sha256: string; path: string }> => {
    const outcome = module(mark);
    assert.ok("bytes" in outcome);
    return cache.keep(outcome.bytes);
  };
  const running = await keep(1);
  inUse.push(running.sha256);
  const unused = await keep(2);
  const newest = await keep(3);
  assert.ok(existsSync(running.path));
  assert.ok(!existsSync(unused.path));
  assert.ok(existsSync(newest.path));
});
