//! The client of our HTTP API. It needs only `fetch`, so it runs in a browser as it does in Node.

import type { Fault } from "../resources/fault.ts";
import type { Resource } from "../resources/object.ts";
import type {
  AnalyzeRequest,
  ConfigDump,
  AnalyzeResult,
  ApiKind,
  ExplainRequest,
  ExplainResult,
  PluginLogLine,
  PluginLogQuery,
  PodLogOptions,
  RecentQuery,
  RecentResult,
  ResourceList,
  RuntimeStatus,
  Status,
  StatusCause,
  WatchEvent,
} from "./types.ts";

/** One line of a watch or a log. Twice the largest object, for the frame around it. */
const LINE_CHARS_MAX = 4 * 1024 * 1024;

/** The server said no, or could not be reached (then `code` is 0). */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** HTTP status code; 0 when there was no answer. */
  readonly code: number;
  /** Kubernetes' word: `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, `Unreachable` ... */
  readonly reason: string;
  readonly causes: readonly StatusCause[];

  constructor(status: Pick<Status, "code" | "reason" | "message" | "details">, cause?: unknown) {
    super(status.message, { cause });
    this.code = status.code;
    this.reason = status.reason;
    this.causes = status.details?.causes ?? [];
  }
}

/** A write that was accepted. It changed nothing when the resourceVersion is what it was before. */
export interface WriteAnswer {
  readonly resource: Resource;
  readonly warnings: readonly string[];
}

export interface ListOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface WatchOptions extends ListOptions {
  /** Where to go on: the list's resourceVersion. Absent: everything there is, then what changes. */
  readonly resourceVersion?: string;
  readonly signal?: AbortSignal;
}

export interface WriteOptions {
  readonly dryRun?: boolean;
}

export interface DeleteOptions extends WriteOptions {
  /** Delete only this incarnation. */
  readonly uid?: string;
}

export interface ApiClientOptions {
  /** E.g. `http://127.0.0.1:18001`. */
  readonly baseUrl: string;
  readonly token: string;
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/** Every method throws `ApiError`. */
export class ApiClient {
  readonly #baseUrl: string;
  readonly #token: string;

  constructor(options: ApiClientOptions) {
    this.#baseUrl = options.baseUrl.replace(/\/+$/, "");
    this.#token = options.token;
  }

  async list(kind: ApiKind, options: ListOptions = {}): Promise<ResourceList> {
    const path = collectionPath(kind, options.namespace ?? "");
    return this.#json({ method: "GET", path, query: selectors(options) });
  }

  async get(kind: ApiKind, namespace: string, name: string): Promise<Resource> {
    return this.#json({ method: "GET", path: objectPath(kind, namespace, name) });
  }

  async create(kind: ApiKind, resource: Resource, options?: WriteOptions): Promise<WriteAnswer> {
    const path = collectionPath(kind, namespaceOf(kind, resource));
    return this.#write({ method: "POST", path, query: dryRun(options), body: resource });
  }

  /** Unconditional when `metadata.resourceVersion` is absent. */
  async update(kind: ApiKind, resource: Resource, options?: WriteOptions): Promise<WriteAnswer> {
    const path = objectPath(kind, namespaceOf(kind, resource), resource.metadata.name);
    return this.#write({ method: "PUT", path, query: dryRun(options), body: resource });
  }

  async updateStatus(kind: ApiKind, resource: Resource): Promise<WriteAnswer> {
    const path = objectPath(kind, namespaceOf(kind, resource), resource.metadata.name);
    return this.#write({ method: "PUT", path: `${path}/status`, body: resource });
  }

  async delete(
    kind: ApiKind,
    object: { readonly namespace: string; readonly name: string },
    options?: DeleteOptions,
  ): Promise<Status> {
    const path = objectPath(kind, object.namespace, object.name);
    const body =
      options?.uid === undefined
        ? undefined
        : { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid: options.uid } };
    return this.#json({ method: "DELETE", path, query: dryRun(options), body });
  }

  /**
   * Ends when `signal` aborts or the server closes. An ERROR event is thrown as `ApiError`: code
   * 410 means that the resourceVersion is too old, and the caller lists again.
   */
  async *watch(
    kind: ApiKind,
    options: WatchOptions = {},
  ): AsyncGenerator<Exclude<WatchEvent, { type: "ERROR" }>, void, undefined> {
    const query = {
      ...selectors(options),
      watch: "1",
      resourceVersion: options.resourceVersion,
    };
    const path = collectionPath(kind, options.namespace ?? "");
    const response = await this.#call({ method: "GET", path, query, signal: options.signal });
    for await (const line of linesOf(response, options.signal)) {
      const event = JSON.parse(line) as WatchEvent;
      if (event.type === "ERROR") throw new ApiError(event.object);
      yield event;
    }
  }

