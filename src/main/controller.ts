//! `graylane controller`: a Kubernetes cluster's objects -> compile -> real Envoys, and what is
//! said of the objects back into their status. Compiler and publisher are those of `graylane up`.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { hostname } from "node:os";
import { delay, systemClock } from "../base/clock.ts";
import type { Timer } from "../base/clock.ts";
import { systemPrng } from "../base/prng.ts";
import type { ControllerOptions } from "../cli/controller-options.ts";
import { LEASE_NAME, NAMESPACE_DEFAULT } from "../cli/install-manifests.ts";
import { compile } from "../compile/compile.ts";
import { keySetsToFetch } from "../compile/key-sets.ts";
import { namesToResolve } from "../compile/service-entry.ts";
import { servingGateways } from "../compile/wasm-plugin.ts";
import { lookUpByDns } from "../controlplane/discovery/look-up.ts";
import { KeyResolver } from "../controlplane/discovery/key-resolver.ts";
import { NameResolver } from "../controlplane/discovery/name-resolver.ts";
import { keyFetcher } from "../dataplane/runtime/fetch-keys.ts";
import { Registries } from "../controlplane/nacos/registries.ts";
import { ClusterClient } from "../controlplane/kubernetes/cluster-client.ts";
import { ClusterMirror } from "../controlplane/kubernetes/cluster-mirror.ts";
import { clusterStatusWriter } from "../controlplane/kubernetes/cluster-status.ts";
import { inClusterAccess, KubeconfigError } from "../controlplane/kubernetes/kubeconfig.ts";
import { readKubeconfig } from "../controlplane/kubernetes/kubeconfig.ts";
import type { ClusterAccess } from "../controlplane/kubernetes/kubeconfig.ts";
import { LeaderElection } from "../controlplane/kubernetes/leader-election.ts";
import type { ModuleResolver } from "../controlplane/plugins/resolve-modules.ts";
import { Publisher } from "../controlplane/publish/publisher.ts";
import type { StatusWrite } from "../controlplane/publish/object-status.ts";
import { AdsServer } from "../controlplane/xds/ads-server.ts";
import { EnvoyApi } from "../controlplane/xds/envoy-api.ts";
import { loadImageMap } from "../resources/image-map.ts";
import { createLogger } from "../telemetry/logger.ts";
import type { Logger } from "../telemetry/logger.ts";
import { ownPlugins } from "./envoy-machine.ts";
import { makeModuleResolver } from "./module-resolver.ts";
import { CATALOGUE_FILE, ENVOY_API_FILE, packageVersion } from "./package-root.ts";
import type { Terminal } from "./up.ts";

/** After a status that could not be written, all are looked at again. */
const STATUS_RETRY_MS = 5_000;
/** How long Envoys wait for a controller that has yet to fetch modules. */
const MODULES_WAIT_MS_MAX = 30_000;
const MODULES_LOOK_MS = 100;
const IS_BEING_FETCHED = "GL0411";
/** Of fetched modules; `graylane install` gives their volume twice as much. */
const CACHE_BYTES_MAX = 512 * 1024 * 1024;

/** Resolves to the exit code when it has been told to stop. */
export async function controller(
  options: ControllerOptions,
  terminal: Terminal,
  interrupted: AbortSignal,
): Promise<number> {
  const access = accessOf(options);
  if (typeof access === "string") {
    terminal.stderr.write(`error: GL0630: ${access}\n`);
    return 1;
  }
  const logger = createLogger({ level: "info" });
  const parts = assemble(options, access, logger);
  const health = await listenHealth(parts, options.health);
  if (typeof health === "string") {
    const { host, port } = options.health;
    const remedy = "Choose another address with --health HOST:PORT.";
    terminal.stderr.write(
      `error: GL0604: cannot listen on ${host}:${port}: ${health}. ${remedy}\n`,
    );
    return 1;
  }
  try {
    return await serve(parts, { options, terminal, interrupted });
  } finally {
    health.close();
    health.closeAllConnections();
    await parts.stop();
  }
}

function accessOf({ kubeconfig, context }: ControllerOptions): ClusterAccess | string {
  try {
    if (kubeconfig === null) return inClusterAccess(process.env);
    return readKubeconfig(kubeconfig, context);
  } catch (error) {
    if (!(error instanceof KubeconfigError)) throw error;
    return kubeconfig === null ? error.message : `${kubeconfig}: ${error.message}`;
  }
}

interface Parts {
  readonly mirror: ClusterMirror;
  readonly election: LeaderElection;
  readonly publisher: Publisher;
  readonly ads: AdsServer;
  readonly stop: () => Promise<void>;
}

