//! Everything that `graylane up` runs, put together: the only place where both planes meet.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { RuntimeStatus } from "../api/types.ts";
import { delay, systemClock, timestamp } from "../base/clock.ts";
import { systemPrng } from "../base/prng.ts";
import { compile } from "../compile/compile.ts";
import { keySetsToFetch } from "../compile/key-sets.ts";
import { namesToResolve } from "../compile/service-entry.ts";
import { servingGateways } from "../compile/wasm-plugin.ts";
import { KeyResolver } from "../controlplane/discovery/key-resolver.ts";
import { lookUpByDns } from "../controlplane/discovery/look-up.ts";
import { NameResolver } from "../controlplane/discovery/name-resolver.ts";
import { GarbageCollector } from "../controlplane/garbage/garbage-collector.ts";
import { NamespaceDeleter } from "../controlplane/namespaces/namespace-deleter.ts";
import { Registries } from "../controlplane/nacos/registries.ts";
import { EndpointFile } from "../controlplane/publish/endpoint-file.ts";
import { Publisher } from "../controlplane/publish/publisher.ts";
import type { PublisherOptions } from "../controlplane/publish/publisher.ts";
import type { ResourceStore } from "../controlplane/store/store.ts";
import { AdsServer } from "../controlplane/xds/ads-server.ts";
import { EnvoyApi } from "../controlplane/xds/envoy-api.ts";
import { configDump } from "../compile-envoy/config-dump.ts";
import { keyFetcher } from "../dataplane/runtime/fetch-keys.ts";
import { openPortOf } from "../dataplane/listener/open-port.ts";
import type { AppHost } from "../local/app-keeper.ts";
import { LocalCluster } from "../local/local-cluster.ts";
import { endpointFileOf } from "../local/seam.ts";
import type { LocalReport, SidecarControl } from "../local/seam.ts";
import type { ImageMap } from "../resources/image-map.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { ensureXdsToken } from "../server/credentials.ts";
import type { ServerDependencies } from "../server/dependencies.ts";
import { KubernetesMessages } from "../server/protobuf/kubernetes-messages.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { UpOptions } from "../cli/program.ts";
import { analyzeChange } from "./analyze-change.ts";
import { EMBEDDED, embeddedDump } from "./embedded-dump.ts";
import { makeModuleResolver } from "./module-resolver.ts";
import { linesOf } from "./lines-of.ts";
import { makeSharedMemoryFolder } from "./shared-memory-folder.ts";
import { machineForEnvoys } from "./envoy-machine.ts";
import { explainRequest } from "./explain-request.ts";
import {
  ENVOY_API_FILE,
  KUBERNETES_API_FILE,
  PACKAGE_ROOT,
  packageVersion,
} from "./package-root.ts";
import { pluginLog } from "./plugin-log.ts";
import { recentDecisions } from "./recent-decisions.ts";
import { isOfDeployment, podStore, statusWriter } from "./store-adapters.ts";
import { succeeding, tracesIn, trafficOf } from "./up-legacy.ts";
import type { Succeeding, UpLegacy } from "./up-legacy.ts";
import { WorkerFleet } from "./worker-fleet.ts";
import type { WorkerLink } from "./worker-link.ts";

/** Two: while one is replaced, the other goes on accepting. */
const GATEWAY_WORKERS_DEFAULT = 2;
const GATEWAY_HOST = "127.0.0.1";
/** Until then the process before this one serves; it gives up after a little more. */
const SUCCESSOR_ANSWER_MS = 100_000;
const messages = new KubernetesMessages(KUBERNETES_API_FILE);

export interface Parts extends Succeeding {
  readonly store: ResourceStore;
  readonly fleet: WorkerFleet;
  readonly publisher: Publisher;
  readonly local: LocalCluster;
  readonly namespaces: NamespaceDeleter;
  readonly garbage: GarbageCollector;
  /** For agents that pick endpoints by themselves. */
  readonly agents: EndpointFile;
  /** Null when no Envoy is to be served. */
  readonly ads: AdsServer | null;
  readonly status: () => RuntimeStatus;
  readonly dump: ServerDependencies["configDump"];
  readonly dependencies: (token: string, shutdown: () => void) => ServerDependencies;
  readonly stop: () => Promise<void>;
}

export interface Given {
  readonly store: ResourceStore;
  readonly images: ImageMap;
  readonly logger: Logger;
  /** Where apps run. */
  readonly apps: AppHost;
  /** Of a process before this one; null: there is none. */
  readonly legacy: UpLegacy | null;
  /** Digests of the objects in the files, for the process after this one. */
  readonly applied: Readonly<Record<string, string>>;
  /** Resolves when nothing runs in the process before any more. */
  readonly retired: Promise<void>;
}

