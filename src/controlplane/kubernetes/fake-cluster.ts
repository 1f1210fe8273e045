//! One table of an API server in memory, with revisions and watches, for tests.

import type { Ask, ClusterAnswer, WatchAsk } from "./cluster-client.ts";
import type { RawObject } from "./reflector.ts";

type Watching = Pick<WatchAsk, "onLine"> & { readonly end: (answer: ClusterAnswer | null) => void };

const CONFLICT: ClusterAnswer = { status: 409, body: { message: "the object has been modified" } };

export class FakeCluster {
  /** `METHOD path` of everything that was asked, watches as `WATCH path`. */
  readonly asked: string[] = [];
  /** Answers in place of the table's own, by the beginning of the path. */
  readonly refusals: Map<string, number> = new Map();
  readonly objects: Map<string, RawObject> = new Map();
  readonly #watching = new Set<Watching>();
  #revision = 1;
  isDown = false;

  ask(ask: Ask): Promise<ClusterAnswer> {
    this.asked.push(`${ask.method} ${ask.path}`);
    if (this.isDown) return Promise.reject(new Error("connect ECONNREFUSED"));
    const refused = this.#refusal(ask.path);
    if (refused !== null) return Promise.resolve(refused);
    if (ask.method === "GET") {
      const metadata = { resourceVersion: String(this.#revision) };
      const body = { apiVersion: "v1", metadata, items: [...this.objects.values()] };
      return Promise.resolve({ status: 200, body });
    }
    const object = ask.body as RawObject;
    const old = this.objects.get(object.metadata.name);
    const isStale = old?.metadata.resourceVersion !== object.metadata.resourceVersion;
    if (old === undefined ? ask.method === "PUT" : isStale) return Promise.resolve(CONFLICT);
    return Promise.resolve({ status: 200, body: this.put(object) });
  }

  watch(ask: WatchAsk): Promise<ClusterAnswer | null> {
    this.asked.push(`WATCH ${ask.path}`);
    if (this.isDown) return Promise.reject(new Error("connect ECONNREFUSED"));
    const refused = this.#refusal(ask.path);
    if (refused !== null) return Promise.resolve(refused);
    return new Promise((resolve, reject) => {
      const onLine = (line: unknown): void => {
        try {
          ask.onLine(line);
        } catch (error) {
          this.#watching.delete(watching);
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      const watching: Watching = { onLine, end: resolve };
      this.#watching.add(watching);
    });
  }

  /** Writes it whatever is there, and tells those who watch. */
  put(object: RawObject): RawObject {
    this.#revision += 1;
    const { name } = object.metadata;
    const type = this.objects.has(name) ? "MODIFIED" : "ADDED";
    const metadata = { ...object.metadata, resourceVersion: String(this.#revision) };
    const written = { ...object, metadata };
    this.objects.set(name, written);
    this.tell({ type, object: written });
    return written;
  }

  tell(line: unknown): void {
    for (const { onLine } of [...this.#watching]) onLine(line);
  }

  /** The server goes away: watches end, and nothing is answered. */
  goDown(): void {
    this.isDown = true;
    const watching = [...this.#watching];
    this.#watching.clear();
    for (const { end } of watching) end(null);
  }

  #refusal(path: string): ClusterAnswer | null {
    const status = [...this.refusals].find(([begin]) => path.startsWith(begin))?.[1];
    return status === undefined ? null : { status, body: { message: "refused" } };
  }
}

/** Lets everything run that waits for nothing but a promise. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
