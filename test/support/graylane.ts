//! A real `graylane up` as a child process, for tests: started on free ports with a state directory
//! of its own, asked through the command line, the API and the gateway, and ended in every way.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../src/base/testing/free-port.ts";
import { explainUnsettled } from "../../examples/walkthrough/settled.ts";
import { ApiClient, ApiError } from "../../src/api/client.ts";
import type { ApiKind, ClientFile } from "../../src/api/types.ts";
import { runCli } from "../../src/cli/program.ts";
import { cliDependencies } from "../../src/main/cli-dependencies.ts";
import { delay, systemClock } from "../../src/base/clock.ts";
import type { Resource } from "../../src/resources/object.ts";
import { programFile } from "./program.ts";

/** The compiled command: workers are started from it, so the sources alone do not do. */
export const COMMAND: string = programFile("graylane.js");

type KindName =
  | "Deployment"
  | "Pod"
  | "Service"
  | "VirtualService"
  | "Gateway"
  | "WasmPlugin"
  | "ASMSwimLane"
  | "ASMSwimLaneGroup"
  | "Lane"
  | "LaneGroup"
  | "DestinationRule"
  | "ServiceEntry";

export const KINDS: Readonly<Record<KindName, ApiKind>> = {
  Deployment: { group: "apps", version: "v1", plural: "deployments", namespaced: true },
  Pod: { group: "", version: "v1", plural: "pods", namespaced: true },
  Service: { group: "", version: "v1", plural: "services", namespaced: true },
  VirtualService: istio("networking.istio.io", "v1", "virtualservices"),
  DestinationRule: istio("networking.istio.io", "v1", "destinationrules"),
  ServiceEntry: istio("networking.istio.io", "v1", "serviceentries"),
  Gateway: istio("networking.istio.io", "v1", "gateways"),
  WasmPlugin: istio("extensions.istio.io", "v1alpha1", "wasmplugins"),
  ASMSwimLane: asm("asmswimlanes"),
  ASMSwimLaneGroup: asm("asmswimlanegroups"),
  Lane: istio("graylane.io", "v1alpha1", "lanes"),
  LaneGroup: istio("graylane.io", "v1alpha1", "lanegroups"),
};

function istio(group: string, version: string, plural: string): ApiKind {
  return { group, version, plural, namespaced: true };
}

function asm(plural: string): ApiKind {
  return { group: "istio.alibabacloud.com", version: "v1", plural, namespaced: false };
}

const CONFLICT = 409;
const DEADLINE_MS = 60_000;
const REQUEST_TIMEOUT_MS = 15_000;
const STOP_DEADLINE_MS = 30_000;
const POLL_MS = 20;
const OUTPUT_CHARS_MAX = 200_000;
const UP = "Graylane is up.";

export interface GraylaneOptions {
  /** Files and folders to apply at the start, relative to the root of the repository. */
  readonly files: readonly string[];
  /** Kept by `stop()`, unless `ownsState`. Absent: a temporary one that goes with `stop()`. */
  readonly stateDirectory?: string;
  readonly ownsState?: boolean;
  /** The compiled `graylane`; absent: that of this tree. */
  readonly command?: string;
  /** The port opened for the Gateway's port 80. Absent: a free one. */
  readonly port?: number;
  /** More words for `graylane up`. */
  readonly words?: readonly string[];
  /** False: do not wait for the pods of the Deployments, only for "Graylane is up.". */
  readonly waitsForPods?: boolean;
}