/** `store` is open; it is closed by `stop`. */
export function assemble(options: UpOptions, given: Given): Parts {
  const { store, images, logger, legacy } = given;
  const clock = systemClock;
  const resolver = makeModuleResolver({ ...options, images, publisher: () => publisher });
  const { names, registries, keySets } = makeAnswers(() => publisher);
  const { stateDirectory } = options;
  const memory = makeSharedMemoryFolder(stateDirectory, logger, legacy?.state.sharedMemory);
  const fleet = makeFleet(options, { logger, sharedMemory: memory.path, legacy }, () => publisher);
  const ads = options.xds === null ? null : makeAdsServer(options, logger, () => publisher);
  const publisher: Publisher = new Publisher({
    store,
    resolveModules: (resources) => resolver.resolve(resources),
    resolveNames: (resources) => names.resolve(namesToResolve(resources)),
    resolveRegistries: (resources) => registries.resolve(resources),
    ...(ads === null ? {} : keysOf(keySets)),
    compile: (...input) => compileAfter(publisher.snapshot, ...input),
    writeStatus: statusWriter(store),
    drained: () => fleet.drained(),
    areLeaving: () => fleet.areLeaving,
    ...(legacy === null ? {} : { firstAnswerMs: SUCCESSOR_ANSWER_MS }),
    clock,
    logger,
  });
  const sidecars = sidecarControl(given, publisher, { fleet, ads });
  const local = makeLocalCluster(options, { ...given, sidecars });
  const namespaces = new NamespaceDeleter({ store, clock, leaves: isOfDeployment });
  const garbage = new GarbageCollector({ store, clock, leaves: isOfDeployment });
  const agents = startEndpointFile(stateDirectory, local, logger);
  publisher.join(agents);
  const sources = [resolver, names, registries, keySets, namespaces, garbage, publisher, agents];
  const sharers = { store, local, fleet, ads, sources };
  const openPorts = (): Map<number, number> => openPortsOf(publisher, options.portMap);
  const startedAt = timestamp(clock.nowMs());
  const status = (): RuntimeStatus =>
    runtimeStatus({ options, store, fleet, publisher, ads, startedAt, openPorts: openPorts() });
  const dump = dumper({ publisher, ads, openPorts });
  const analyze: ServerDependencies["analyze"] = (request) =>
    analyzeChange(request, {
      resources: store.all().items,
      resolveModules: (resources) => resolver.resolve(resources, { peek: true }),
      registries: registries.answers,
      snapshot: publisher.snapshot,
      nowMs: clock.nowMs(),
    });
  return {
    ...{ store, fleet, publisher, local, namespaces, garbage },
    agents,
    ads,
    status,
    dump,
    dependencies: (token, shutdown) => ({
      ...{ store, clock, token, logger, shutdown, analyze, runtimeStatus: status, messages },
      configDump: dump,
      explain: (request) =>
        explainRequest(request, {
          ...{ gateways: fleet.gateways, snapshot: publisher.snapshot, openPorts: openPorts() },
        }),
      recent: (query) =>
        recentDecisions(query, { gateways: fleet.everyGateway, sidecars: fleet.sidecars }),
      podLog: podLogOf(local),
      pluginLog: pluginLogOf(fleet, publisher),
    }),
    ...succeeding(options, sharers, { sharedMemory: memory.path, applied: given.applied }),
    stop: () => stopAll([...sources, ads], { fleet, local, memory, store }),
  };
}

function compileAfter(
  last: Snapshot,
  ...[resources, modules, names, registries, keySets]: Parameters<PublisherOptions["compile"]>
): ReturnType<PublisherOptions["compile"]> {
  return compile({
    ...{ resources, modules, nowMs: systemClock.nowMs(), gatewayAddress: GATEWAY_HOST },
    ...(names === undefined ? {} : { names }),
    ...(registries === undefined ? {} : { registries }),
    ...(keySets === undefined ? {} : { keySets }),
    before: last,
    lastGoodPlugins: last.plugins,
    servingGateways: servingGateways(last),
  });
}

function dumper(parts: {
  readonly publisher: Publisher;
  readonly ads: AdsServer | null;
  readonly openPorts: () => ReadonlyMap<number, number>;
}): ServerDependencies["configDump"] {
  const { publisher, ads, openPorts } = parts;
  const machine = machineForEnvoys();
  return (node, { withEndpoints }) => {
    const updatedAt = timestamp(publisher.status().compiledAtMs);
    const opened = { host: GATEWAY_HOST, ports: openPorts(), given: machine };
    const found =
      node === EMBEDDED
        ? embeddedDump(publisher.snapshot, opened, updatedAt)
        : ads?.dump(node, updatedAt);
    return found == null ? null : configDump(found, withEndpoints);
  };
}

