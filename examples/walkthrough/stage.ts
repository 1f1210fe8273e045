//! A running Graylane for one example: `graylane up` as a child, the command line against it, and
//! waiting for its status. Nothing here knows what an example is about.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ApiClient } from "../../src/api/client.ts";
import type { ClientFile, RuntimeStatus } from "../../src/api/types.ts";
import { delay } from "../../src/base/clock.ts";
import type { Clock } from "../../src/base/clock.ts";
import type { Resource } from "../../src/resources/object.ts";
import { explainEnvoys, explainUnsettled } from "./settled.ts";

export interface StageOptions {
  readonly name: string;
  /** The compiled command, e.g. dist/bin/graylane.js. */
  readonly command: string;
  /** Where the command runs; paths in the examples are relative to it. */
  readonly root: string;
  readonly files: readonly string[];
  /** Preferred port for the Gateway's port 80. */
  readonly port: number;
  /** How many Deployments the files have. */
  readonly deploymentCount: number;
  readonly clock: Clock;
  /** More words for `graylane up`. */
  readonly words?: readonly string[];
  /** Real Envoys in the place of the embedded engine; absent: none. */
  readonly envoys?: {
    /** Where requests go: an Envoy opens it for the Gateway's port 80. */
    readonly port: number;
    /** Called when the API answers. Resolves to what ends them. */
    readonly start: (stage: Stage) => Promise<StageEnvoys>;
  };
}

export interface CommandResult {
  readonly exitCode: number;
  /** Standard output and error as they came. */
  readonly output: string;
}

export interface StageEnvoys {
  /** Resolves when no connection is served by what was before. */
  readonly drained: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

const START_DEADLINE_MS = 60_000;
const SETTLE_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 30_000;
const POLL_MS = 25;
const GATEWAY_PORT = 80;
const LOG_CHARS_SHOWN_MAX = 4_000;

const DEPLOYMENTS = { group: "apps", version: "v1", plural: "deployments", namespaced: true };
const PODS = { group: "", version: "v1", plural: "pods", namespaced: true };

export class Stage {
  /** The embedded gateway. */
  readonly origin: string;
  /** Where requests go. */
  readonly entry: string;
  readonly stateDirectory: string;
  readonly port: number;
  readonly #options: StageOptions;
  readonly #child: ChildProcess;
  #client: ApiClient | null = null;
  #envoys: StageEnvoys | null = null;

  private constructor(options: StageOptions, stateDirectory: string, port: number) {
    this.#options = options;
    this.stateDirectory = stateDirectory;
    this.port = port;
    this.origin = `http://127.0.0.1:${port}`;
    this.entry = `http://127.0.0.1:${options.envoys?.port ?? port}`;
    this.#child = this.#spawnServer();
  }

  /** Resolves when every pod is ready and every worker runs the configuration. */
  static async start(options: StageOptions): Promise<Stage> {
    const stateDirectory = await mkdtemp(join(tmpdir(), `graylane-${options.name}-`));
    const stage = new Stage(options, stateDirectory, await findPort(options.port));
    try {
      await stage.#waitUntilStarted();
      if (options.envoys !== undefined) stage.#envoys = await options.envoys.start(stage);
      await stage.settle(options.deploymentCount);
    } catch (error) {
      const log = await stage.#readLog();
      await stage.stop();
      throw new Error(`${String(error)}\n${log}`, { cause: error });
    }
    return stage;
  }

