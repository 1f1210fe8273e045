//! Pods of workloads that `graylane inject` has changed, without a kubelet: the API server has the
//! Pod, and this process runs its app and an Envoy with the very bootstrap of its container.

import { createServer, request } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { parse } from "yaml";
import { freePort } from "../../src/base/testing/free-port.ts";
import type { Controller } from "../support/controller.ts";
import { Envoy } from "../support/envoy.ts";
import type { Kubectl } from "../support/kubectl.ts";
import { readyAt } from "./kubernetes-shop.ts";

const LANE_HEADER = "x-shop-lane";

/** `front` calls `back` and `tax`; of `tax` no lane has a copy. */
const MESH: string = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: mesh, namespace: default }
spec:
  hosts: [mesh.example]
  gateways: [shop]
  http: [{ route: [{ destination: { host: front } }] }]
---
apiVersion: graylane.io/v1alpha1
kind: LaneGroup
metadata: { name: shop, namespace: default }
spec:
  entry: { gateways: [{ name: shop }] }
  services: [{ name: cart }, { name: front }, { name: back }, { name: tax }]
  context: { routeHeader: ${LANE_HEADER} }
${["front", "back", "tax"]
  .map(
    (name) => `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: default }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80, targetPort: http }] }
`,
  )
  .join("")}`;

/** Every kind that has Pods, as the profile `restricted` wants them. */
export function allKinds(): string {
  const pod = (restart: string): string => `
metadata:
  labels: { app: all }
spec:
  restartPolicy: ${restart}
  securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: RuntimeDefault } }
  containers:
  - name: app
    image: all
    ports: [{ containerPort: 8080 }]
    securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: [ALL] } }
