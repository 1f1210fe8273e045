//! One attempt to fetch a plug-in's code from a cluster: its load balancer chooses the endpoint,
//! and the connection is in TLS and speaks HTTP/2 where the cluster says so.

import { createHash } from "node:crypto";
import { request } from "node:http";
import { connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Readable } from "node:stream";
import type { Clock } from "../base/clock.ts";
import type { Prng } from "../base/prng.ts";
import { MODULE_BYTES_MAX } from "../controlplane/plugins/resolve-modules.ts";
import { Balancer } from "../dataplane/upstream/balancer.ts";
import { RenewedDial } from "../dataplane/upstream/renewed-dial.ts";
import { tlsFailure } from "../dataplane/upstream/tls-dial.ts";
import { dialled } from "../dataplane/upstream/upstream.ts";
import type { RemoteSource } from "../envoy/remote-code.ts";
import type { Cluster, Endpoint, Snapshot } from "../snapshot/snapshot.ts";

const HTTP_OK = 200;
const USER_AGENT = "graylane";

export interface RemoteFetchDeps {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly snapshot: Pick<Snapshot, "clusters" | "endpoints">;
  readonly stopped: AbortSignal;
}

type End = (outcome: Uint8Array | string) => void;

interface Asked {
  readonly host: string;
  readonly path: string;
  readonly scheme: "http" | "https";
}

export class RemoteFetch {
  readonly #deps: RemoteFetchDeps;
  /** By the name of the cluster: one after the other takes its turn. */
  readonly #balancers = new Map<string, Balancer>();
  readonly #active = new Map<Endpoint, number>();

  constructor(deps: RemoteFetchDeps) {
    this.#deps = deps;
  }

  /** A text: why there is none. */
  async fetch(source: RemoteSource): Promise<Uint8Array | string> {
    const { clusters, endpoints } = this.#deps.snapshot;
    const { cluster: name } = source;
    const cluster = Object.hasOwn(clusters, name) ? clusters[name] : undefined;
    if (cluster === undefined) return `static_resources has no cluster ${JSON.stringify(name)}`;
    const endpoint = this.#pick(cluster, endpoints[name]?.endpoints ?? []);
    if (endpoint === undefined) return `the cluster ${name} has no endpoint`;
    const where = `${endpoint.address}:${endpoint.port}`;
    const socket = this.#dial(cluster, endpoint);
    if (typeof socket === "string") return `${where} ${socket}`;
    this.#active.set(endpoint, this.#activeCount(endpoint) + 1);
    const got = await ask(socket, { cluster, source }, this.#deps);
    this.#active.set(endpoint, this.#activeCount(endpoint) - 1);
    if (typeof got === "string") return `${where}: ${got}`;
    const own = createHash("sha256").update(got).digest("hex");
    if (own === source.sha256) return got;
    return `${where}: what it sent has the SHA-256 ${own}, not ${source.sha256}`;
  }

  #pick(cluster: Cluster, endpoints: readonly Endpoint[]): Endpoint | undefined {
    if (endpoints.length === 0) return undefined;
    const policy = cluster.policy?.loadBalancer ?? { kind: "random" };
    const balancer = this.#balancers.get(cluster.name) ?? new Balancer(policy);
    this.#balancers.set(cluster.name, balancer);
    const activeCount = (endpoint: Endpoint): number => this.#activeCount(endpoint);
    const input = { prng: this.#deps.prng, hash: null, activeCount };
    return endpoints[balancer.pick(endpoints, input)];
  }

  #activeCount(endpoint: Endpoint): number {
    return this.#active.get(endpoint) ?? 0;
  }

  /** As requests go there. A text: why not, after the endpoint. */
  #dial({ policy, protocol }: Cluster, { address, port }: Endpoint): Socket | string {
    const tls = policy?.tls;
    if (tls === undefined) return connect(dialled({ address, port, from: "", proxyHeader: null }));
    const dial = new RenewedDial(tls, () => this.#deps.clock.monotonicMs()).get();
    if (typeof dial === "string") return dial;
    return dial.connect(address, port, protocol === "h2" ? "h2" : "http/1.1");
  }
}

function ask(
  socket: Socket,
  { cluster, source }: { readonly cluster: Cluster; readonly source: RemoteSource },
  { clock, stopped }: RemoteFetchDeps,
): Promise<Uint8Array | string> {
  const { host, pathname, search } = new URL(source.url);
  const scheme = cluster.policy?.tls === undefined ? "http" : "https";
  const asked = { host, path: pathname + search, scheme } as const;
  return new Promise((resolve) => {
    const end: End = (outcome) => {
      timer.cancel();
      stopped.removeEventListener("abort", onStop);
      resolve(outcome);
      destroy();
      socket.destroy();
    };
    const onStop = (): void => {
      end("it is not needed any more");
    };
    const timer = clock.after(source.timeoutMs, () => {
      end(`no whole answer within ${source.timeoutMs} ms`);
    });
    stopped.addEventListener("abort", onStop);
    // Before the request hears of it: that would only say that its connection was closed.
    socket.on("error", (error) => {
      end(tlsFailure(error)?.detail ?? error.message);
    });
    const destroy = (cluster.protocol === "h2" ? askHttp2 : askHttp1)(socket, asked, end);
    if (stopped.aborted) onStop();
  });
}

type Destroy = () => void;

function askHttp1(socket: Socket, { host, path }: Asked, end: End): Destroy {
  const headers = { host, "user-agent": USER_AGENT };
  const asked = request({ createConnection: () => socket, path, headers });
  asked.on("error", (error) => {
    end(error.message);
  });
  asked.on("response", (answer) => {
    readAnswer(answer, answer.statusCode, end);
  });
  asked.end();
  return () => {
    asked.destroy();
  };
}

function askHttp2(socket: Socket, { host, path, scheme }: Asked, end: End): Destroy {
  const session = connectHttp2(`${scheme}://${host}`, { createConnection: () => socket });
  session.on("error", (error: Error) => {
    end(error.message);
  });
  session.on("close", () => {
    end("the connection was closed before the whole answer had come");
  });
  const stream = session.request({
    [constants.HTTP2_HEADER_AUTHORITY]: host,
    [constants.HTTP2_HEADER_SCHEME]: scheme,
    [constants.HTTP2_HEADER_PATH]: path,
    "user-agent": USER_AGENT,
  });
  stream.on("response", (fields) => {
    readAnswer(stream, Number(fields[constants.HTTP2_HEADER_STATUS]), end);
  });
  stream.on("error", (error: Error) => {
    end(error.message);
  });
  stream.end();
  return () => {
    session.destroy();
  };
}

function readAnswer(answer: Readable, status: number | undefined, end: End): void {
  if (status !== HTTP_OK) {
    end(`the server answered ${status ?? 0}`);
    return;
  }
  const chunks: Buffer[] = [];
  let size = 0;
  answer.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MODULE_BYTES_MAX) chunks.push(chunk);
    else end(`it has more than ${MODULE_BYTES_MAX} bytes`);
  });
  answer.on("error", (error) => {
    end(error.message);
  });
  answer.on("end", () => {
    end(Buffer.concat(chunks));
  });
}
