//! An API server over a store in memory, for tests, and requests to it that `fetch` would not send.

import { once } from "node:events";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest, type Agent as TlsAgent } from "node:https";
import { join } from "node:path";
import type { ExplainResult, RuntimeStatus } from "../../api/types.ts";
import { FakeClock } from "../../base/fake-clock.ts";
import { openMemoryStore } from "../../controlplane/store/open-store.ts";
import type { ResourceStore } from "../../controlplane/store/store.ts";
import type { Resource } from "../../resources/object.ts";
import { silentLogger } from "../../telemetry/logger.ts";
import { ensureBuiltIn } from "../access/built-in-roles.ts";
import { KubernetesMessages } from "../protobuf/kubernetes-messages.ts";
import { startApiServer, type ApiServer } from "../api-server.ts";
import type { Certificate } from "../certificate.ts";
import type { ServerDependencies } from "../dependencies.ts";

export const TOKEN: string = "t".repeat(64);

export const MESSAGES: KubernetesMessages = new KubernetesMessages(
  join("generated", "kubernetes-api", "messages.json"),
);

export interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: unknown;
  /** By TLS. */
  readonly agent?: TlsAgent;
}

export interface Answered {
  readonly code: number;
  readonly text: string;
}

export class Served {
  readonly store: ResourceStore;
  readonly server: ApiServer;
  readonly #agent = new Agent({ keepAlive: true });
  /** Calls into the rest of the program. */
  readonly called: string[];

  private constructor(store: ResourceStore, server: ApiServer, called: string[]) {
    this.store = store;
    this.server = server;
    this.called = called;
  }

  /** With a certificate the port speaks TLS, too. */
  static async start(
    more: Partial<ServerDependencies> = {},
    certificate?: Certificate,
  ): Promise<Served> {
    const clock = new FakeClock();
    const store = openMemoryStore({ clock, watchEventsMax: 64 });
    await ensureBuiltIn(store);
    const called: string[] = [];
    const none = { decisions: [], keptCount: 0, seenCount: 0, workerCount: 1 };
    const dependencies: ServerDependencies = {
      ...{ store, clock, token: TOKEN, logger: silentLogger, messages: MESSAGES },
      recent: () => Promise.resolve(none),
      explain: () => {
        called.push("explain");
        return Promise.resolve({ snapshotVersion: "s1" } as ExplainResult);
      },
      analyze: () => {
        called.push("analyze");
        return Promise.resolve([]);
      },
      podLog: () => null,
      pluginLog: () => "no plug-in runs",
      configDump: () => null,
      runtimeStatus: () => ({ version: "0.1.0" }) as RuntimeStatus,
      shutdown: () => called.push("shutdown"),
      ...more,
    };
    const place = { host: "127.0.0.1", port: 0, ...(certificate && { certificate }) };
    const server = await startApiServer(dependencies, place);
    return new Served(store, server, called);
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.server.close();
    await this.store.close();
  }

  /** Of a stream only the head is read. */
  async send(sent: Sent): Promise<Answered> {
    const { method = "GET", path, token = TOKEN, headers, body, agent } = sent;
    const own = token === "" ? {} : { authorization: `Bearer ${token}` };
    const bytes = body === undefined ? "" : JSON.stringify(body);
    // Node would send the body of a DELETE without saying where it ends.
    const length = { "content-length": String(Buffer.byteLength(bytes)) };
    const fields = { ...own, "content-type": "application/json", ...length, ...headers };
    const url = `${this.server.url}${path}`;
    const request =
      agent === undefined
        ? httpRequest(url, { method, agent: this.#agent, headers: fields })
        : httpsRequest(url.replace("http:", "https:"), { method, agent, headers: fields });
    request.end(bytes);
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const code = response.statusCode ?? 0;
    if (code === 200 && response.headers["content-length"] === undefined) {
      request.on("error", () => undefined).destroy();
      return { code, text: "" };
    }
    let text = "";
    for await (const chunk of response) text += String(chunk);
    return { code, text };
  }

  /** The object that is answered; a text that says why not when it is refused. */
  async demand(sent: Sent): Promise<Resource> {
    const { code, text } = await this.send(sent);
    if (code >= 300) throw new Error(`${code}: ${text}`);
    return JSON.parse(text) as Resource;
  }
}

export function messageOf({ text }: Answered): string {
  return (JSON.parse(text) as { readonly message?: string }).message ?? "";
}
