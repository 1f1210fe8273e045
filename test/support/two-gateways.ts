//! A real Envoy and the embedded gateway side by side, programmed by one `graylane up`, that are
//! asked the same and must come to the same.

import assert from "node:assert/strict";
import { freePort } from "../../src/base/testing/free-port.ts";
import { endEach, stopAll } from "./ending.ts";
import type { Envoy } from "./envoy.ts";
import { Backend, askAt, startGatewayEnvoy } from "./envoy-fleet.ts";
import { Graylane, KINDS } from "./graylane.ts";
import type { Answer } from "./graylane.ts";

export const LANE_HEADER = "x-lane";

export type Fields = readonly (readonly [name: string, value: string])[];

export interface Asked {
  readonly path?: string;
  readonly headers?: Fields;
  readonly method?: string;
}

/** What a request came to: the pod that answered, and the lane that it was told of. */
export interface Served {
  readonly status: number;
  readonly pod: string;
  readonly lane: string | null;
}

/** A Service `shop` behind a Gateway, whose pods are told apart by the label `lane`. */
const BASE = `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: default }
spec: { selector: { app: shop }, ports: [{ name: http, port: 8000, targetPort: http }] }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: entry, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]
`;

/** `http` is the list of a VirtualService for every host. */
export function routes(http = "[{ route: [{ destination: { host: shop } }] }]"): string {
  return `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop, namespace: default }
spec: { hosts: ["*"], gateways: [entry], http: ${http} }
`;
}

/** `more`: lines of the spec, each indented by two. */
export function laneGroup(more = "  fallback: permissive", name = "shops"): string {
  return `
---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: { name: ${name}, namespace: default }
spec:
  entry: { gateways: [{ name: entry }] }
  services: [{ name: shop }]
  baseline: { labelKeys: [lane] }
  context: { mode: header, routeHeader: ${LANE_HEADER} }
${more}
`;
}

export function lane(name: string, more: string): string {
  return `
---
apiVersion: graylane.io/v1alpha1
kind: Lane
metadata: { name: ${name}, namespace: default }
spec:
  group: shops
  selector: { matchLabels: { lane: ${name} } }
  ${more}
`;
}

export class TwoGateways {
  readonly graylane: Graylane;
  readonly #envoyPort: number;
  readonly #pods = new Map<string, Backend>();
  #envoy: Envoy | null = null;

  private constructor(graylane: Graylane, envoyPort: number) {
    this.graylane = graylane;
    this.#envoyPort = envoyPort;
  }

  /** With a pod of the baseline (`shop-base`) and one for each of the lanes (`shop-<lane>`). */
  static async start(binary: string, lanes: readonly string[]): Promise<TwoGateways> {
    const xdsPort = await freePort();
    const port = await freePort();
    const words = ["--xds", `127.0.0.1:${xdsPort}`];
    const graylane = await Graylane.start({ files: [], words, waitsForPods: false });
    const gateways = new TwoGateways(graylane, port);
    try {
      await graylane.apply(BASE + routes());
      await gateways.#addPod("shop-base", { app: "shop" });
      for (const name of lanes) await gateways.#addPod(`shop-${name}`, { app: "shop", lane: name });
      const options = { xdsPort, port, id: "edge-1" };
      gateways.#envoy = await startGatewayEnvoy(binary, graylane, options);
      await graylane.published();
    } catch (error) {
      await gateways.stop();
      throw error;
    }
    return gateways;
  }

  /**
   * Resolves when both run it. Statuses that the server writes meanwhile are a conflict to `apply`,
   * which is tried again then.
   */
  async apply(yaml: string): Promise<void> {
    const file = this.graylane.file(yaml);
    let said = "";
    await this.graylane.until(
      () => said,
      async () => {
        const { exitCode, stdout, stderr } = await this.graylane.cli("apply", "-f", file);
        said = stdout + stderr;
        if (exitCode !== 0 && !said.includes("(Conflict)")) throw new Error(said);
        return exitCode === 0;
      },
    );
    await this.graylane.published();
  }

  async addPod(lane: string): Promise<void> {
    await this.#addPod(`shop-${lane}`, { app: "shop", lane });
    await this.graylane.published();
  }

  async removePod(lane: string): Promise<void> {
    const name = `shop-${lane}`;
    await this.graylane.client.delete(KINDS.Pod, { namespace: "default", name });
    await this.graylane.published();
    await this.#pods.get(name)?.stop();
    this.#pods.delete(name);
  }

  /** Asks both, and demands one answer of them. */
  async ask({ path = "/", headers = [], method = "GET" }: Asked = {}): Promise<Served> {
    const question = { host: "shop.example.com", path, headers, method };
    const [ofEnvoy, embedded] = await Promise.all([
      askAt({ ...question, port: this.#envoyPort }),
      askAt({ ...question, port: this.graylane.port }),
    ]);
    const served = servedOf(ofEnvoy);
    assert.deepEqual(served, servedOf(embedded), `${method} ${path} ${JSON.stringify(headers)}`);
    return served;
  }

  /** Asks the Envoy alone. */
  async askEnvoy({ path = "/", headers = [], method = "GET" }: Asked = {}): Promise<Served> {
    const question = { host: "shop.example.com", path, headers, method };
    return servedOf(await askAt({ ...question, port: this.#envoyPort }));
  }

  async stop(): Promise<void> {
    await endEach(
      () => this.#envoy?.stop(),
      () => this.graylane.stop(),
      () => stopAll(this.#pods.values()),
    );
  }

  async #addPod(name: string, labels: Readonly<Record<string, string>>): Promise<void> {
    const pod = await Backend.start(name);
    this.#pods.set(name, pod);
    await pod.announce(this.graylane, labels);
  }
}

function servedOf({ status, body, headers }: Answer): Served {
  const seen = headers["x-seen"];
  if (seen === undefined) return { status, pod: "", lane: null };
  const fields = JSON.parse(String(seen)) as Record<string, string>;
  return { status, pod: body, lane: fields[LANE_HEADER] ?? null };
}
