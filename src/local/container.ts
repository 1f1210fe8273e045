//! Keeps the app of one container running: starts it, waits until it listens, restarts it on a
//! crash.

import { connect } from "node:net";
import type { Clock } from "../base/clock.ts";
import type { AppHost, HeldApp } from "./app-keeper.ts";
import type { AppExit } from "./app-process.ts";
import { BackOff } from "./back-off.ts";
import { WRONG_BIND, addressInUse, wrongBind } from "./bind-check.ts";
import type { AppAddress } from "./bind-check.ts";
import type { LaunchFault } from "./command.ts";
import { listeningSockets } from "./listening.ts";
import type { ListeningSocket } from "./listening.ts";
import type { LogFile } from "./log-file.ts";

const PROBE_DELAY_FIRST_MS = 10;
const PROBE_DELAY_MAX_MS = 500;
/** Probes so far apart look where the app listens instead: that reads of every process there is. */
const LOOK_DELAY_MS = 160;
const PROBE_CONNECT_TIMEOUT_MS = 1_000;
/** How long output may still come after the app has ended. */
const OUTPUT_TIMEOUT_MS = 1_000;
/** After this long without listening, the status says what the app should do. */
const START_PATIENCE_MS = 10_000;

export interface ContainerRun {
  readonly kind: "run";
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
}

export type ContainerState =
  | {
      readonly kind: "waiting";
      /** `GL05nn`, or `""` while all is in order. */
      readonly code: string;
      readonly reason: string;
      readonly message: string;
    }
  | {
      readonly kind: "running";
      readonly startedAtMs: number;
      readonly isReady: boolean;
      readonly message: string;
    }
  | { readonly kind: "stopped" };

export interface LastExit extends AppExit {
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
}

/** What whoever looks after the container next must know of it. */
export interface ContainerHandover {
  readonly state: ContainerState;
  readonly restartCount: number;
  readonly lastExit: LastExit | null;
  /** Of the app that runs; null: none does. */
  readonly pid: number | null;
}

export interface ContainerDeps {
  readonly clock: Clock;
  readonly apps: AppHost;
  readonly log: LogFile;
  /** Asked before each start, so that a changed ConfigMap or image map takes effect. */
  readonly resolve: () => Promise<ContainerRun | LaunchFault>;
  /** Where the app is expected; the first decides whether it is ready. Empty: ready at once. */
  readonly listens: readonly AppAddress[];
  readonly stopGraceMs: number;
  readonly onChange: () => void;
  /** For tests; the default reads /proc. */
  readonly sockets?: (processGroup: number) => readonly ListeningSocket[] | null;
}

interface Running {
  readonly process: HeldApp;
  readonly startedAtMs: number;
}

interface RunOutcome {
  readonly code: string;
  readonly reason: string;
  readonly message: string;
  readonly ranMs: number;
}

export class ContainerRunner {
  readonly #deps: ContainerDeps;
  readonly #backOff = new BackOff();
  #state: ContainerState = waiting("", "ContainerCreating", "");
  #lastExit: LastExit | null = null;
  #restartCount = 0;
  #process: HeldApp | null = null;
  #loop: Promise<void> | null = null;
  #isStopping = false;
  /** Another one looks after the app from now on. */
  #isLetGo = false;
  #endFollowing: () => void = () => undefined;
  /** Why we ended the app ourselves: it bound the wrong address. */
  #verdict: LaunchFault | null = null;
  #endPause: () => void = () => undefined;

  constructor(deps: ContainerDeps) {
    this.#deps = deps;
  }

  get state(): ContainerState {
    return this.#state;
  }

  get restartCount(): number {
    return this.#restartCount;
  }

  get lastExit(): LastExit | null {
    return this.#lastExit;
  }

  start(): void {
    this.#loop ??= this.#keepRunning();
  }

