//! Snapshots, a store and nodes for the tests of this folder.

import { snapshotVersion } from "../../snapshot/delta.ts";
import { applyDelta } from "../../snapshot/delta.ts";
import type { SnapshotDelta } from "../../snapshot/delta.ts";
import { EMPTY_SNAPSHOT } from "../../snapshot/snapshot.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";
import { laneGroupOf, laneOf } from "../../snapshot/testing/lane-maker.ts";
import type { Fault } from "../../resources/fault.ts";
import type { Resource } from "../../resources/object.ts";
import type { Listing, ResourceStore, WatchEvent } from "../store/store.ts";
import type { ConfigNode, NodeRole, PushAnswer } from "./config-node.ts";

export const CLUSTER = "outbound|8000||a.default.svc.cluster.local";

/** A snapshot with service `default/a`, a lane for each name, and one pod in each. */
export function snapshotOf(lanes: readonly string[], pods: readonly string[] = lanes): Snapshot {
  const group = laneGroupOf({
    name: "default/group",
    services: ["default/a"],
    baseline: { kind: "untagged", labelKeys: lanes.map((lane) => `key-${lane}`) },
    context: { mode: "header", routeHeader: "x-mse-tag" },
    lanes: lanes.map((name) => laneOf(name)),
  });
  const content = {
    ...EMPTY_SNAPSHOT,
    clusters: {
      [CLUSTER]: {
        name: CLUSTER,
        host: "a.default.svc.cluster.local",
        aliases: ["a"],
        namespace: "default",
        port: 8000,
        service: "default/a",
        connectTimeoutMs: 1_000,
      },
    },
    endpoints: {
      [CLUSTER]: {
        endpoints: pods.map((name) => ({
          address: "127.10.0.5",
          port: 8000,
          pod: `default/a-${name}`,
          labels: { lane: name },
        })),
      },
    },
    laneGroups: { [group.name]: group },
    workloads: Object.fromEntries(pods.map((name) => [`default/a-${name}`, workload(name)])),
  };
  return { ...content, version: snapshotVersion(content) };
}

function workload(name: string): Snapshot["workloads"][string] {
  return {
    name: `a-${name}`,
    namespace: "default",
    labels: { lane: name },
    address: "127.10.0.5",
    inbound: [{ port: 8000, appAddress: "127.64.0.5", appPort: 28_000 }],
    outbound: { address: "127.0.0.1", port: 29_000 },
  };
}

export function laneNames(snapshot: Snapshot): string[] {
  return Object.values(snapshot.laneGroups).flatMap((group) =>
    group.lanes.map((lane) => lane.name),
  );
}

export function podNames(snapshot: Snapshot): string[] {
  return Object.values(snapshot.endpoints).flatMap((set) => set.endpoints.map((one) => one.pod));
}

/** Holds one ConfigMap whose data is the next snapshot's description: a store and a compiler. */
export class FakeStore implements Pick<ResourceStore, "all" | "watch"> {
  revision = 1;
  items: Resource[] = [];
  readonly #listeners = new Set<(event: WatchEvent) => void>();

  all(): Listing {
    return { items: [...this.items], revision: this.revision };
  }

  watch(...[, , listener]: Parameters<ResourceStore["watch"]>): { cancel: () => void } {
    this.#listeners.add(listener);
    return { cancel: () => void this.#listeners.delete(listener) };
  }

  /** Replaces the object of that kind and name, or adds it; returns the revision. */
  put(resource: Resource): number {
    this.revision += 1;
    const object: Resource = {
      ...resource,
      metadata: { ...resource.metadata, resourceVersion: String(this.revision) },
    };
    this.items = [
      ...this.items.filter(
        (one) => one.kind !== object.kind || one.metadata.name !== object.metadata.name,
      ),
      object,
    ];
    const key = { group: "", plural: object.kind, namespace: "", name: object.metadata.name };
    const previous = this.items.find((one) => one.metadata.name === object.metadata.name) ?? null;
    for (const listener of this.#listeners) {
      listener({ type: "MODIFIED", key, object, previous, revision: this.revision });
    }
    return this.revision;
  }

  /** Writes the object that `laneCompile` reads. */
  putLanes(lanes: readonly string[], pods: readonly string[] = lanes): number {
    return this.put({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "lanes", namespace: "default" },
      data: { lanes, pods },
    });
  }
}

export function laneCompile(resources: readonly Resource[]): Snapshot {
  const map = resources.find((resource) => resource.kind === "ConfigMap");
  if (map === undefined) return snapshotOf([]);
  const data = map["data"] as { readonly lanes: string[]; readonly pods: string[] };
  return snapshotOf(data.lanes, data.pods);
}

/** A node that answers when the test says so, or at once. */
export class FakeNode implements ConfigNode {
  readonly id: string;
  readonly role: NodeRole;
  held: Snapshot = EMPTY_SNAPSHOT;
  mayComeLate = false;
  joinsWith?: { readonly snapshot: Snapshot; readonly faults: readonly Fault[] };
  /** Answers by itself when true. */
  isPrompt = true;
  /** What the next answers refuse with; `""` accepts. */
  refusal = "";
  /** What the next answers say of single objects. */
  faults: readonly Fault[] = [];
  readonly pushes: SnapshotDelta[] = [];
  readonly #hosted: readonly string[] | null;
  #waiting: { delta: SnapshotDelta; resolve: (answer: PushAnswer) => void } | null = null;

  constructor(role: NodeRole, id: string = role, hosted: readonly string[] | null = null) {
    this.role = role;
    this.id = id;
    this.#hosted = hosted;
  }

  get heldVersion(): string {
    return this.held.version;
  }

  get isWaiting(): boolean {
    return this.#waiting !== null;
  }

  hosts(pod: string): boolean {
    return this.#hosted === null || this.#hosted.includes(pod);
  }

  push(delta: SnapshotDelta): Promise<PushAnswer> {
    if (this.#waiting !== null) throw new Error("pushed again before the answer");
    this.pushes.push(delta);
    return new Promise((resolve) => {
      this.#waiting = { delta, resolve };
      if (this.isPrompt) this.answer();
    });
  }

  /** Carries out the push that waits. */
  answer(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    if (this.refusal !== "") {
      waiting.resolve({ ok: false, error: this.refusal });
      return;
    }
    const { delta } = waiting;
    const base = delta.fromVersion === EMPTY_SNAPSHOT.version ? EMPTY_SNAPSHOT : this.held;
    const next = applyDelta(base, delta);
    if (next === null) throw new Error("the delta is for another version");
    this.held = next;
    waiting.resolve({ ok: true, faults: this.faults });
  }
}

/** Lets every promise that can run, run. */
export async function idle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}