  /** The lines of a pod's log, without their ends. */
  async *podLog(
    pod: { readonly namespace: string; readonly name: string },
    options: Partial<PodLogOptions> & { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<string, void, undefined> {
    const namespace = encodeURIComponent(pod.namespace);
    const path = `/api/v1/namespaces/${namespace}/pods/${encodeURIComponent(pod.name)}/log`;
    const query = {
      follow: options.follow === true ? "true" : undefined,
      tailLines: options.tailLines?.toString(),
    };
    const response = await this.#call({ method: "GET", path, query, signal: options.signal });
    yield* linesOf(response, options.signal);
  }

  /** What a plug-in logged, in the order of time. */
  async *pluginLog(
    { plugin, follow, tailLines, sinceMs }: PluginLogQuery,
    signal?: AbortSignal,
  ): AsyncGenerator<PluginLogLine, void, undefined> {
    const query = {
      plugin,
      follow: follow ? "true" : undefined,
      tailLines: tailLines?.toString(),
      sinceMs: String(sinceMs),
    };
    const path = "/graylane/v1/pluginlog";
    const response = await this.#call({ method: "GET", path, query, signal });
    for await (const line of linesOf(response, signal)) yield JSON.parse(line) as PluginLogLine;
  }

  async explain(request: ExplainRequest): Promise<ExplainResult> {
    return this.#json({ method: "POST", path: "/graylane/v1/explain", body: request });
  }

  async recent(query: RecentQuery): Promise<RecentResult> {
    return this.#json({ method: "POST", path: "/graylane/v1/recent", body: query });
  }

  async analyze(request: AnalyzeRequest): Promise<readonly Fault[]> {
    const call = { method: "POST", path: "/graylane/v1/analyze", body: request };
    return (await this.#json<AnalyzeResult>(call)).messages;
  }

  async runtimeStatus(): Promise<RuntimeStatus> {
    return this.#json({ method: "GET", path: "/graylane/v1/status" });
  }

  /** Envoy's `ConfigDump`, endpoints included: of an Envoy by its name, or of `embedded`. */
  async configDump(node: string): Promise<ConfigDump> {
    const query = { node, include_eds: "" };
    return this.#json({ method: "GET", path: "/graylane/v1/configdump", query });
  }

  /** Answers before the process has gone. */
  async shutdown(): Promise<void> {
    await this.#json({ method: "POST", path: "/graylane/v1/shutdown", body: {} });
  }

  async #write(call: Call): Promise<WriteAnswer> {
    const response = await this.#call(call);
    const resource = (await this.#body(response)) as Resource;
    return { resource, warnings: parseWarnings(response.headers.get("warning")) };
  }

  async #json<T>(call: Call): Promise<T> {
    return (await this.#body(await this.#call(call))) as T;
  }

  async #body(response: Response): Promise<unknown> {
    try {
      return await response.json();
    } catch (cause) {
      throw this.#unreachable("broke off its answer", cause);
    }
  }

  async #call(call: Call): Promise<Response> {
    const url = this.#baseUrl + call.path + queryText(call.query ?? {});
    const headers: Record<string, string> = { authorization: `Bearer ${this.#token}` };
    const init: RequestInit = { method: call.method, headers };
    if (call.signal !== undefined) init.signal = call.signal;
    if (call.body !== undefined) {
      headers["content-type"] = "application/json";
      init.body = JSON.stringify(call.body);
    }
    let response: Response;
    try {
      response = await fetch(url, init);
    } catch (cause) {
      throw this.#unreachable("does not answer", cause);
    }
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  #unreachable(what: string, cause: unknown): ApiError {
    const why = rootMessage(cause);
    const message = `the Graylane API at ${this.#baseUrl} ${what} (${why}); is it running?`;
    return new ApiError({ code: 0, reason: "Unreachable", message }, cause);
  }
}

export function collectionPath(kind: ApiKind, namespace: string): string {
  const root = kind.group === "" ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const scope =
    kind.namespaced && namespace !== "" ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  return `${root}${scope}/${kind.plural}`;
}

export function objectPath(kind: ApiKind, namespace: string, name: string): string {
  return `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`;
}

function namespaceOf(kind: ApiKind, resource: Resource): string {
  return kind.namespaced ? (resource.metadata.namespace ?? "default") : "";
}

function selectors(options: ListOptions): Record<string, string | undefined> {
  return { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector };
}

function dryRun(options: WriteOptions | undefined): Record<string, string | undefined> {
  return { dryRun: options?.dryRun === true ? "All" : undefined };
}

function queryText(query: Readonly<Record<string, string | undefined>>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, value);
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

async function errorOf(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  const status = parseStatus(text);
  if (status !== null) return new ApiError(status);
  const message = text === "" ? response.statusText : text.slice(0, 1_000);
  return new ApiError({ code: response.status, reason: "Unknown", message });
}

function parseStatus(text: string): Status | null {
  try {
    const value = JSON.parse(text) as Partial<Status> | null;
    return value?.kind === "Status" ? (value as Status) : null;
  } catch {
    return null;
  }
}

/** `fetch` hides the reason two causes deep. */
function rootMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause: unknown = error.cause;
  return cause instanceof Error ? rootMessage(cause) : error.message || error.name;
}

/** The texts of `299 - "..."` warnings (RFC 9111 section 5.5, as Kubernetes uses it). */
export function parseWarnings(header: string | null): string[] {
  const warnings: string[] = [];
  for (const match of (header ?? "").matchAll(/\b299 \S+ "((?:[^"\\]|\\.)*)"/g)) {
    const quoted = (match[1] ?? "").replace(/\\(.)/g, "$1");
    warnings.push(quoted.replace(/%[0-9a-f]{2}(?:%[0-9a-f]{2})*/gi, decodeOrKeep));
  }
  return warnings;
}

function decodeOrKeep(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function* linesOf(
  response: Response,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void, undefined> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const chunk = (await reader.read()) as { done: boolean; value?: Uint8Array };
      if (chunk.done) break;
      const lines = (rest + decoder.decode(chunk.value, { stream: true })).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) yield line;
      if (rest.length > LINE_CHARS_MAX) throw tooLong();
    }
    if (rest !== "") yield rest;
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function tooLong(): ApiError {
  const message = `the server sent a line of more than ${LINE_CHARS_MAX} characters`;
  return new ApiError({ code: 0, reason: "TooLarge", message });
}
