//! Real Envoys that a `graylane up` programs, and pods that live outside of it, for tests.

import { readFileSync } from "node:fs";
import { createServer, request as httpRequest } from "node:http";
import type { RequestListener, Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Server as SecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TlsOptions } from "node:tls";
import type { Resource } from "../../src/resources/object.ts";
import { Envoy } from "./envoy.ts";
import { KINDS } from "./graylane.ts";
import type { Answer, Graylane } from "./graylane.ts";

/** A server in this process that says who it is: a control plane may die, it serves on. */
export class Backend {
  readonly name: string;
  readonly port: number;
  readonly #server: Server | SecureServer;

  private constructor(name: string, port: number, server: Server | SecureServer) {
    this.name = name;
    this.port = port;
    this.#server = server;
  }

  /** `tls`: it speaks nothing else. It answers when all of a request has come. */
  static async start(name: string, tls?: TlsOptions): Promise<Backend> {
    const answer: RequestListener = (request, response) => {
      response.setHeader("x-seen", JSON.stringify(request.headers));
      request.resume().on("end", () => response.end(name));
    };
    const server = tls === undefined ? createServer(answer) : createSecureServer(tls, answer);
    // It would close what was idle for 5 s, and lose a request that crosses that.
    server.keepAliveTimeout = 0;
    await new Promise<void>((done) => {
      server.listen(0, "127.0.0.1", done);
    });
    return new Backend(name, (server.address() as AddressInfo).port, server);
  }

  /** As Pod of that label; its container port is the server's own. */
  async announce(graylane: Graylane, labels: Readonly<Record<string, string>>): Promise<void> {
    const pod = this.#pod(labels);
    const { client } = graylane;
    const created = await client.create(KINDS.Pod, pod);
    await client.updateStatus(KINDS.Pod, { ...created.resource, status: pod.status });
  }

  async stop(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  #pod(labels: Readonly<Record<string, string>>): Resource {
    const ports = [{ name: "http", containerPort: this.port }];
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: this.name, namespace: "default", labels },
      spec: { containers: [{ name: "app", image: "example/app", ports }] },
      status: {
        podIP: "127.0.0.1",
        phase: "Running",
        conditions: [{ type: "Ready", status: "True" }],
      },
    };
  }
}

/** A gateway Envoy with the bootstrap that `graylane envoy-bootstrap` prints. */
export async function startGatewayEnvoy(
  binary: string,
  graylane: Graylane,
  options: {
    readonly xdsPort: number;
    readonly port: number;
    readonly id: string;
    readonly xdsMode?: "delta" | "sotw";
    /** Absent: files. */
    readonly modules?: "fetched" | "files";
    readonly flags?: readonly string[];
    /** More of them, e.g. `443=8443`. */
    readonly portMap?: readonly string[];
    /** Absent: that of the control plane. */
    readonly token?: string;
  },
): Promise<Envoy> {
  const tokenFile = join(graylane.stateDirectory, "xds.token");
  const { token = readFileSync(tokenFile, "utf8").trim(), portMap = [] } = options;
  return Envoy.start({
    binary,
    flags: options.flags ?? [],
    env: { GRAYLANE_XDS_TOKEN: token },
    bootstrap: async (adminPort) => {
      const { stdout, stderr, exitCode } = await graylane.cli(
        ...["envoy-bootstrap", "--role", "gateway", "--gateway", "istio=ingressgateway"],
        ...["--id", options.id, "--xds", `127.0.0.1:${options.xdsPort}`, "--bind", "127.0.0.1"],
        ...["--map-port", `80=${options.port}`, "--admin", `127.0.0.1:${adminPort}`],
        ...portMap.flatMap((pair) => ["--map-port", pair]),
        ...(options.xdsMode === undefined ? [] : ["--xds-mode", options.xdsMode]),
        ...(options.modules === undefined ? [] : ["--modules", options.modules]),
      );
      if (exitCode !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as object;
    },
  });
}

/** One request with a Host of its own. Never rejects: a broken connection has status 0. */
export function askAt(question: {
  /** Left out: 127.0.0.1. */
  readonly address?: string;
  readonly port: number;
  readonly host: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly method?: string;
}): Promise<Answer> {
  const { address = "127.0.0.1", port, host, path, headers, method = "GET" } = question;
  return new Promise((done) => {
    const fail = (error: Error): void => {
      done({ status: 0, headers: {}, body: error.message });
    };
    const fields = { host, ...Object.fromEntries(headers) };
    const options = { host: address, port, path, method, headers: fields };
    const request = httpRequest(options, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (text: string) => (body += text));
      response.on("error", fail);
      response.on("end", () => {
        done({ status: response.statusCode ?? 0, headers: response.headers, body });
      });
    });
    request.on("error", fail);
    request.end();
  });
}
