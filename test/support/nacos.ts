//! A real server of Nacos' protocols for component tests: r-nacos, a re-implementation in Rust.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { delay, systemClock } from "../../src/base/clock.ts";
import { freePort, isFree } from "../../src/base/testing/free-port.ts";
import { execute } from "./go-component.ts";

const BUILD_MS_MAX = 1_180_000;
const READY_MS_MAX = 60_000;
const POLL_MS = 50;
const GRPC_PORT_OFFSET = 1_000;

export interface NacosUser {
  readonly name: string;
  readonly password: string;
}

export class NacosServer {
  /** Of the HTTP API; gRPC is at 1000 above. */
  readonly port: number;
  readonly #command: string;
  readonly #user: NacosUser | null;
  readonly #folder = mkdtempSync(join(tmpdir(), "graylane-nacos-"));
  #child: ChildProcess | null = null;

  private constructor(command: string, port: number, user: NacosUser | null) {
    this.#command = command;
    this.port = port;
    this.#user = user;
  }

  /** With a user everybody has to log in. */
  static async start(user: NacosUser | null = null): Promise<NacosServer> {
    const command = await findServer();
    let port = await freePort();
    while (!(await isFree(port + GRPC_PORT_OFFSET))) port = await freePort();
    const server = new NacosServer(command, port, user);
    await server.resume();
    return server;
  }

  /** At the same port, after `kill`. */
  async resume(): Promise<void> {
    const child = spawn(this.#command, [], { stdio: "ignore", env: this.#environment() });
    this.#child = child;
    const endMs = systemClock.monotonicMs() + READY_MS_MAX;
    while (!(await this.#answers())) {
      if (child.exitCode !== null || systemClock.monotonicMs() > endMs) {
        throw new Error(`r-nacos is not ready (exit code ${child.exitCode ?? "none"})`);
      }
      await delay(systemClock, POLL_MS);
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** As somebody does by hand in the console. */
  async setMetadata(
    instance: { readonly serviceName: string; readonly ip: string; readonly port: number },
    metadata: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { serviceName, ip, port } = instance;
    const query = new URLSearchParams({
      ...{ serviceName, ip, port: String(port), ephemeral: "true" },
      metadata: JSON.stringify(metadata),
    });
    const url = `http://127.0.0.1:${this.port}/nacos/v1/ns/instance?${query.toString()}`;
    const response = await fetch(url, { method: "PUT" });
    const text = await response.text();
    if (text !== "ok") throw new Error(`r-nacos answers ${response.status}: ${text}`);
  }

  /** That the server itself knows, e.g. `127.0.0.1:20001`. */
  async instancesOf(serviceName: string): Promise<string[]> {
    const path = `/nacos/v1/ns/instance/list?serviceName=${serviceName}`;
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`);
    const { hosts } = (await response.json()) as { hosts: { ip: string; port: number }[] };
    return hosts.map(({ ip, port }) => `${ip}:${port}`);
  }

  async #answers(): Promise<boolean> {
    try {
      const path = "/nacos/v1/ns/service/list?pageNo=1&pageSize=1";
      const { status } = await fetch(`http://127.0.0.1:${this.port}${path}`);
      // Whoever has not logged in is refused.
      return status === 200 || status === 403;
    } catch {
      return false;
    }
  }

  #environment(): NodeJS.ProcessEnv {
    const own = {
      RNACOS_HTTP_PORT: String(this.port),
      RNACOS_GRPC_PORT: String(this.port + GRPC_PORT_OFFSET),
      RNACOS_HTTP_CONSOLE_PORT: "0",
      RNACOS_SDK_HOST: "127.0.0.1",
      RNACOS_DATA_DIR: this.#folder,
    };
    const user = this.#user;
    return {
      ...process.env,
      ...own,
      ...(user === null
        ? {}
        : {
            RNACOS_ENABLE_OPEN_API_AUTH: "true",
            RNACOS_INIT_ADMIN_USERNAME: user.name,
            RNACOS_INIT_ADMIN_PASSWORD: user.password,
          }),
    };
  }
}

/** Its path: `$GRAYLANE_RNACOS`, or built once into the cache. */
async function findServer(): Promise<string> {
  const named = process.env["GRAYLANE_RNACOS"];
  if (named !== undefined && named !== "") return named;
  const words = [resolve("scripts/install-rnacos.mjs")];
  const ran = await execute(process.execPath, words, { timeout: BUILD_MS_MAX });
  if (ran.exitCode !== 0) throw new Error(`there is no r-nacos: ${ran.stderr}`);
  return ran.stdout.trim();
}