  /** Goes on with what another one has let go. */
  adopt({ state, restartCount, lastExit, pid }: ContainerHandover): void {
    this.#state = state;
    this.#restartCount = restartCount;
    this.#lastExit = lastExit;
    const { kind } = state;
    const adopted = pid === null ? null : this.#deps.apps.attach(pid);
    const startedAtMs = kind === "running" ? state.startedAtMs : this.#deps.clock.nowMs();
    this.#loop ??= this.#keepRunning(adopted === null ? null : { process: adopted, startedAtMs });
  }

  /** Ends looking after the app, which goes on. Resolves when all that it wrote is in the log. */
  async letGo(): Promise<ContainerHandover> {
    this.#isStopping = true;
    this.#isLetGo = true;
    this.#endPause();
    const process = this.#process;
    process?.letGo();
    this.#endFollowing();
    await this.#loop;
    const { state, restartCount, lastExit } = this;
    return { state, restartCount, lastExit, pid: process === null ? null : process.pid };
  }

  /** SIGTERM, then SIGKILL after the grace; resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#endPause();
    const process = this.#process;
    if (process !== null) {
      process.signal("SIGTERM");
      const kill = this.#deps.clock.after(this.#deps.stopGraceMs, () => {
        process.signal("SIGKILL");
      });
      await process.exited;
      kill.cancel();
    }
    await this.#loop;
    this.#change({ kind: "stopped" });
  }

  async #keepRunning(adopted: Running | null = null): Promise<void> {
    let running = adopted;
    while (!this.#isStopping) {
      const outcome = running === null ? await this.#runOnce() : await this.#follow(running);
      running = null;
      if (this.#mustStop()) return;
      const delayMs = this.#backOff.next(outcome.ranMs);
      this.#change(waiting(outcome.code, outcome.reason, outcome.message));
      await this.#pause(delayMs);
    }
  }

  // A call, because the compiler takes the field for unchanged across an await.
  #mustStop(): boolean {
    return this.#isStopping;
  }

  async #runOnce(): Promise<RunOutcome> {
    const run = await this.#resolve();
    if (run.kind === "fault") return { ...run, ranMs: 0 };
    if (this.#mustStop()) return { code: "", reason: "Stopping", message: "", ranMs: 0 };
    return await this.#runApp(run);
  }

  async #resolve(): Promise<ContainerRun | LaunchFault> {
    try {
      return await this.#deps.resolve();
    } catch (cause) {
      const message = `the container was not set up: ${String(cause)}`;
      return { kind: "fault", code: "GL0505", reason: "CreateContainerError", message };
    }
  }

  async #runApp(run: ContainerRun): Promise<RunOutcome> {
    const { clock, log, apps } = this.#deps;
    if (this.#lastExit !== null) this.#restartCount++;
    log.clearTail();
    const startedAtMs = clock.nowMs();
    const process = apps.launch(run);
    this.#change({ kind: "running", startedAtMs, isReady: false, message: "" });
    return await this.#follow({ process, startedAtMs });
  }

  /** Until it has ended, or is let go. */
  async #follow({ process, startedAtMs }: Running): Promise<RunOutcome> {
    const { clock, log } = this.#deps;
    this.#verdict = null;
    this.#process = process;
    const startedMonotonicMs = clock.monotonicMs() - (clock.nowMs() - startedAtMs);
    const logged = Promise.all([pipe(process.stdout, log), pipe(process.stderr, log)]);
    const isReady = this.#state.kind === "running" && this.#state.isReady;
    const probed = isReady ? null : this.#probe(process, startedAtMs);
    const letGo = new Promise<null>((resolve) => {
      this.#endFollowing = () => {
        resolve(null);
      };
      if (this.#isLetGo) this.#endFollowing();
    });
    const exit = await Promise.race([process.exited, letGo]);
    this.#process = null;
    this.#endPause();
    await probed;
    await this.#endOfOutput(process, logged);
    if (exit === null) return { code: "", reason: "LetGo", message: "", ranMs: 0 };
    this.#lastExit = { ...exit, startedAtMs, finishedAtMs: clock.nowMs() };
    return { ...this.#reasonOf(exit), ranMs: clock.monotonicMs() - startedMonotonicMs };
  }

