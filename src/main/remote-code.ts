//! Fetches the code of plug-ins that a bootstrap names by a URL (`code.remote`), as Envoy does:
//! from an endpoint of a cluster, with a limit, checked against its SHA-256, and tried again with
//! pauses.

import { createHash } from "node:crypto";
import { request } from "node:http";
import type { ClientRequest } from "node:http";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import { MODULE_BYTES_MAX } from "../controlplane/plugins/resolve-modules.ts";
import { RenewedDial } from "../dataplane/upstream/renewed-dial.ts";
import { dialled } from "../dataplane/upstream/upstream.ts";
import type { RemoteSource } from "../envoy/remote-code.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";

const HTTP_OK = 200;

export interface RemoteCodeDeps {
  readonly clock: Clock;
  readonly snapshot: Pick<Snapshot, "clusters" | "endpoints">;
  /** Told of each attempt that failed, and whether it was the last one. */
  readonly onFailure: (message: string, isLast: boolean) => void;
  readonly stopped: AbortSignal;
}

/** The sources of one bootstrap. */
export class RemoteCode {
  readonly #folder: string;
  readonly #sources = new Map<string, RemoteSource>();
  readonly #digests = new Set<string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Where its code will be; from one place it is fetched once. */
  add(source: RemoteSource): string {
    const { sha256, cluster, url } = source;
    this.#digests.add(sha256);
    this.#sources.set(JSON.stringify([sha256, cluster, url]), source);
    return this.#pathOf(source);
  }

  has(sha256: string): boolean {
    return this.#digests.has(sha256);
  }

  /** Ends when each is there or has been given up; then its file is missing. */
  async fetchAll(deps: RemoteCodeDeps): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => this.#fetch(source, deps)));
  }

  async #fetch(source: RemoteSource, deps: RemoteCodeDeps): Promise<void> {
    for (let attempt = 0; !deps.stopped.aborted; attempt += 1) {
      const got = await fetchOnce(source, deps);
      if (typeof got !== "string") {
        await writeFile(this.#pathOf(source), got);
        return;
      }
      const isLast = attempt >= source.retries;
      deps.onFailure(`the code of a plug-in cannot be had from ${source.url}: ${got}`, isLast);
      if (isLast) return;
      const pauseMs = Math.min(source.pauseMsMin * 2 ** attempt, source.pauseMsMax);
      await pause(pauseMs, deps);
    }
  }

  #pathOf({ sha256 }: RemoteSource): string {
    return join(this.#folder, `${sha256}.wasm`);
  }
}

function pause(ms: number, { clock, stopped }: RemoteCodeDeps): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      timer.cancel();
      stopped.removeEventListener("abort", end);
      resolve();
    };
    const timer = clock.after(ms, end);
    stopped.addEventListener("abort", end);
  });
}

/** A text: why there is none. */
async function fetchOnce(source: RemoteSource, deps: RemoteCodeDeps): Promise<Uint8Array | string> {
  const socket = dial(source.cluster, deps);
  if (typeof socket === "string") return socket;
  const got = await ask(socket, source, deps);
  if (typeof got === "string") return got;
  const own = createHash("sha256").update(got).digest("hex");
  return own === source.sha256 ? got : `it has the SHA-256 ${own}, not ${source.sha256}`;
}

/** To one of the cluster's endpoints, as requests go there; a text: why not. */
function dial(name: string, { snapshot, clock }: RemoteCodeDeps): Socket | string {
  const cluster = Object.hasOwn(snapshot.clusters, name) ? snapshot.clusters[name] : undefined;
  if (cluster === undefined) return `static_resources has no cluster ${JSON.stringify(name)}`;
  if (cluster.protocol === "h2") return `the cluster ${name} speaks HTTP/2; HTTP/1.1 is needed`;
  const [endpoint] = snapshot.endpoints[name]?.endpoints ?? [];
  if (endpoint === undefined) return `the cluster ${name} has no endpoint`;
  const { address, port } = endpoint;
  const tls = cluster.policy?.tls;
  if (tls === undefined) return connect(dialled({ address, port, from: "", proxyHeader: null }));
  const tlsDial = new RenewedDial(tls, () => clock.monotonicMs()).get();
  return typeof tlsDial === "string" ? tlsDial : tlsDial.connect(address, port, "http/1.1");
}

function ask(
  socket: Socket,
  { url, timeoutMs }: RemoteSource,
  { clock, stopped }: RemoteCodeDeps,
): Promise<Uint8Array | string> {
  const { host, pathname, search } = new URL(url);
  return new Promise((resolve) => {
    const asked = request({
      createConnection: () => socket,
      path: pathname + search,
      headers: { host, "user-agent": "graylane" },
    });
    const end = (outcome: Uint8Array | string): void => {
      timer.cancel();
      stopped.removeEventListener("abort", onStop);
      resolve(outcome);
      asked.destroy();
      socket.destroy();
    };
    const onStop = (): void => {
      end("it is not needed any more");
    };
    const timer = clock.after(timeoutMs, () => {
      end(`no whole answer within ${timeoutMs} ms`);
    });
    stopped.addEventListener("abort", onStop);
    socket.on("error", (error) => {
      end(error.message);
    });
    readAnswer(asked, end);
    asked.end();
  });
}

function readAnswer(asked: ClientRequest, end: (outcome: Uint8Array | string) => void): void {
  asked.on("error", (error) => {
    end(error.message);
  });
  asked.on("response", (answer) => {
    if (answer.statusCode !== HTTP_OK) {
      end(`the server answered ${answer.statusCode ?? 0}`);
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
  });
}