export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Answer {
  /** 0 when there was none; then the body says why. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Question {
  readonly path?: string;
  readonly method?: string;
  /** A name may stand more than once. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
}

export class Graylane {
  readonly stateDirectory: string;
  readonly port: number;
  /** The gateway, e.g. `http://127.0.0.1:41234`. */
  readonly origin: string;
  readonly #child: ChildProcess;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  readonly #ownsState: boolean;
  #output = "";
  #client: ApiClient | null = null;
  #fileCount = 0;

  private constructor(options: GraylaneOptions, port: number) {
    this.#ownsState = options.ownsState ?? options.stateDirectory === undefined;
    this.stateDirectory = options.stateDirectory ?? temporaryDirectory();
    this.port = port;
    this.origin = `http://127.0.0.1:${port}`;
    const { command = COMMAND } = options;
    this.#child = spawn(process.execPath, [command, ...upWords(options, this)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const append = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    this.#child.stdout?.on("data", append);
    this.#child.stderr?.on("data", append);
  }

  /** Resolves when it is up, every pod is ready and every worker runs the configuration. */
  static async start(options: GraylaneOptions): Promise<Graylane> {
    const graylane = new Graylane(options, options.port ?? (await freePort()));
    try {
      await graylane.until("up", () => graylane.#output.includes(UP));
      graylane.#connect();
      if (options.waitsForPods !== false) await graylane.settle();
    } catch (error) {
      await graylane.stop();
      throw error;
    }
    return graylane;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Standard output and error of `graylane up` so far. */
  get output(): string {
    return this.#output;
  }

  get client(): ApiClient {
    if (this.#client === null) throw new Error("the server is not up");
    return this.#client;
  }

  /** Runs one command against this server, to its end, in this process: see `runCommand`. */
  async cli(...words: readonly string[]): Promise<CommandResult> {
    return this.follow(words, () => undefined, AbortSignal.timeout(DEADLINE_MS));
  }

  /** As `cli`; `onText` is told what it has written by then, and `interrupted` is Ctrl-C. */
  async follow(
    words: readonly string[],
    onText: (stdout: string) => void,
    interrupted: AbortSignal,
  ): Promise<CommandResult> {
    let [stdout, stderr] = ["", ""];
    const write = (text: string): void => {
      onText((stdout += text));
    };
    const terminal = { stdout: { write }, stderr: { write: (text: string) => (stderr += text) } };
    const dependencies = cliDependencies(terminal, interrupted);
    const exitCode = await runCli([...words, "--state", this.stateDirectory], dependencies);
    return { exitCode, stdout, stderr };
  }

  /** Writes the text to a file of its own, which is removed with the state; returns its path. */
  file(text: string, name = "manifest.yaml"): string {
    const path = join(this.stateDirectory, `${(this.#fileCount += 1)}-${name}`);
    writeFileSync(path, text);
    return path;
  }

  /** `graylane apply` of a YAML text. Throws when it was refused. Does not wait. */
  async apply(yaml: string): Promise<CommandResult> {
    return this.#demand(await this.cli("apply", "-f", this.file(yaml)));
  }

  /** `graylane apply` of files and folders of the repository. Throws when it was refused. */
  async applyFiles(...files: readonly string[]): Promise<CommandResult> {
    return this.#demand(await this.cli("apply", ...files.flatMap((file) => ["-f", file])));
  }

  /**
   * Reads the object, lets `edit` make a new one of it, and writes that. Resolves when the write
   * is durable, not when workers have it: see `settle`.
   */
  async patch(
    kind: ApiKind,
    [namespace, name]: readonly [namespace: string, name: string],
    edit: (resource: Resource) => Resource,
  ): Promise<Resource> {
    for (;;) {
      const resource = await this.client.get(kind, namespace, name);
      try {
        return (await this.client.update(kind, edit(structuredClone(resource)))).resource;
      } catch (error) {
        // The server may have written its status in between.
        if (!(error instanceof ApiError) || error.code !== CONFLICT) throw error;
      }
    }
  }

  /**
   * Resolves when the pods are those that the Deployments ask for, and every worker runs a snapshot
   * that holds all that was written before.
   */
  async settle(): Promise<void> {
    let why = "";
    await this.until(
      () => why,
      async () => {
        const deployments = (await this.client.list(KINDS.Deployment)).items;
        const pods = (await this.client.list(KINDS.Pod)).items;
        return (why = podsMissing(deployments, pods)) === "";
      },
    );
    await this.published();
  }

  /** Resolves when every worker runs a snapshot that holds all that was written before. */
  async published(): Promise<void> {
    const { resourceVersion } = await this.client.runtimeStatus();
    let why = "";
    await this.until(
      () => why,
      async () => {
        why = explainUnsettled(await this.client.runtimeStatus(), resourceVersion);
        return why === "";
      },
    );
  }

  /** Asks until it is so; throws with the server's output when that takes too long or it ended. */
  async until(
    what: string | (() => string),
    isSo: () => boolean | Promise<boolean>,
  ): Promise<void> {
    const endMs = systemClock.monotonicMs() + DEADLINE_MS;
    while (!(await isSo())) {
      const { exitCode, signalCode } = this.#child;
      if (exitCode !== null || signalCode !== null) {
        throw new Error(`graylane up ended (${exitCode ?? signalCode})\n${this.#output}`);
      }
      if (systemClock.monotonicMs() > endMs) {
        const text = typeof what === "string" ? what : what();
        throw new Error(`not after ${DEADLINE_MS / 1_000} s: ${text}\n${this.#output}`);
      }
      await delay(systemClock, POLL_MS);
    }
  }

  /** One request to the gateway. Never rejects: a broken connection is an answer of status 0. */
  ask(question: Question = {}): Promise<Answer> {
    return ask(this.origin, question, this.#agent);
  }

  /** Asks it to end, as Ctrl-C does, and waits. Returns the exit code. Harmless when it ended. */
  async stop(): Promise<number | null> {
    this.#agent.destroy();
    const child = this.#child;
    let hung = false;
    if (child.exitCode === null && child.signalCode === null) {
      const gone = new Promise<NodeJS.Signals | null>((resolve) => {
        child.once("exit", (_code, signal) => {
          resolve(signal);
        });
      });
      child.kill("SIGTERM");
      const timer = systemClock.after(STOP_DEADLINE_MS, () => child.kill("SIGKILL"));
      hung = (await gone) === "SIGKILL";
      timer.cancel();
    }
    if (this.#ownsState) rmSync(this.stateDirectory, { recursive: true, force: true });
    if (hung) throw new Error(`graylane up did not end within ${STOP_DEADLINE_MS} ms of SIGTERM`);
    return child.exitCode;
  }

  /** Resolves to the exit code when it has ended by itself. */
  async ended(): Promise<number | null> {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      await new Promise((done) => child.once("exit", done));
    }
    return child.exitCode;
  }

  /** `kill -9` of the main process alone. The state stays. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended();
    this.#agent.destroy();
  }

  #connect(): void {
    const text = readFileSync(join(this.stateDirectory, "client.json"), "utf8");
    const { server, token } = JSON.parse(text) as ClientFile;
    this.#client = new ApiClient({ baseUrl: server, token });
  }

  #demand(result: CommandResult): CommandResult {
    if (result.exitCode === 0) return result;
    throw new Error(`refused (${result.exitCode})\n${result.stdout}${result.stderr}`);
  }
}

function upWords(
  { files, words = [] }: GraylaneOptions,
  { port, stateDirectory }: { readonly port: number; readonly stateDirectory: string },
): string[] {
  return [
    "up",
    ...files.flatMap((file) => ["-f", file]),
    ...["--map-port", `80=${port}`, "--api", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    ...["--state", stateDirectory, ...words],
  ];
}

/** A directory for one test's state. Who asks for it removes it. */
export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), "graylane-test-"));
}

/** Runs one `graylane` command to its end, whatever it says, in a process of its own. */
export function runCommand(words: readonly string[]): Promise<CommandResult> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [COMMAND, ...words], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: DEADLINE_MS,
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.on("error", fail);
    child.on("close", (code, signal) => {
      if (signal !== null) stderr += `\nended by ${signal}`;
      done({ exitCode: code ?? -1, stdout, stderr });
    });
  });
}

