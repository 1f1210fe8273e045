//! A real `graylane controller` as a child process, on free ports.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { delay, systemClock } from "../../src/base/clock.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import { COMMAND } from "./graylane.ts";

const DEADLINE_MS = 60_000;
const POLL_MS = 30;
const OUTPUT_CHARS_MAX = 100_000;

export class Controller {
  readonly xdsPort: number;
  readonly #healthPort: number;
  readonly #state = mkdtempSync(join(tmpdir(), "graylane-controller-"));
  readonly #child: ChildProcess;
  #output = "";

  private constructor(kubeconfig: string, ports: readonly [xds: number, health: number]) {
    [this.xdsPort, this.#healthPort] = ports;
    const words = [
      ...["--state", this.#state, "controller", "--kubeconfig", kubeconfig],
      ...["--xds", `127.0.0.1:${this.xdsPort}`, "--health", `127.0.0.1:${this.#healthPort}`],
      ...["--lease-namespace", "graylane-system"],
    ];
    this.#child = spawn(process.execPath, [COMMAND, ...words], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const append = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    this.#child.stdout?.on("data", append);
    this.#child.stderr?.on("data", append);
  }

  /** Resolves when it serves. */
  static async start(kubeconfig: string): Promise<Controller> {
    const controller = new Controller(kubeconfig, [await freePort(), await freePort()]);
    try {
      await controller.until("up", () => controller.#output.includes("controller is up."));
    } catch (error) {
      await controller.stop();
      throw error;
    }
    return controller;
  }

  get output(): string {
    return this.#output;
  }

  /** What `/readyz` says. */
  async readyz(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#healthPort}/readyz`);
    return `${response.status} ${await response.text()}`;
  }

  async leads(): Promise<boolean> {
    return (await this.readyz()).includes("leads");
  }

  async until(what: string, is: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = systemClock.monotonicMs() + DEADLINE_MS;
    while (!(await is())) {
      if (this.#child.exitCode !== null || systemClock.monotonicMs() > deadline) {
        throw new Error(`the controller: not ${what}:\n${this.#output}`);
      }
      await delay(systemClock, POLL_MS);
    }
  }

  /** As a Pod ends. Resolves to the exit code. */
  async stop(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill("SIGTERM");
      await ended;
    }
    rmSync(this.#state, { recursive: true, force: true });
    return this.#child.exitCode;
  }
}
