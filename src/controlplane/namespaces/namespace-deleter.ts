//! Deletes what a Namespace holds that is to be deleted, and then the Namespace.
//!
//! It looks at what there is and not at what has happened, so a start in the midst goes on. What
//! waits for finalizers is told in the Namespace's conditions, in the words of Kubernetes.

import type { Clock, Timer } from "../../base/clock.ts";
import {
  NAMESPACE_FINALIZER,
  specFinalizersOf,
  withSpecFinalizers,
} from "../../resources/kinds/namespace.ts";
import type { Resource } from "../../resources/object.ts";
import { KINDS } from "../../resources/registry.ts";
import { deleteObjectIn, finalizersOf, isMarked } from "../store/deletion.ts";
import { storeKeyOf } from "../store/open-store.ts";
import {
  GROUP_WRITES_MAX,
  keyText,
  type ResourceStore,
  type StoreKey,
  type Watch,
  type WriteResult,
} from "../store/store.ts";
import { conditionsOf } from "./namespace-conditions.ts";

/** How soon it is tried again when the store took no write. */
const RETRY_MS = 1_000;

export interface NamespaceDeleterOptions {
  readonly store: ResourceStore;
  readonly clock: Clock;
  /** Somebody else deletes it, when what it belongs to has gone: it is only waited for. */
  readonly leaves: (resource: Resource) => boolean;
}

export class NamespaceDeleter {
  readonly #options: NamespaceDeleterOptions;
  /** Those that are to be deleted. */
  readonly #names = new Set<string>();
  #watch: Watch | null = null;
  #retry: Timer | null = null;
  #running: Promise<void> | null = null;
  #isWanted = false;

  constructor(options: NamespaceDeleterOptions) {
    this.#options = options;
  }

  start(): void {
    const { store } = this.#options;
    const watch = store.watch(null, null, ({ key, object }) => {
      if (isNamespace(key) && isMarked(object)) this.#names.add(key.name);
      if (this.#names.has(isNamespace(key) ? key.name : key.namespace)) this.#run();
    });
    this.#watch = watch === "expired" ? null : watch;
    for (const namespace of store.list(NAMESPACES).items) {
      if (isMarked(namespace)) this.#names.add(namespace.metadata.name);
    }
    if (this.#names.size > 0) this.#run();
  }

  /** What is being written may still be. */
  stop(): void {
    this.#watch?.cancel();
    this.#watch = null;
    this.#retry?.cancel();
    this.#names.clear();
  }

  #run(): void {
    this.#isWanted = true;
    this.#running ??= this.#pass().finally(() => {
      this.#running = null;
      if (this.#isWanted) this.#run();
    });
  }

  async #pass(): Promise<void> {
    // The writes of one turn are one event for us.
    await new Promise((resolve) => setImmediate(resolve));
    this.#isWanted = false;
    for (const name of [...this.#names]) {
      if (await this.#goOn(name)) continue;
      this.#retry?.cancel();
      const again = (): void => {
        if (this.#names.size > 0) this.#run();
      };
      this.#retry = this.#options.clock.after(RETRY_MS, again, { unref: true });
    }
  }

  /** False: the store took no write, or another one came before it. */
  async #goOn(name: string): Promise<boolean> {
    const { store, clock } = this.#options;
    const key = { ...NAMESPACES, namespace: "", name };
    const namespace = store.get(key);
    if (namespace === undefined || !isMarked(namespace)) {
      this.#names.delete(name);
      return true;
    }
    if (!specFinalizersOf(namespace).includes(NAMESPACE_FINALIZER)) return true;
    const isDone = await this.#empty(name);
    const left = contentsOf(store, name);
    const live = store.get(key);
    if (live === undefined || !isDone) return isDone;
    if (left.length > 0) {
      const status = conditionsOf(live, left, clock.nowMs());
      return status === null || succeeded(await store.updateStatus(key, status, ifSame(live)));
    }
    const finalizers = specFinalizersOf(live).filter((one) => one !== NAMESPACE_FINALIZER);
    const released = withSpecFinalizers(live, finalizers);
    const isHeld = finalizersOf(released).length > 0;
    const result = isHeld ? store.update(released, ifSame(live)) : store.delete(key, ifSame(live));
    return succeeded(await result);
  }

  /** False: something could not be deleted for now. */
  async #empty(namespace: string): Promise<boolean> {
    const { store, clock, leaves } = this.#options;
    const wanted = contentsOf(store, namespace)
      .filter((one) => !isMarked(one) && !leaves(one))
      .map(storeKeyOf);
    const keys = [...wanted, ...damagedIn(store, namespace)];
    let isDone = true;
    while (keys.length > 0 && this.#watch !== null) {
      const some = keys.splice(0, GROUP_WRITES_MAX);
      const results = await Promise.all(
        some.map((key) => deleteObjectIn(store, clock, key, BACKGROUND)),
      );
      isDone &&= results.every(succeeded);
    }
    return isDone;
  }
}

const BACKGROUND = { propagation: "Background" } as const;
const NAMESPACES = { group: "", plural: "namespaces" };
const NAMESPACED = KINDS.filter(({ namespaced }) => namespaced);

function isNamespace({ group, plural }: StoreKey): boolean {
  return group === NAMESPACES.group && plural === NAMESPACES.plural;
}

function contentsOf(store: ResourceStore, namespace: string): readonly Resource[] {
  return NAMESPACED.flatMap(({ group, plural }) => store.list({ group, plural, namespace }).items);
}

/** Records that cannot be read, which a delete removes. */
function damagedIn(store: ResourceStore, namespace: string): readonly StoreKey[] {
  return store.damaged().flatMap(({ key }) => {
    const [kind = "", within, name = ""] = key.split("/");
    if (within !== namespace) return [];
    const [plural = "", ...group] = kind.split(".");
    const found = { group: group.join("."), plural, namespace, name };
    return keyText(found) === key ? [found] : [];
  });
}

function ifSame({ metadata }: Resource): { readonly ifRevision?: string } {
  const { resourceVersion } = metadata;
  return resourceVersion === undefined ? {} : { ifRevision: resourceVersion };
}

function succeeded(result: WriteResult): boolean {
  return result.ok || result.reason === "not_found";
}