  /** Runs one `graylane` command to its end. */
  run(words: readonly string[]): Promise<CommandResult> {
    const { command, root } = this.#options;
    const all = [command, ...words, "--state", this.stateDirectory];
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, all, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
      let output = "";
      const append = (chunk: Buffer): void => {
        output += chunk.toString();
      };
      child.stdout.on("data", append);
      child.stderr.on("data", append);
      child.on("error", reject);
      child.on("close", (code) => {
        resolve({ exitCode: code ?? 1, output });
      });
    });
  }

  /**
   * Resolves when the pods are as the Deployments say and every worker runs a snapshot that holds
   * all that was written before this call.
   */
  async settle(deploymentCount = 0): Promise<void> {
    const client = this.#connected();
    let why = "";
    await this.#poll(
      SETTLE_DEADLINE_MS,
      () => why,
      async () => {
        const deployments = (await client.list(DEPLOYMENTS)).items;
        const pods = (await client.list(PODS)).items;
        why = podsMissing(deployments, pods, deploymentCount);
        return why === "";
      },
    );
    const { resourceVersion } = await client.runtimeStatus();
    await this.#poll(
      SETTLE_DEADLINE_MS,
      () => why,
      async () => {
        const status = await client.runtimeStatus();
        why = explainUnsettled(status, resourceVersion);
        if (why === "" && this.#options.envoys !== undefined) why = explainEnvoys(status);
        return why === "";
      },
    );
    await this.#envoys?.drained();
  }

  /** Envoy says 404 without a word. */
  get explainsNoRoute(): boolean {
    return this.#options.envoys === undefined;
  }

  async status(): Promise<RuntimeStatus> {
    return this.#connected().runtimeStatus();
  }

  /** The addresses of the pods with this label. */
  async podAddresses(labelSelector: string): Promise<string[]> {
    const { items } = await this.#connected().list(PODS, { labelSelector });
    return items.flatMap(({ status }) => (status as { podIP?: string } | undefined)?.podIP ?? []);
  }

  async pods(): Promise<readonly Resource[]> {
    return (await this.#connected().list(PODS)).items;
  }

  /** Ends the server; its state goes with it. Harmless when it has ended. */
  async stop(): Promise<void> {
    try {
      await this.#envoys?.stop();
    } finally {
      await this.#stopServer();
    }
  }

  async #stopServer(): Promise<void> {
    const child = this.#child;
    let hung = false;
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise<NodeJS.Signals | null>((resolve) => {
        child.once("exit", (_code, signal) => {
          resolve(signal);
        });
      });
      child.kill("SIGTERM");
      const timer = this.#options.clock.after(STOP_DEADLINE_MS, () => child.kill("SIGKILL"));
      hung = (await gone) === "SIGKILL";
      timer.cancel();
    }
    await rm(this.stateDirectory, { recursive: true, force: true });
    if (hung) throw new Error(`graylane up did not end within ${STOP_DEADLINE_MS} ms of SIGTERM`);
  }

  #spawnServer(): ChildProcess {
    const { command, files, root, words: more = [] } = this.#options;
    const words = [
      ...["up", "-f", ...files, "--map-port", `${GATEWAY_PORT}=${this.port}`],
      ...["--api", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state", this.stateDirectory],
      ...more,
    ];
    const child = spawn(process.execPath, [command, ...words], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const log = createWriteStream(this.#logFile());
    log.on("error", () => undefined);
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    return child;
  }

  #logFile(): string {
    return join(this.stateDirectory, "up.log");
  }

  async #readLog(): Promise<string> {
    const text = await readFile(this.#logFile(), "utf8").catch(() => "");
    // What failed first says most.
    return text.slice(0, LOG_CHARS_SHOWN_MAX);
  }

  async #waitUntilStarted(): Promise<void> {
    const file = join(this.stateDirectory, "client.json");
    await this.#poll(
      START_DEADLINE_MS,
      () => `there is no ${file}`,
      async () => {
        const text = await readFile(file, "utf8").catch(() => null);
        if (text === null || text === "") return false;
        const { server, token } = JSON.parse(text) as ClientFile;
        const client = new ApiClient({ baseUrl: server, token });
        await client.runtimeStatus();
        this.#client = client;
        return true;
      },
    );
  }

  #connected(): ApiClient {
    if (this.#client === null) throw new Error("the server has not been started");
    return this.#client;
  }

  /** Asks until it is so. An error counts as "not yet"; the end of the server does not. */
  async #poll(deadlineMs: number, why: () => string, isSo: () => Promise<boolean>): Promise<void> {
    const { clock, name } = this.#options;
    const endMs = clock.monotonicMs() + deadlineMs;
    let lastError: unknown = null;
    for (;;) {
      if (this.#child.exitCode !== null) {
        throw new Error(`graylane up of ${name} ended with exit code ${this.#child.exitCode}`);
      }
      try {
        if (await isSo()) return;
        lastError = null;
      } catch (error) {
        lastError = error;
      }
      if (clock.monotonicMs() > endMs) break;
      await delay(clock, POLL_MS);
    }
    const reason = lastError instanceof Error ? lastError.message : why();
    throw new Error(`${name} is not ready after ${deadlineMs / 1_000} s: ${reason}`);
  }
}

/** The preferred port, or any other that is free. */
async function findPort(preferred: number): Promise<number> {
  return (await tryPort(preferred)) ?? (await tryPort(0)) ?? preferred;
}

function tryPort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => {
      resolve(null);
    });
    server.listen(port, "127.0.0.1", () => {
      const found = (server.address() as AddressInfo).port;
      server.close(() => {
        resolve(found);
      });
    });
  });
}

interface DeploymentShape {
  readonly spec?: { readonly replicas?: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly readyReplicas?: number;
    readonly updatedReplicas?: number;
  };
}

/** What is still missing, `""` when the pods are exactly those that the Deployments ask for. */
function podsMissing(
  deployments: readonly Resource[],
  pods: readonly Resource[],
  deploymentCount: number,
): string {
  if (deployments.length < deploymentCount) {
    return `${deployments.length} of ${deploymentCount} Deployments are there`;
  }
  let wantedCount = 0;
  for (const deployment of deployments) {
    const replicas = (deployment as DeploymentShape).spec?.replicas ?? 1;
    const readyCount = upToDateCount(deployment);
    if (readyCount !== replicas) {
      return `Deployment ${deployment.metadata.name} has ${readyCount} of ${replicas} pods ready`;
    }
    wantedCount += replicas;
  }
  return pods.length === wantedCount ? "" : `there are ${pods.length} pods, not ${wantedCount}`;
}

/** Ready pods of the newest template; -1 while the Deployment's change has not been seen. */
function upToDateCount(deployment: Resource): number {
  const {
    observedGeneration = 0,
    readyReplicas = 0,
    updatedReplicas = 0,
  } = (deployment as DeploymentShape).status ?? {};
  if (observedGeneration < (deployment.metadata.generation ?? 0)) return -1;
  return Math.min(readyReplicas, updatedReplicas);
}