async function serve(
  { mirror, election, publisher, ads }: Parts,
  given: {
    readonly options: ControllerOptions;
    readonly terminal: Terminal;
    readonly interrupted: AbortSignal;
  },
): Promise<number> {
  const { options, terminal, interrupted } = given;
  mirror.start();
  // Half a cluster would take away what Envoys run.
  await mirror.synced(interrupted);
  if (interrupted.aborted) return 0;
  publisher.start();
  await publisher.settled(mirror.revision);
  await modulesHere(publisher, interrupted);
  const { host, port } = options.xds;
  try {
    const bound = await ads.listen(host, port);
    terminal.stdout.write(`Graylane's controller is up.\n  xDS: ${host}:${bound}\n`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const remedy = "Choose another --xds.";
    terminal.stderr.write(
      `error: GL0605: Envoys cannot be served on ${host}:${port}: ${why}. ${remedy}\n`,
    );
    return 1;
  }
  election.start();
  await new Promise<void>((resolve) => {
    if (interrupted.aborted) resolve();
    interrupted.addEventListener("abort", () => {
      resolve();
    });
  });
  terminal.stdout.write("stopping\n");
  return 0;
}

/** Else Envoys that have a plug-in would be told to go on without it; ends after a while anyway. */
async function modulesHere(publisher: Publisher, interrupted: AbortSignal): Promise<void> {
  const endMs = systemClock.monotonicMs() + MODULES_WAIT_MS_MAX;
  const isOver = (): boolean => interrupted.aborted || systemClock.monotonicMs() > endMs;
  const areFetched = (): boolean =>
    !publisher.status().messages.some(({ code }) => code === IS_BEING_FETCHED);
  while (!areFetched() && !isOver()) await delay(systemClock, MODULES_LOOK_MS);
}

function assemble(options: ControllerOptions, access: ClusterAccess, logger: Logger): Parts {
  const [clock, prng] = [systemClock, systemPrng];
  const client = new ClusterClient(access, `graylane/${packageVersion()}`);
  const mirror = new ClusterMirror({ client, clock, prng, logger });
  const election = new LeaderElection({
    ...{ client, clock, prng, logger, name: LEASE_NAME },
    namespace: options.leaseNamespace ?? access.namespace ?? NAMESPACE_DEFAULT,
    identity: `${hostname()}_${randomUUID()}`,
    onChange: (isLeader) => {
      // What the leader before has not written yet is for this one.
      if (isLeader) publisher.refresh();
    },
  });
  const onChange = (): void => {
    publisher.refresh();
  };
  const names = new NameResolver({ lookUp: lookUpByDns, clock, onChange });
  const registries = new Registries({ clock, onChange });
  const keySets = new KeyResolver({ fetchKeys: keyFetcher(clock), clock, onChange });
  const modules = makeModules(options, () => publisher);
  const write = clusterStatusWriter(client, clock, () => election.isLeader);
  const retry = new Retry(onChange);
  const publisher: Publisher = new Publisher({
    store: mirror,
    resolveModules: (resources) => modules.resolve(mirror.usable(resources)),
    resolveNames: (resources) => names.resolve(namesToResolve(resources)),
    resolveRegistries: (resources) => registries.resolve(resources),
    resolveKeys: (resources) => keySets.resolve(keySetsToFetch(resources)),
    compile: (resources, fetched, ...[found, answers, keys]) => {
      const last = publisher.snapshot;
      const compiled = compile({
        ...{ resources: mirror.usable(resources), modules: fetched, nowMs: clock.nowMs() },
        ...{ lastGoodPlugins: last.plugins, servingGateways: servingGateways(last) },
        ...(found === undefined ? {} : { names: found }),
        ...(answers === undefined ? {} : { registries: answers }),
        ...(keys === undefined ? {} : { keySets: keys }),
      });
      return { ...compiled, messages: [...mirror.faults(), ...compiled.messages] };
    },
    writeStatus: (status) => retry.guard(write, status),
    // Envoys do not say when what they ran before has drained: the longest time is waited.
    drained: () => new Promise(() => undefined),
    clock,
    logger,
  });
  const ads = new AdsServer({
    ...{ api: EnvoyApi.load(ENVOY_API_FILE), clock, logger },
    ...{ ...ownPlugins(), ownAreFetched: true },
    onUp: (node) => {
      publisher.join(node);
    },
    onDown: (node) => {
      publisher.leave(node);
    },
  });
  const stop = async (): Promise<void> => {
    retry.stop();
    ads.stop();
    modules.stop();
    names.stop();
    registries.stop();
    keySets.stop();
    publisher.stop();
    await election.stop();
    mirror.stop();
    client.close();
  };
  return { mirror, election, publisher, ads, stop };
}

function makeModules(
  { stateDirectory }: ControllerOptions,
  publisher: () => Publisher,
): ModuleResolver {
  const images = loadImageMap([CATALOGUE_FILE]).map;
  return makeModuleResolver({ stateDirectory, images, publisher, cacheBytesMax: CACHE_BYTES_MAX });
}

/** Calls again a while after a failure, once for all that failed. */
class Retry {
  readonly #again: () => void;
  #timer: Timer | null = null;

  constructor(again: () => void) {
    this.#again = again;
  }

  async guard(
    write: (status: StatusWrite) => Promise<boolean>,
    status: StatusWrite,
  ): Promise<boolean> {
    try {
      return await write(status);
    } catch (error) {
      this.#timer ??= systemClock.after(STATUS_RETRY_MS, () => {
        this.#timer = null;
        this.#again();
      });
      throw error;
    }
  }

  stop(): void {
    this.#timer?.cancel();
  }
}

/** For the probes of a Pod. A text: why it cannot listen. */
function listenHealth(
  { mirror, publisher, election }: Parts,
  { host, port }: ControllerOptions["health"],
): Promise<Server | string> {
  const server = createServer((request, response) => {
    const isReady = mirror.isSynced && publisher.status().compiledAtMs > 0;
    const path = request.url ?? "";
    if (path === "/healthz") response.end("ok\n");
    else if (path === "/readyz" && isReady) {
      response.end(`ok\n${election.isLeader ? "leads\n" : ""}${mirror.failures.join("\n")}`);
    } else {
      response.statusCode = path === "/readyz" ? 503 : 404;
      response.end(path === "/readyz" ? `not read yet\n${mirror.failures.join("\n")}\n` : "");
    }
  });
  return new Promise((resolve) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "EADDRINUSE" ? "another process listens there" : error.message);
    });
    server.listen(port, host, () => {
      resolve(server);
    });
  });
}
