//! A real Redis for component tests: Debian's redis-server.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../src/base/testing/free-port.ts";
import { ensureCommand } from "./sdk-plugins.ts";

const READY_MS_MAX = 60_000;
const POLL_MS = 50;
const COMMAND = "redis-server";

/** Null: there is a Redis to start; else why not. With `CI=true` its want is an error. */
export function redisMissing(): string | null {
  const reason = ensureCommand(COMMAND, [COMMAND]);
  if (reason !== null && process.env["CI"] === "true") throw new Error(reason);
  return reason;
}

export class Redis {
  readonly port: number;
  readonly #password: string;
  #child: ChildProcess;

  private constructor(port: number, password: string) {
    this.port = port;
    this.#password = password;
    this.#child = this.#spawn();
  }

  static async start(password: string): Promise<Redis> {
    const redis = new Redis(await freePort(), password);
    await redis.#untilReady();
    return redis;
  }

  /** At the same port, with nothing of what was in it. */
  async restart(): Promise<void> {
    await this.stop();
    this.#child = this.#spawn();
    await this.#untilReady();
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  /** What it answers to one line, as it came. */
  async ask(line: string): Promise<string> {
    const socket = connect(this.port, "127.0.0.1");
    await once(socket, "connect");
    const send = async (text: string): Promise<string> => {
      socket.write(`${text}\r\n`);
      const [reply] = (await once(socket, "data")) as [Buffer];
      return reply.toString();
    };
    await send(`AUTH ${this.#password}`);
    const reply = await send(line);
    socket.destroy();
    return reply;
  }

  #spawn(): ChildProcess {
    const words = ["--port", String(this.port), "--bind", "127.0.0.1", "--save", ""];
    const secret = ["--requirepass", this.#password];
    return spawn(COMMAND, [...words, ...secret], { stdio: "ignore" });
  }

  async #untilReady(): Promise<void> {
    const endMs = performance.now() + READY_MS_MAX;
    for (;;) {
      const reply = await this.ask("PING").catch(() => "");
      if (reply === "+PONG\r\n") return;
      if (performance.now() > endMs || this.#child.exitCode !== null) {
        await this.stop();
        throw new Error(`${COMMAND} does not answer at port ${this.port}`);
      }
      await sleep(POLL_MS);
    }
  }
}