`;
  const indented = (text: string, by: number): string =>
    text.replace(/\n(?=.)/g, `\n${" ".repeat(by)}`);
  const template = indented(pod("Always"), 4);
  const job = (by: number): string => indented(pod("Never"), by);
  const selector = "selector: { matchLabels: { app: all } }";
  const head = (version: string, kind: string): string =>
    `apiVersion: ${version}\nkind: ${kind}\nmetadata: { name: all }\nspec:\n`;
  const apps = ["Deployment", "DaemonSet", "ReplicaSet", "StatefulSet"].map((kind) => {
    const service = kind === "StatefulSet" ? "  serviceName: all\n" : "";
    return `${head("apps/v1", kind)}${service}  ${selector}\n  template:${template}`;
  });
  const cron = `  schedule: "0 1 * * *"\n  jobTemplate:\n    spec:\n      template:`;
  const list = `apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod${indented(
    pod("Always").replace("metadata:\n", "metadata:\n  name: listed\n"),
    2,
  )}`;
  return [
    ...apps,
    `${head("batch/v1", "Job")}  template:${job(4)}`,
    `${head("batch/v1", "CronJob")}${cron}${job(8)}`,
    list,
  ].join("---\n");
}

interface PodTemplate {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly initContainers: readonly { readonly args: readonly string[] }[];
    readonly containers: readonly {
      readonly env: readonly { readonly name: string; readonly value: string }[];
    }[];
  };
}

/** What the mesh runs in. */
export interface MeshWorld {
  readonly kubectl: Kubectl;
  readonly controller: Controller;
  /** Envoy's. */
  readonly binary: string;
  readonly apply: (text: string) => Promise<void>;
  /** `graylane inject`. */
  readonly inject: (text: string) => Promise<string>;
  readonly closing: (() => unknown)[];
}

const WAITING = /"node":"envoy\/sidecar-[a-z]+-[a-z]+-1\.default".*"a sidecar waits for its Pod"/g;

/** Pods with apps and Envoys: `front` and `back`, of each a baseline and one in the lane. */
export class Mesh {
  readonly #world: MeshWorld;
  readonly #pods: readonly MeshPod[];

  constructor(world: MeshWorld) {
    this.#world = world;
    const calls = ["back", "tax.default.svc.cluster.local"];
    this.#pods = [
      new MeshPod("front", "base", { address: "127.0.1.1", calls }),
      new MeshPod("front", "gray", { address: "127.0.1.2", calls }),
      new MeshPod("back", "base", { address: "127.0.1.3", calls: [] }),
      new MeshPod("back", "gray", { address: "127.0.1.4", calls: [] }),
    ];
  }

  /** Resolves when all are ready. `more`: a Pod without a sidecar. */
  async start(more: string): Promise<void> {
    const { kubectl, controller, binary, apply, inject, closing } = this.#world;
    const objects = [MESH, more];
    for (const pod of this.#pods) {
      closing.push(() => {
        pod.stop();
      });
      objects.push(pod.podOf(await inject(await pod.deployment())));
    }
    await apply(objects.join("\n---\n"));
    const starting = this.#pods.map(async (pod) => {
      const kept = await kubectl.demand("get", "pod", pod.name, "-o", "json");
      const envoy = await pod.start(kept, binary);
      closing.push(() => envoy.stop());
    });
    await controller.until("asked by all sidecars", () => {
      return new Set(controller.output.match(WAITING)).size === this.#pods.length;
    });
    // A kubelet tells the address first, and that the Pod is ready when its sidecar is.
    for (const { name } of this.#pods) await this.setReady(name, false);
    await Promise.all(starting);
    for (const { name } of this.#pods) await this.setReady(name, true);
  }

  async setReady(name: string, isReady: boolean): Promise<void> {
    const status = readyAt(this.#pod(name)?.address ?? "", isReady);
    await this.#world.kubectl.demand("patch", "pod", name, "--subresource=status", "-p", status);
  }

  /** What its app was told last to carry on. */
  carried(name: string): string | undefined {
    return this.#pod(name)?.carried.at(-1);
  }

  #pod(name: string): MeshPod | undefined {
    return this.#pods.find((one) => one.name === name);
  }
}

/** A Pod of the mesh, and who plays the kubelet for it. */
class MeshPod {
  readonly name: string;
  readonly address: string;
  /** What the app was told to carry on, for each request. */
  readonly carried: (string | undefined)[] = [];
  readonly #app: string;
  readonly #version: string;
  readonly #calls: readonly string[];
  readonly #server: Server;
  #outboundPort = 0;
  #proxy: URL | null = null;

  constructor(
    app: string,
    version: string,
    given: { readonly address: string; readonly calls: readonly string[] },
  ) {
    [this.name, this.#app, this.#version] = [`${app}-${version}-1`, app, version];
    [this.address, this.#calls] = [given.address, given.calls];
    this.#server = createServer((asked, answer) => {
      this.carried.push(asked.headers["x-graylane-carry"] as string | undefined);
      this.#answer(asked).then(
        (text) => answer.end(text),
        (error: unknown) => answer.writeHead(500).end(String(error)),
      );
    });
  }

  /** A Deployment of such Pods, whose app listens on loopback only. */
  async deployment(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.#outboundPort = await freePort();
    const { port } = this.#server.address() as AddressInfo;
    // What has no label of lanes is the baseline.
    const version = this.#version === "base" ? "" : `, version: ${this.#version}`;
    const labels = `{ app: ${this.#app}${version} }`;
    return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${this.#app}-${this.#version}, namespace: default }
spec:
  selector: { matchLabels: ${labels} }
  template:
    metadata: { labels: ${labels} }
    spec:
      containers:
      - { name: app, image: ${this.#app}, ports: [{ name: http, containerPort: ${port} }] }
`;
  }

  /** Of the Deployment as injected: all Pods of this machine have one loopback. */
  podOf(injected: string): string {
    const own = injected
      .replaceAll("127.0.0.1:15001", `127.0.0.1:${this.#outboundPort}`)
      .replace('outbound-port": "15001"', `outbound-port": "${this.#outboundPort}"`)
      .replace('outbound-port: "15001"', `outbound-port: "${this.#outboundPort}"`);
    const { spec } = parse(own) as { readonly spec: { readonly template: PodTemplate } };
    const { metadata, spec: podSpec } = spec.template;
    const { name } = this;
    return JSON.stringify({
      ...{ apiVersion: "v1", kind: "Pod", metadata: { ...metadata, name, namespace: "default" } },
      spec: { ...podSpec, automountServiceAccountToken: false },
    });
  }

  /** What a kubelet starts for a Pod that the API server has. */
  async start(pod: string, binary: string): Promise<Envoy> {
    const { spec } = JSON.parse(pod) as PodTemplate;
    const env = spec.containers[0]?.env ?? [];
    this.#proxy = new URL(env.find(({ name }) => name === "http_proxy")?.value ?? "");
    const readyPort = await freePort();
    return Envoy.start({
      binary,
      concurrency: 2,
      bootstrap: (adminPort) => {
        const text = (spec.initContainers.at(-1)?.args[1] ?? "")
          .replaceAll("$(POD_NAME)", this.name)
          .replaceAll("$(POD_NAMESPACE)", "default")
          .replaceAll('"port_value":15000', `"port_value":${adminPort}`)
          .replace('"port_value":15021', `"port_value":${readyPort}`);
        return JSON.parse(text) as object;
      },
    });
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer({ headers }: IncomingMessage): Promise<string> {
    const lane = headers[LANE_HEADER];
    const carried = typeof lane === "string" ? { [LANE_HEADER]: lane } : {};
    const said = await Promise.all(this.#calls.map((host) => this.#call(host, carried)));
    return [`${this.#app} ${this.#version}`, ...said].join(", ");
  }

  /** By its proxy, as curl does. */
  #call(host: string, headers: Readonly<Record<string, string>>): Promise<string> {
    const { hostname, port } = this.#proxy ?? {};
    const where = { host: hostname, port, path: `http://${host}/` };
    return new Promise((resolve, reject) => {
      const call = request({ ...where, headers: { ...headers, host }, agent: false }, (answer) => {
        answer
          .setEncoding("utf8")
          .toArray()
          .then((parts: string[]) => {
            resolve(parts.join(""));
          }, reject);
      });
      call.on("error", reject);
      call.end();
    });
  }
}
