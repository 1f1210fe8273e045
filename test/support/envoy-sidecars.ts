//! An Envoy for each pod of a `graylane up --sidecars envoy`, for tests: started when the pod waits
//! for it, stopped when the pod has gone.

import { setTimeout as sleep } from "node:timers/promises";
import type { Resource } from "../../src/resources/object.ts";
import { allBegun, endEach, stopAll } from "./ending.ts";
import { Envoy } from "./envoy.ts";

const POLL_MS = 50;
/** Envoy's ten minutes are too long for a test. */
export const QUICK_DRAIN: readonly string[] = [
  ...["--drain-time-s", "1", "--drain-strategy", "immediate"],
];

export interface PodSource {
  pods(): Promise<readonly Resource[]>;
  /** Runs `graylane envoy-bootstrap` with these words; its output. */
  bootstrap(words: readonly string[]): Promise<string>;
}

export class EnvoySidecars {
  readonly #binary: string;
  readonly #xdsPort: number;
  readonly #source: PodSource;
  /** By pod, `<namespace>/<name>`. */
  readonly #envoys = new Map<string, Envoy>();
  /** What a pod said before its Envoy was started. */
  readonly waiting: string[] = [];
  #isStopped = false;
  readonly #following: Promise<void>;

  constructor(binary: string, xdsPort: number, source: PodSource) {
    this.#binary = binary;
    this.#xdsPort = xdsPort;
    this.#source = source;
    this.#following = this.#follow();
    // Who stops it is told.
    this.#following.catch(() => undefined);
  }

  get envoys(): readonly Envoy[] {
    return [...this.#envoys.values()];
  }

  get count(): number {
    return this.#envoys.size;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await endEach(
      () => this.#following,
      () => stopAll(this.#envoys.values()),
    );
  }

  async #follow(): Promise<void> {
    while (!this.#isStopped) {
      // Before the server is up, and while it ends, nobody answers.
      const pods = await this.#source.pods().catch(() => null);
      if (pods !== null) await this.#look(pods);
      await sleep(POLL_MS);
    }
  }

  async #look(pods: readonly Resource[]): Promise<void> {
    const names = new Set(pods.map(keyOf));
    const gone = [...this.#envoys].filter(([pod]) => !names.has(pod));
    const asking = pods.filter((pod) => !this.#envoys.has(keyOf(pod)) && messageOf(pod) !== "");
    for (const [pod] of gone) this.#envoys.delete(pod);
    await allBegun([
      ...gone.map(([, envoy]) => envoy.stop()),
      ...asking.map((pod) => this.#start(pod)),
    ]);
  }

  async #start(pod: Resource): Promise<void> {
    const { name, namespace = "default" } = pod.metadata;
    this.waiting.push(messageOf(pod));
    const envoy = await Envoy.start({
      binary: this.#binary,
      // The calls of a request come in at one Envoy worker and go out at another.
      concurrency: 2,
      flags: QUICK_DRAIN,
      bootstrap: async (adminPort) => {
        const text = await this.#source.bootstrap([
          ...["--role", "sidecar", "--pod", `${name}.${namespace}`],
          ...["--xds", `127.0.0.1:${this.#xdsPort}`, "--admin", `127.0.0.1:${adminPort}`],
        ]);
        return JSON.parse(text) as object;
      },
    });
    this.#envoys.set(keyOf(pod), envoy);
  }
}

function keyOf({ metadata: { name, namespace = "default" } }: Resource): string {
  return `${namespace}/${name}`;
}

interface PodStatus {
  readonly conditions?: readonly { readonly reason?: string; readonly message?: string }[];
}

/** Why it waits for an Envoy; `""`: it does not. */
function messageOf({ status }: Resource): string {
  const { conditions = [] } = (status ?? {}) as PodStatus;
  return conditions.find(({ reason }) => reason === "WaitingForEnvoy")?.message ?? "";
}