/** One request. Never rejects: a broken connection is an answer of status 0. */
export function ask(origin: string, question: Question = {}, agent?: Agent): Promise<Answer> {
  const { path = "/", method = "GET", headers = [], body: content } = question;
  return new Promise((done) => {
    const fail = (error: Error): void => {
      done({ status: 0, headers: {}, body: error.message });
    };
    const options = {
      method,
      timeout: REQUEST_TIMEOUT_MS,
      ...(agent === undefined ? {} : { agent }),
    };
    const request = httpRequest(new URL(origin), { ...options, path }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => (body += text));
      response.on("error", fail);
      response.on("end", () => {
        done({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    for (const [name, value] of headers) request.appendHeader(name, value);
    request.on("timeout", () => {
      request.destroy(new Error(`no answer within ${REQUEST_TIMEOUT_MS} ms`));
    });
    request.on("error", fail);
    request.end(content);
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
function podsMissing(deployments: readonly Resource[], pods: readonly Resource[]): string {
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
  const { status = {} } = deployment as DeploymentShape;
  const { observedGeneration = 0, readyReplicas = 0, updatedReplicas = 0 } = status;
  if (observedGeneration < (deployment.metadata.generation ?? 0)) return -1;
  return Math.min(readyReplicas, updatedReplicas);
}
