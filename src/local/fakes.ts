//! Stand-ins for tests: a store in memory and sidecars that only record what they are asked.

import type { Resource } from "../resources/object.ts";
import type { LocalKind, PodStore, SidecarControl } from "./seam.ts";

export class FakeStore implements PodStore {
  readonly #objects = new Map<string, Resource>();
  readonly #watchers = new Set<() => void>();
  #revision = 0;

  /** Creates or replaces an object, as a user would. */
  put(object: Resource): void {
    this.#write(object);
  }

  remove(kind: LocalKind, namespace: string, name: string): void {
    this.#objects.delete(keyOf(kind, namespace, name));
    this.#tell();
  }

  get(kind: LocalKind, namespace: string, name: string): Resource | undefined {
    return this.#objects.get(keyOf(kind, namespace, name));
  }

  pods(): readonly Resource[] {
    return [...this.#objects.values()].filter((object) => object.kind === "Pod");
  }

  list(kind: LocalKind): Promise<readonly Resource[]> {
    return Promise.resolve([...this.#objects.values()].filter((object) => object.kind === kind));
  }

  find(kind: LocalKind, namespace: string, name: string): Promise<Resource | null> {
    return Promise.resolve(this.get(kind, namespace, name) ?? null);
  }

  createPod(pod: Resource): Promise<Resource> {
    if (this.#objects.has(keyOfObject(pod))) return Promise.reject(new Error("exists"));
    return Promise.resolve(this.#write(pod));
  }

  updatePod(pod: Resource): Promise<Resource> {
    if (!this.#objects.has(keyOfObject(pod))) return Promise.reject(new Error("no such Pod"));
    return Promise.resolve(this.#write(pod));
  }

  deletePod(namespace: string, name: string): Promise<void> {
    this.remove("Pod", namespace, name);
    return Promise.resolve();
  }

  updateDeploymentStatus(namespace: string, name: string, status: object): Promise<void> {
    const object = this.#objects.get(keyOf("Deployment", namespace, name));
    if (object !== undefined) this.#write({ ...object, status });
    return Promise.resolve();
  }

  watch(_kinds: readonly LocalKind[], onChange: () => void): () => void {
    this.#watchers.add(onChange);
    return () => {
      this.#watchers.delete(onChange);
    };
  }

  /** Resolves with what `find` returns once it is neither null nor undefined nor false. */
  until<T>(find: (store: this) => T | null | undefined | false): Promise<T> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = find(this);
        if (found === null || found === undefined || found === false) return;
        this.#watchers.delete(look);
        resolve(found);
      };
      this.#watchers.add(look);
      look();
    });
  }

  #write(object: Resource): Resource {
    const resourceVersion = String(++this.#revision);
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion } };
    this.#objects.set(keyOfObject(object), stored);
    this.#tell();
    return stored;
  }

  #tell(): void {
    for (const onChange of [...this.#watchers]) onChange();
  }
}

function keyOf(kind: string, namespace: string, name: string): string {
  return `${kind}/${namespace}/${name}`;
}

function keyOfObject({ kind, metadata }: Resource): string {
  return keyOf(kind, metadata.namespace ?? "default", metadata.name);
}

/** Answers at once unless a test holds it, and writes down every call. */
export class FakeSidecars implements SidecarControl {
  readonly calls: string[] = [];
  /** While set, no sidecar listens. */
  isBroken = false;
  /** Awaited by `drained`. */
  inFlight: Promise<void> = Promise.resolve();

  /** Awaited by `envoyReady`. */
  envoy: Promise<void> = Promise.resolve();

  envoyReady(pod: string, signal: AbortSignal): Promise<void> {
    this.calls.push(`envoy ${pod}`);
    const left = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        this.calls.push(`envoy not needed ${pod}`);
        resolve();
      });
    });
    return Promise.race([this.envoy, left]);
  }

  sidecarReady(pod: string): Promise<void> {
    this.calls.push(`ready ${pod}`);
    if (this.isBroken) return Promise.reject(new Error("address in use"));
    return Promise.resolve();
  }

  settled(revision: string): Promise<void> {
    this.calls.push(`settled ${revision}`);
    return Promise.resolve();
  }

  drained(pod: string): Promise<void> {
    this.calls.push(`drained ${pod}`);
    return this.inFlight;
  }
}