/** Requests first, then what they need. */
async function stopAll(
  sources: readonly ({ stop(): void } | null)[],
  parts: Pick<Parts, "fleet" | "local" | "store"> & { readonly memory: { remove(): void } },
): Promise<void> {
  const { fleet, local, memory, store } = parts;
  await fleet.stopGateways();
  await local.close();
  for (const source of sources) source?.stop();
  await fleet.stop();
  memory.remove();
  await store.close();
}

interface Answers {
  readonly names: NameResolver;
  readonly registries: Registries;
  readonly keySets: KeyResolver;
}

function makeAnswers(publisher: () => Publisher): Answers {
  const clock = systemClock;
  const onChange = (): void => {
    publisher().refresh();
  };
  return {
    names: new NameResolver({ lookUp: lookUpByDns, clock, onChange }),
    registries: new Registries({ clock, onChange }),
    keySets: new KeyResolver({ fetchKeys: keyFetcher(clock), clock, onChange }),
  };
}

/** For Envoys; the embedded engine fetches by itself. */
function keysOf(keySets: KeyResolver): Pick<PublisherOptions, "resolveKeys"> {
  return { resolveKeys: (resources) => keySets.resolve(keySetsToFetch(resources)) };
}

/** The apps' agents are one more node, to which the publisher tells each change. */
function startEndpointFile(
  stateDirectory: string,
  local: LocalCluster,
  logger: Logger,
): EndpointFile {
  const agents = new EndpointFile({
    path: endpointFileOf(stateDirectory),
    clock: systemClock,
    logger,
    hasReaders: () => local.hasPodsWithoutSidecar(),
  });
  agents.start();
  return agents;
}

function podLogOf(local: LocalCluster): ServerDependencies["podLog"] {
  return (namespace, name, { follow, tailLines }, signal) => {
    const tail = tailLines === null ? {} : { tailLines };
    const pieces = local.readLog(namespace, name, { follow, signal, ...tail });
    return pieces === null ? null : linesOf(pieces);
  };
}

function pluginLogOf(fleet: WorkerFleet, publisher: Publisher): ServerDependencies["pluginLog"] {
  const workers = (): readonly WorkerLink[] => fleet.everyGateway;
  return (query, signal) => {
    const plugins = Object.keys(publisher.snapshot.plugins);
    return pluginLog(query, { clock: systemClock, signal, workers, plugins });
  };
}

function makeAdsServer(
  { stateDirectory }: UpOptions,
  logger: Logger,
  publisher: () => Publisher,
): AdsServer {
  return new AdsServer({
    keyToken: ensureXdsToken(stateDirectory),
    api: EnvoyApi.load(ENVOY_API_FILE),
    clock: systemClock,
    logger,
    ...machineForEnvoys(),
    onUp: (node) => {
      publisher().join(node);
    },
    onDown: (node) => {
      publisher().leave(node);
    },
  });
}

function makeFleet(
  options: UpOptions,
  {
    logger,
    sharedMemory,
    legacy,
  }: {
    readonly logger: Logger;
    readonly sharedMemory: string;
    readonly legacy: UpLegacy | null;
  },
  publisher: () => Publisher,
): WorkerFleet {
  return new WorkerFleet({
    gatewayCount: options.workerCount ?? GATEWAY_WORKERS_DEFAULT,
    stopGraceMs: options.drainTimeMs,
    ...(legacy === null
      ? {}
      : { inherited: trafficOf(legacy), launchedBefore: legacy.state.launchCount }),
    worker: {
      sharedMemory,
      ...(legacy === null ? {} : { keepsSharedMemory: true, ...sharedTraces(sharedMemory) }),
      gatewayHost: GATEWAY_HOST,
      portMap: Object.fromEntries(options.portMap),
      accessLogPath: options.accessLog ?? "",
      accessLogHeaders: options.accessLogHeaders,
      ...(options.accessLogFormat === null ? {} : { accessLogFormat: options.accessLogFormat }),
      recentCount: options.recentCount,
      ...(options.overload === null ? {} : { overload: options.overload }),
      logLevel: "info",
      logPath: join(options.stateDirectory, "graylane.log"),
    },
    clock: systemClock,
    logger,
    onUp: (node) => {
      publisher().join(node);
    },
    onDown: (node) => {
      publisher().leave(node);
    },
  });
}

