import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { FakeClock } from "../base/fake-clock.ts";
import type { HeldApp } from "./app-keeper.ts";
import type { AppExit } from "./app-process.ts";
import { ContainerRunner } from "./container.ts";
import type { ContainerDeps } from "./container.ts";
import { LogFile } from "./log-file.ts";

class FakeApp implements HeldApp {
  readonly pid = 1;
  readonly stdout: PassThrough = new PassThrough();
  readonly stderr: PassThrough = new PassThrough();
  readonly exited: Promise<AppExit>;
  readonly signals: string[] = [];
  #exit: (exit: AppExit) => void = () => undefined;

  constructor() {
    this.exited = new Promise((resolve) => (this.#exit = resolve));
  }

  signal(signal: "SIGTERM" | "SIGKILL"): void {
    this.signals.push(signal);
    if (signal === "SIGKILL") this.end({ code: null, signal });
  }

  letGo(): void {
    this.stdout.end();
    this.stderr.end();
  }

  end(exit: AppExit): void {
    this.stdout.end();
    this.stderr.end();
    this.#exit(exit);
  }
}

interface Harness {
  readonly clock: FakeClock;
  readonly apps: FakeApp[];
  readonly runner: ContainerRunner;
}

function harness(deps: Partial<ContainerDeps> = {}): Harness {
  const clock = new FakeClock();
  const apps: FakeApp[] = [];
  const runner = new ContainerRunner({
    clock,
    apps: {
      launch: () => {
        const app = new FakeApp();
        apps.push(app);
        return app;
      },
      attach: () => assert.fail("nothing is handed over here"),
    },
    log: new LogFile(join(tmpdir(), `graylane-container-${process.pid}.log`), 1_000),
    resolve: () => Promise.resolve({ kind: "run", argv: ["app"], env: {}, workingDir: "/" }),
    listens: [],
    stopGraceMs: 10_000,
    onChange: () => undefined,
    ...deps,
  });
  runner.start();
  return { clock, apps, runner };
}

/** Lets everything that is ready to run do so. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("a crashing app is restarted with a growing delay, counted and explained", async () => {
  const { clock, apps, runner } = harness();
  await settle();
  apps[0]!.end({ code: 3, signal: null });
  await settle();
  clock.advance(0);
  await settle();
  assert.equal(apps.length, 2, "the first restart is immediate");
  assert.equal(runner.restartCount, 1);

  apps[1]!.end({ code: 3, signal: null });
  await settle();
  const { state } = runner;
  assert.equal(state.kind === "waiting" && state.reason, "CrashLoopBackOff");
  assert.match(state.kind === "waiting" ? state.message : "", /exit code 3/);
  clock.advance(999);
  await settle();
  assert.equal(apps.length, 2);
  clock.advance(1);
  await settle();
  assert.equal(apps.length, 3);
  apps[2]!.end({ code: null, signal: "SIGKILL" });
  await settle();
  assert.equal(runner.lastExit?.signal, "SIGKILL");
  await runner.stop();
  clock.advance(60_000);
  await settle();
  assert.equal(apps.length, 3, "a stopped container is not restarted");
});

test("stopping sends SIGTERM and after the grace SIGKILL", async () => {
  const { clock, apps, runner } = harness();
  await settle();
  const stopped = runner.stop();
  await settle();
  assert.deepEqual(apps[0]!.signals, ["SIGTERM"]);
  clock.advance(10_000);
  await stopped;
  assert.deepEqual(apps[0]!.signals, ["SIGTERM", "SIGKILL"]);
  assert.equal(runner.state.kind, "stopped");
});

test("a fault before the start waits, and what was missing is looked for again", async () => {
  let isMapped = false;
  const { clock, apps, runner } = harness({
    resolve: () =>
      Promise.resolve(
        isMapped
          ? { kind: "run", argv: ["app"], env: {}, workingDir: "/" }
          : { kind: "fault", code: "GL0501", reason: "ImageNotMapped", message: "no" },
      ),
  });
  await settle();
  assert.equal(runner.state.kind === "waiting" && runner.state.reason, "ImageNotMapped");
  isMapped = true;
  clock.advance(60_000);
  await settle();
  assert.equal(apps.length, 1);
  assert.equal(runner.restartCount, 0);
  apps[0]!.signal("SIGKILL");
  await runner.stop();
});

test("an app that never listens is told so after ten seconds and left running", async () => {
  const address = { containerPort: 8000, appAddress: "127.0.0.1", appPort: 1 };
  const { clock, apps, runner } = harness({ listens: [address], sockets: () => [] });
  for (let step = 0; step < 40; step++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    clock.advance(500);
  }
  await settle();
  const { state } = runner;
  assert.match(state.kind === "running" ? state.message : "", /does not listen on 127.0.0.1:1/);
  assert.equal(apps.length, 1);
  apps[0]!.signal("SIGKILL");
  await runner.stop();
});
