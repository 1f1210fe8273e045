//! What one `graylane up` leaves to the next in a hot restart: who lets go of what, in which order,
//! and how it is taken back when the next one fails.

import { join } from "node:path";
import { contentHash } from "../base/canonical-json.ts";
import { systemClock } from "../base/clock.ts";
import { storeKeyOf } from "../controlplane/store/open-store.ts";
import { keyText } from "../controlplane/store/store.ts";
import type { ResourceStore, WatchEvent } from "../controlplane/store/store.ts";
import type { AdsServer } from "../controlplane/xds/ads-server.ts";
import type { UpOptions } from "../cli/program.ts";
import { TRACE_TTL_MS } from "../lane/context.ts";
import type { LocalCluster } from "../local/local-cluster.ts";
import type { PodHandover } from "../local/pod.ts";
import type { Resource } from "../resources/object.ts";
import { ADMIN, API } from "./succession.ts";
import type { Handles, Legacy } from "./succession.ts";
import type { WorkerFleet } from "./worker-fleet.ts";

/** Raised when what is left is written in another way: then a restart is refused. */
const FORMAT = 1;
/** For watches that go on at a revision of the process before. */
const EVENTS_MAX = 1_000;

export interface UpState {
  readonly format: typeof FORMAT;
  readonly pods: readonly PodHandover[];
  readonly events: readonly WatchEvent[];
  /** By key: digests of the objects in the files, as the process before read them. */
  readonly applied: Readonly<Record<string, string>>;
  /** Folder of what plug-ins share. */
  readonly sharedMemory: string;
  /** Workers started so far. */
  readonly launchCount: number;
}

export interface UpLegacy extends Legacy {
  readonly state: UpState;
}

/** A text: what is left cannot be read here. */
export function readLegacy(legacy: Legacy): UpLegacy | string {
  const state = legacy.state as Partial<UpState> | null;
  const format: unknown = state?.format;
  if (format !== FORMAT) {
    return (
      `this version cannot take over: what the running one leaves has format ${String(format)}, ` +
      `here it is ${FORMAT}; stop that one with \`graylane down\` and start this one`
    );
  }
  return { ...legacy, state: state as UpState };
}

export function digestsOf(resources: readonly Resource[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    resources.map((resource) => [keyText(storeKeyOf(resource)), contentHash(resource)]),
  );
}

/**
 * The objects of files that are to be applied: at a restart only those that have changed, so that
 * what has been changed in the store since is not undone.
 */
export function changedSince(
  resources: readonly Resource[],
  before: UpState | null,
): readonly Resource[] {
  if (before === null) return resources;
  return resources.filter(
    (resource) => before.applied[keyText(storeKeyOf(resource))] !== contentHash(resource),
  );
}

/** Null: the sidecar of each pod that came over accepts here, too. */
export async function podFailure(
  pods: readonly PodHandover[],
  fleet: WorkerFleet,
): Promise<string | null> {
  const [sidecars] = fleet.sidecars;
  for (const { name, deployment, containers } of pods) {
    if (deployment.template.sidecar !== "embedded" || containers.length === 0) continue;
    const failure = (await sidecars?.podFailure(`${deployment.namespace}/${name}`)) ?? null;
    if (failure !== null) return failure;
  }
  return null;
}

/** The sockets that workers accept at. */
export function trafficOf({ handles }: Legacy): Handles {
  return new Map([...handles].filter(([name]) => name !== API && name !== ADMIN));
}

/** Null: there is no folder in memory. */
export function tracesIn(sharedMemory: string): string | null {
  return sharedMemory === "" ? null : join(sharedMemory, "traces");
}

interface Sharers {
  readonly store: ResourceStore;
  readonly local: LocalCluster;
  readonly fleet: WorkerFleet;
  readonly ads: AdsServer | null;
  /** What changes the store or the snapshot by itself. */
  readonly sources: readonly { stop(): void }[];
}

export interface Succeeding {
  readonly letGo: () => Promise<UpState>;
  readonly takeBack: () => Promise<void>;
  readonly retire: (graceMs: number) => Promise<void>;
  /** Nothing runs in the process before any more. */
  readonly alone: () => void;
  /** When it does not start: all that it has taken is the process before's again. */
  readonly abandon: () => Promise<void>;
}

export function succeeding(
  { xds }: UpOptions,
  { store, local, fleet, ads, sources }: Sharers,
  given: Pick<UpState, "sharedMemory" | "applied">,
): Succeeding {
  let pods: readonly PodHandover[] = [];
  let isLeaving = false;
  const stopSources = (): void => {
    for (const source of sources) source.stop();
    ads?.stop();
  };
  return {
    async letGo() {
      isLeaving = true;
      // Pods first: what they write of themselves must be in the store.
      pods = await local.letGo();
      await fleet.shareTraces(tracesIn(given.sharedMemory));
      const events = store.recentEvents(EVENTS_MAX);
      await store.lend();
      ads?.leave();
      const { launchCount } = fleet;
      return { ...{ format: FORMAT, pods, events, launchCount }, ...given };
    },
    async takeBack() {
      isLeaving = false;
      store.takeBack();
      await local.adopt(pods);
      await local.start();
      await fleet.shareTraces(null);
      if (ads !== null && xds !== null) await ads.listen(xds.host, xds.port);
    },
    async retire(graceMs) {
      stopSources();
      await store.close();
      await fleet.leavePorts();
      await fleet.retire(graceMs);
    },
    alone() {
      const stop = (): void => {
        if (!isLeaving) void fleet.shareTraces(null);
      };
      // What ended there last is remembered for so long.
      systemClock.after(TRACE_TTL_MS, stop, { unref: true });
    },
    async abandon() {
      stopSources();
      await fleet.stop();
      await store.close();
    },
  };
}
