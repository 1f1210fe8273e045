//! Pods of the services a -> b -> c as real Node processes with the agent and no sidecar, and the
//! lists of endpoints that tell them of each other.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { renameSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { delay, systemClock } from "../../base/clock.ts";
import { endpointListOf } from "../../snapshot/endpoint-list.ts";
import type { EndpointList } from "../../snapshot/endpoint-list.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Endpoint, LaneGroup, Snapshot } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import type { EndpointStatus } from "../endpoints/endpoint-watch.ts";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const POLL_MS = 20;
const PORTS = [8000, 8443, 8001, 8444, 9000] as const;
const own = new Agent({ keepAlive: false });

export interface PodOptions {
  /** `a-gray`: the service, and the lane or `base`. */
  readonly name: string;
  /** The service that it calls. */
  readonly next?: string;
  readonly agentUrl: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class ChainPod {
  readonly name: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly clients: readonly string[];
  readonly #child: ChildProcess;
  #stderr = "";

  private constructor(
    name: string,
    child: ChildProcess,
    ready: {
      readonly ports: Readonly<Record<string, number>>;
      readonly clients: readonly string[];
    },
  ) {
    this.name = name;
    this.ports = ready.ports;
    this.clients = ready.clients;
    this.#child = child;
  }

  static async start({ name, next = "", agentUrl, env = {} }: PodOptions): Promise<ChainPod> {
    const words = [
      "--import",
      agentUrl,
      `${FOLDER}chain.cjs`,
      `${FOLDER}localhost.pem`,
      name,
      next,
    ];
    const child = spawn(process.execPath, words, {
      env: { PATH: process.env["PATH"], POD_NAME: name, POD_NAMESPACE: "default", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    for await (const line of createInterface({ input: child.stdout })) {
      const pod = new ChainPod(name, child, JSON.parse(line) as ChainPod);
      pod.#stderr = stderr;
      child.stderr.on("data", (chunk: Buffer) => (pod.#stderr += chunk.toString()));
      return pod;
    }
    throw new Error(`${name} ended before it was ready: ${stderr}`);
  }

  /** Resolves to all that it has written to its log, when that says so. */
  async said(what: RegExp): Promise<string> {
    while (!what.test(this.#stderr)) await delay(systemClock, POLL_MS);
    return this.#stderr;
  }

  /** Names of the pods on the way; an object in the place of one that was not reached. */
  ask(client: string, headers: Readonly<Record<string, string>> = {}): Promise<unknown[]> {
    return this.#get(`/${encodeURIComponent(client)}`, headers) as Promise<unknown[]>;
  }

  status(): Promise<EndpointStatus> {
    return this.#get("/status", {}) as Promise<EndpointStatus>;
  }

  async until(isSo: (status: EndpointStatus) => boolean): Promise<void> {
    while (!isSo(await this.status())) await delay(systemClock, POLL_MS);
  }

  stop(): void {
    this.#child.kill("SIGKILL");
  }

  #get(path: string, headers: Readonly<Record<string, string>>): Promise<unknown> {
    const port = this.ports[8000] ?? 0;
    return new Promise((resolve, reject) => {
      get({ host: "127.0.0.1", port, path, headers, agent: own }, (response) => {
        text(response).then((body) => {
          resolve(JSON.parse(body));
        }, reject);
      }).on("error", reject);
    });
  }
}

type Pod = Pick<ChainPod, "name" | "ports">;

/** The list of these pods; a pod called `b-gray` is of service b and has the label `lane: gray`. */
export function listOf(pods: readonly Pod[], changes: Partial<LaneGroup> = {}): EndpointList {
  const services = [...new Set(pods.map(serviceOf))];
  const clusters: Record<string, Snapshot["clusters"][string]> = {};
  const endpoints: Record<string, { readonly endpoints: readonly Endpoint[] }> = {};
  for (const service of services) {
    for (const port of PORTS) {
      const host = `${service}.default.svc.cluster.local`;
      const name = `outbound|${port}||${host}`;
      const aliases = [service, `${service}.default`, `${service}.default.svc`, host];
      const about = {
        service: `default/${service}`,
        namespace: "default",
        connectTimeoutMs: 1_000,
      };
      clusters[name] = { name, host, aliases, port, ...about };
      const own = pods.filter((pod) => serviceOf(pod) === service);
      endpoints[name] = { endpoints: own.map((pod) => endpointOf(pod, port)) };
    }
  }
  const group: LaneGroup = {
    ...GROUP,
    services: services.map((each) => `default/${each}`),
    ...changes,
  };
  const laneGroups = { [group.name]: group };
  const snapshot = { ...EMPTY_SNAPSHOT, clusters, endpoints, laneGroups };
  return endpointListOf(snapshot, { withKeys: true });
}

/** A pod of that name at whose ports nobody listens, on another address of this machine. */
export function deadTwin({ name, ports }: Pod): Pod & { readonly address: string } {
  return { name: `${name}-dead`, ports, address: "127.0.0.2" };
}

const GROUP = laneGroupOf({
  name: "default/chain",
  gateways: [],
  lanes: [laneOf("gray"), laneOf("blue", { parents: ["gray"] })],
});

function serviceOf({ name }: Pod): string {
  return name.split("-")[0] ?? "";
}

function endpointOf(pod: Pod & { readonly address?: string }, servicePort: number): Endpoint {
  const version = pod.name.split("-")[1] ?? "base";
  return {
    address: pod.address ?? "127.0.0.1",
    port: pod.ports[servicePort] ?? 0,
    pod: `default/${pod.name}`,
    labels: version === "base" ? {} : { lane: version },
  };
}

/** As the control plane does it: nobody reads half of it. */
export function writeList(path: string, list: object): void {
  writeFileSync(`${path}.new`, JSON.stringify(list));
  renameSync(`${path}.new`, path);
}
