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

/** Paths of PEM files. Clients must show a certificate of `ca`, unless none is asked for. */
export interface RedisTls {
  readonly certificate: string;
  readonly privateKey: string;
  readonly ca: string;
  readonly asksForNone?: boolean;
}

interface Settings {
  readonly password: string;
  /** In clear. */
  readonly port: number;
  readonly tlsPort: number;
  /** Null: in clear only. */
  readonly tls: RedisTls | null;
}

export class Redis {
  readonly port: number;
  readonly tlsPort: number;
  readonly #settings: Settings;
  #child: ChildProcess;

  private constructor(settings: Settings) {
    this.port = settings.port;
    this.tlsPort = settings.tlsPort;
    this.#settings = settings;
    this.#child = this.#spawn();
  }

  static async start(password: string, tls: RedisTls | null = null): Promise<Redis> {
    const [port, tlsPort] = [await freePort(), tls === null ? 0 : await freePort()];
    const redis = new Redis({ password, port, tlsPort, tls });
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
    await send(`AUTH ${this.#settings.password}`);
    const reply = await send(line);
    socket.destroy();
    return reply;
  }

  #spawn(): ChildProcess {
    const { port, tlsPort, tls, password } = this.#settings;
    const words = ["--port", String(port), "--bind", "127.0.0.1", "--save", ""];
    const secure =
      tls === null
        ? []
        : [
            ...["--tls-port", String(tlsPort), "--tls-ca-cert-file", tls.ca],
            ...["--tls-cert-file", tls.certificate, "--tls-key-file", tls.privateKey],
            ...["--tls-auth-clients", tls.asksForNone === true ? "no" : "yes"],
          ];
    const secret = ["--requirepass", password];
    return spawn(COMMAND, [...words, ...secure, ...secret], { stdio: "ignore" });
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
