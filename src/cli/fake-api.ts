//! A small API server for the tests of the commands: objects in a map, answers as Kubernetes'.

import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { canonicalJson } from "../base/canonical-json.ts";
import type { Resource } from "../resources/object.ts";

export const FAKE_TOKEN = "secret";
const FAKE_TIME = "2026-11-21T08:00:00Z";

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** What a test hooks into: an answer of its own for a call, or undefined for the usual one. */
export type Hook = (call: Call) => { readonly status: number; readonly body: unknown } | undefined;

export class FakeApi {
  /** Collection path and name, e.g. `/api/v1/namespaces/default/services/mocka`. */
  readonly objects: Map<string, Resource> = new Map<string, Resource>();
  readonly calls: Call[] = [];
  hook: Hook = () => undefined;
  #revision = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#handle(request, response);
    });
  }

  static async start(): Promise<FakeApi> {
    const api = new FakeApi();
    await new Promise<void>((resolve) => api.#server.listen(0, "127.0.0.1", resolve));
    return api;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** `path` is the object's own. */
  put(path: string, resource: Resource): Resource {
    const before = this.objects.get(path);
    if (before !== undefined && sameContent(before, resource)) return before;
    this.#revision += 1;
    const stored = {
      ...resource,
      metadata: {
        ...resource.metadata,
        resourceVersion: String(this.#revision),
        creationTimestamp: before?.metadata.creationTimestamp ?? FAKE_TIME,
      },
    };
    this.objects.set(path, stored);
    return stored;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const url = new URL(request.url ?? "/", "http://fake");
    const body: unknown = text === "" ? null : JSON.parse(text);
    const call = { method: request.method ?? "GET", path: url.pathname, body };
    this.calls.push(call);
    const isKnown = request.headers.authorization === `Bearer ${FAKE_TOKEN}`;
    const answer = isKnown
      ? (this.hook(call) ?? this.#answer(call, url.searchParams.has("dryRun")))
      : failure(401, "Unauthorized", "the bearer token is not this server's");
    response.writeHead(answer.status, { "content-type": "application/json" });
    response.end(typeof answer.body === "string" ? answer.body : JSON.stringify(answer.body));
  }

  #answer(call: Call, isDryRun: boolean): { status: number; body: unknown } {
    const { method, path } = call;
    if (path === "/graylane/v1/analyze") return { status: 200, body: { messages: [] } };
    if (method === "POST") return this.#create(call, isDryRun);
    const found = this.objects.get(path);
    if (method === "GET" && found === undefined && isCollection(path)) return this.#list(path);
    if (found === undefined) return failure(404, "NotFound", `${path} not found`);
    if (method === "GET") return { status: 200, body: found };
    if (method === "DELETE") {
      this.objects.delete(path);
      return { status: 200, body: { kind: "Status", status: "Success" } };
    }
    const next = call.body as Resource;
    const { resourceVersion } = next.metadata;
    if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion) {
      return failure(409, "Conflict", "the object has been modified");
    }
    return { status: 200, body: isDryRun ? found : this.put(path, next) };
  }

  #create({ path, body }: Call, isDryRun: boolean): { status: number; body: unknown } {
    const resource = body as Resource;
    const own = `${path}/${resource.metadata.name}`;
    if (this.objects.has(own)) return failure(409, "AlreadyExists", `${own} already exists`);
    return { status: 201, body: isDryRun ? resource : this.put(own, resource) };
  }

  #list(path: string): { status: number; body: unknown } {
    const plural = path.slice(path.lastIndexOf("/") + 1);
    const prefix = path.includes("/namespaces/") ? `${path}/` : path.slice(0, -plural.length);
    const items = [...this.objects]
      .filter(([own]) => own.startsWith(prefix) && own.includes(`/${plural}/`))
      .map(([, resource]) => resource);
    const metadata = { resourceVersion: String(this.#revision) };
    return { status: 200, body: { apiVersion: "v1", kind: "List", metadata, items } };
  }
}

/** A path that ends in a plural rather than a name has an odd or even place for it. */
function isCollection(path: string): boolean {
  const steps = path.split("/").filter((step) => step !== "");
  const rest = steps.slice(steps[0] === "api" ? 2 : 3);
  return rest.length === 1 || rest.length === 3;
}

function sameContent(one: Resource, other: Resource): boolean {
  const content = (resource: Resource): string =>
    canonicalJson({
      ...resource,
      metadata: { ...resource.metadata, resourceVersion: "", creationTimestamp: "" },
    });
  return content(one) === content(other);
}

export function failure(
  code: number,
  reason: string,
  message: string,
): { status: number; body: unknown } {
  return {
    status: code,
    body: {
      apiVersion: "v1",
      kind: "Status",
      status: "Failure",
      metadata: {},
      message,
      reason,
      code,
    },
  };
}
