//! One of the two engines, whole: a `graylane up` with its pods, and either its own gateway and
//! sidecars or real Envoys in their place.

import { writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { explainUnsettled } from "../../examples/walkthrough/settled.ts";
import type { RuntimeStatus } from "../../src/api/types.ts";
import { freePort } from "../../src/base/testing/free-port.ts";
import type { Resource } from "../../src/resources/object.ts";
import { endEach, stopAll } from "../support/ending.ts";
import type { Envoy } from "../support/envoy.ts";
import { startGatewayEnvoy } from "../support/envoy-fleet.ts";
import { EnvoySidecars, QUICK_DRAIN } from "../support/envoy-sidecars.ts";
import { Graylane, KINDS, temporaryDirectory } from "../support/graylane.ts";
import { sendHttp1, sendHttp2 } from "./question.ts";
import type { Answer, Question } from "./question.ts";

export type EngineKind = "embedded" | "envoy";

export interface EngineOptions {
  readonly kind: EngineKind;
  /** Of Envoy. */
  readonly binary: string;
  /** The compiled `graylane`; absent: that of this tree. */
  readonly command?: string;
  readonly objects: readonly Resource[];
}

const APP = resolve("dist/test/parity/app.js");
const POLL_MS = 10;
/** How Envoys get the modules of plug-ins: `files` of this machine, or `fetched`, as elsewhere. */
const MODULES: "fetched" | "files" =
  process.env["GRAYLANE_PARITY_MODULES"] === "fetched" ? "fetched" : "files";

export class Engine {
  readonly kind: EngineKind;
  readonly graylane: Graylane;
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });
  /** One of each, or, of the embedded engine, none. */
  readonly #gateways: Envoy[] = [];
  readonly #sidecars: EnvoySidecars[] = [];

  private constructor(kind: EngineKind, graylane: Graylane, port: number) {
    this.kind = kind;
    this.graylane = graylane;
    this.#port = port;
  }

  /** Resolves when every pod is ready, and every worker and Envoy runs the configuration. */
  static async start({ kind, binary, command, objects }: EngineOptions): Promise<Engine> {
    const xdsPort = await freePort();
    const stateDirectory = temporaryDirectory();
    const xds = ["--xds", `127.0.0.1:${xdsPort}`, "--sidecars", "envoy"];
    const words = ["--workers", "1", "--image-map", imageMap(stateDirectory)];
    const graylane = await Graylane.start({
      files: [],
      stateDirectory,
      ownsState: true,
      waitsForPods: false,
      words: kind === "envoy" ? [...words, ...xds] : words,
      ...(command === undefined ? {} : { command }),
    });
    const port = kind === "envoy" ? await freePort() : graylane.port;
    const engine = new Engine(kind, graylane, port);
    try {
      await graylane.apply(textOf(objects));
      if (kind === "envoy") await engine.#startEnvoys(binary, xdsPort);
      await graylane.settle();
      await engine.published();
    } catch (error) {
      await engine.stop();
      throw error;
    }
    return engine;
  }

  /** Writes these and removes those; resolves when all run it. */
  async change(written: readonly Resource[], removed: readonly Resource[] = []): Promise<void> {
    if (written.length > 0) await this.#demand("apply", textOf(written));
    if (removed.length > 0) await this.#demand("delete", textOf(removed));
    await this.published();
  }

  /** Resolves when the pods are as the Deployments say, too. */
  async settle(): Promise<void> {
    await this.graylane.settle();
    await this.published();
  }

  /** Resolves when every worker and Envoy runs what was written. */
  async published(): Promise<void> {
    const { client } = this.graylane;
    const { resourceVersion } = await client.runtimeStatus();
    let why = "";
    await this.graylane.until(
      () => why,
      async () => {
        const status = await client.runtimeStatus();
        why = explainUnsettled(status, resourceVersion) || explainEnvoys(status);
        return why === "";
      },
    );
    this.#agent.destroy();
    await this.#drained();
  }

  /** Never rejects: a broken connection is an answer of status 0. */
  ask(question: Question): Promise<Answer> {
    if (question.isHttp2 === true) return sendHttp2(this.#port, question);
    return sendHttp1(this.#port, this.#agent, question);
  }

  /** The addresses of the pods with these labels, e.g. `app=a,lane=gray`. */
  async podAddresses(labelSelector: string): Promise<string[]> {
    const { items } = await this.graylane.client.list(KINDS.Pod, { labelSelector });
    return items.flatMap(({ status }) => (status as { podIP?: string } | undefined)?.podIP ?? []);
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await endEach(
      () => stopAll([...this.#gateways, ...this.#sidecars]),
      () => this.graylane.stop(),
    );
  }

  async #startEnvoys(binary: string, xdsPort: number): Promise<void> {
    const { graylane } = this;
    const sidecars = new EnvoySidecars(binary, xdsPort, {
      pods: async () => (await graylane.client.list(KINDS.Pod)).items,
      bootstrap: async (words) => {
        const all = [...words, "--modules", MODULES];
        const { exitCode, stdout, stderr } = await graylane.cli("envoy-bootstrap", ...all);
        if (exitCode !== 0) throw new Error(stderr);
        return stdout;
      },
    });
    this.#sidecars.push(sidecars);
    const options = {
      ...{ xdsPort, port: this.#port, id: "edge-1" },
      ...{ flags: QUICK_DRAIN, modules: MODULES },
    } as const;
    this.#gateways.push(await startGatewayEnvoy(binary, graylane, options));
  }

  async #drained(): Promise<void> {
    for (const envoy of [...this.#gateways, ...this.#sidecars.flatMap(({ envoys }) => envoys)]) {
      // One whose pod has gone is stopped.
      while (await envoy.isDraining()) await sleep(POLL_MS);
    }
  }

  /** The server's own writes of statuses are a conflict to `apply`, which is tried again then. */
  async #demand(word: "apply" | "delete", text: string): Promise<void> {
    const file = this.graylane.file(text);
    let said = "";
    await this.graylane.until(
      () => said,
      async () => {
        const { exitCode, stdout, stderr } = await this.graylane.cli(word, "-f", file);
        said = stdout + stderr;
        if (exitCode !== 0 && !said.includes("(Conflict)")) throw new Error(said);
        return exitCode === 0;
      },
    );
  }
}

/** Who of the Envoys lags behind. One that routes to nothing has asked for no endpoints. */
function explainEnvoys({ snapshot, envoys }: RuntimeStatus): string {
  const behind = envoys.filter(
    ({ types, snapshotVersion }) =>
      snapshotVersion !== snapshot?.version || Object.values(types).includes("STALE"),
  );
  return behind.map(({ id, error }) => `${id} is behind ${error}`).join(", ");
}

function textOf(objects: readonly Resource[]): string {
  return objects.map((one) => JSON.stringify(one)).join("\n---\n");
}

/** The parity suite's service in the place of every image of its own and of the examples. */
function imageMap(folder: string): string {
  const command = JSON.stringify(["{node}", APP]);
  const mse = "registry.cn-hangzhou.aliyuncs.com/mse-demo-hz/spring-cloud";
  const images = [
    ["parity/app:*", ""],
    ["registry-cn-hangzhou.ack.aliyuncs.com/ack-demo/go-http-sample:*", ""],
    [`${mse}-a:*`, "http://sc-b:20002/b"],
    [`${mse}-b:*`, "http://sc-c:20003/c"],
    [`${mse}-c:*`, ""],
  ];
  const lines = images.map(
    ([image, next]) =>
      `  - { image: "${image}", command: ${command}, env: [{ name: next_url, value: "${next}" }] }`,
  );
  const path = join(folder, "parity-images.yaml");
  writeFileSync(path, `workloads:\n${lines.join("\n")}\n`);
  return path;
}