function makeLocalCluster(
  options: UpOptions,
  given: {
    readonly store: ResourceStore;
    readonly images: ImageMap;
    readonly logger: Logger;
    readonly sidecars: SidecarControl;
    readonly apps: AppHost;
  },
): LocalCluster {
  return new LocalCluster({
    store: podStore(given.store),
    apps: given.apps,
    sidecars: given.sidecars,
    clock: systemClock,
    prng: systemPrng,
    images: given.images,
    stateDir: options.stateDirectory,
    baseDir: process.cwd(),
    agentUrl: agentUrl(),
    usualSidecar: options.sidecars,
    hostEnv: process.env,
    report: (report) => {
      logReport(given.logger, report);
    },
  });
}

function sharedTraces(sharedMemory: string): { readonly sharedTraces?: string } {
  const folder = tracesIn(sharedMemory);
  return folder === null ? {} : { sharedTraces: folder };
}

function sidecarControl(
  { store, retired }: { readonly store: ResourceStore; readonly retired: Promise<void> },
  publisher: Publisher,
  { fleet, ads }: { readonly fleet: WorkerFleet; readonly ads: AdsServer | null },
): SidecarControl {
  return {
    async sidecarReady(pod) {
      await publisher.settled(store.revision);
      const link = fleet.sidecars[0];
      if (link === undefined) throw new Error("the sidecar worker is not running");
      const failure = await link.podFailure(pod);
      if (failure !== null) throw new Error(failure);
    },
    async envoyReady(pod, signal) {
      if (ads === null) throw new Error("no Envoy is served: start graylane up with --xds");
      await ads.sidecarReady(pod, signal);
    },
    settled: (revision) => publisher.settled(Number(revision)),
    async drained(pod, timeoutMs) {
      const own = fleet.sidecars.map((link) => link.drainPod(pod, timeoutMs));
      // Whether the process before has requests of this pod, nobody here knows.
      const others = Promise.race([retired, delay(systemClock, timeoutMs, { unref: true })]);
      await Promise.allSettled([...own, others]);
    },
  };
}

/** Null when the sources run directly: plain Node could not load the agent's TypeScript. */
function agentUrl(): string | null {
  if (import.meta.url.endsWith(".ts")) return null;
  return pathToFileURL(join(PACKAGE_ROOT, "dist", "src", "agent", "agent.js")).href;
}

function logReport(logger: Logger, { severity, code, message, object }: LocalReport): void {
  const text = `${code === "" ? "" : `${code}: `}${object}: ${message}`;
  if (severity === "error") logger.error(text);
  else if (severity === "warning") logger.warn(text);
  else logger.info(text);
}

function openPortsOf(
  publisher: Publisher,
  portMap: ReadonlyMap<number, number>,
): Map<number, number> {
  const named = Object.fromEntries(portMap);
  const open = new Map<number, number>();
  for (const { listeners } of Object.values(publisher.snapshot.gateways)) {
    for (const { port } of listeners) open.set(port, openPortOf(port, named));
  }
  return open;
}

function runtimeStatus(parts: {
  readonly options: UpOptions;
  readonly store: ResourceStore;
  readonly fleet: WorkerFleet;
  readonly publisher: Publisher;
  readonly ads: AdsServer | null;
  readonly startedAt: string;
  readonly openPorts: ReadonlyMap<number, number>;
}): RuntimeStatus {
  const { store, fleet, publisher, openPorts } = parts;
  const published = publisher.status();
  const states = { SYNCED: "ready", PENDING: "starting", STALE: "stale", NACK: "stale" } as const;
  const nodes = new Map(published.nodes.map((node) => [node.id, node]));
  return {
    version: packageVersion(),
    pid: process.pid,
    startedAt: parts.startedAt,
    stateDirectory: parts.options.stateDirectory,
    resourceVersion: String(store.revision),
    snapshot: {
      version: published.version,
      resourceVersion: String(published.settledRevision),
      publishedAt: timestamp(published.compiledAtMs),
      messages: published.messages,
    },
    workers: fleet.links.map((link) => {
      const node = nodes.get(link.id);
      return {
        id: link.id,
        role: link.role,
        pid: link.pid,
        state: node === undefined ? ("starting" as const) : states[node.state],
        snapshotVersion: link.heldVersion,
        restartCount: fleet.restartCount(link.id),
        message: node?.error ?? published.failure,
      };
    }),
    envoys: parts.ads?.status() ?? [],
    listeners: Object.values(publisher.snapshot.gateways).flatMap(({ name, listeners }) =>
      listeners.map(({ port }) => ({
        gateway: name,
        port,
        address: `${GATEWAY_HOST}:${openPorts.get(port) ?? port}`,
      })),
    ),
    damaged: store.damaged().map(({ key }) => key),
  };
}