  /** A process that left the group may hold the pipes open: it is not waited for. */
  async #endOfOutput(process: HeldApp, logged: Promise<unknown>): Promise<void> {
    const timer = this.#deps.clock.after(OUTPUT_TIMEOUT_MS, () => {
      process.stdout.destroy();
      process.stderr.destroy();
    });
    await logged;
    timer.cancel();
  }

  #reasonOf(exit: AppExit): Omit<RunOutcome, "ranMs"> {
    const inUse = addressInUse(this.#deps.log.tail, this.#deps.listens);
    if (this.#verdict !== null) return this.#verdict;
    if (inUse !== null) return inUse;
    const how = exit.signal === null ? `exit code ${exit.code ?? "?"}` : exit.signal;
    return {
      code: "GL0509",
      reason: "CrashLoopBackOff",
      message: `the app ended with ${how}; it is started again with a growing delay`,
    };
  }

  /** Waits until the app accepts; finds out an app that listens where the sidecar should. */
  async #probe(process: HeldApp, startedAtMs: number): Promise<void> {
    const { clock, listens } = this.#deps;
    const first = listens[0];
    const beganMs = clock.monotonicMs();
    let delayMs = PROBE_DELAY_FIRST_MS;
    while (this.#process === process && !this.#isStopping) {
      if (first === undefined || (await accepts(first))) {
        if (this.#process !== process) return;
        this.#change({ kind: "running", startedAtMs, isReady: true, message: "" });
        return;
      }
      if (delayMs >= LOOK_DELAY_MS && this.#foundWrongBind(process)) return;
      if (clock.monotonicMs() - beganMs > START_PATIENCE_MS) this.#saySilent(startedAtMs, first);
      await this.#pause(delayMs);
      delayMs = Math.min(delayMs * 2, PROBE_DELAY_MAX_MS);
    }
  }

  #foundWrongBind(process: HeldApp): boolean {
    // 0: where it is started has not said yet.
    const { pid } = process;
    const sockets = pid === 0 ? null : (this.#deps.sockets ?? listeningSockets)(pid);
    const verdict = sockets === null ? null : wrongBind(sockets, this.#deps.listens);
    if (verdict === null) return false;
    this.#verdict = verdict;
    process.signal("SIGKILL");
    return true;
  }

  #saySilent(startedAtMs: number, first: AppAddress): void {
    if (this.#state.kind === "running" && this.#state.message !== "") return;
    const place = `${first.appAddress}:${first.appPort}`;
    const message = `the app runs but does not listen on ${place}; ${WRONG_BIND.remedy}`;
    this.#change({ kind: "running", startedAtMs, isReady: false, message });
  }

  #change(state: ContainerState): void {
    this.#state = state;
    this.#deps.onChange();
  }

  /** One pause at a time is pending: of the probe while the app runs, else of the back-off. */
  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#deps.clock.after(delayMs, resolve);
      this.#endPause = () => {
        timer.cancel();
        resolve();
      };
      if (this.#isStopping) this.#endPause();
    });
  }
}

function waiting(code: string, reason: string, message: string): ContainerState {
  return { kind: "waiting", code, reason, message };
}

async function pipe(stream: AsyncIterable<unknown>, log: LogFile): Promise<void> {
  try {
    for await (const chunk of stream) await log.append(chunk as Buffer);
  } catch {
    // The pipe broke or the disk is full: the app goes on, its output is lost.
  }
}

/** Opens a TCP connection and closes it. */
function accepts(address: AppAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address.appAddress, port: address.appPort });
    const end = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.setTimeout(PROBE_CONNECT_TIMEOUT_MS, () => {
      end(false);
    });
    socket.once("connect", () => {
      end(true);
    });
    socket.once("error", () => {
      end(false);
    });
  });
}
