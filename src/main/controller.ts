//! `graylane controller`: a Kubernetes cluster's objects -> compile -> real Envoys, and what is
//! said of the objects back into their status. Compiler and publisher are those of `graylane up`.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { hostname } from "node:os";
import { systemClock } from "../base/clock.ts";
import type { Timer } from "../base/clock.ts";
import { systemPrng } from "../base/prng.ts";
import type { ControllerOptions } from "../cli/controller-options.ts";
import { LEASE_NAME, NAMESPACE_DEFAULT } from "../cli/install-manifests.ts";
import { compile } from "../compile/compile.ts";
import { bringsPlugin, pluginKey } from "../compile/plugin-kinds.ts";
import { namesToResolve } from "../compile/service-entry.ts";
import { lookUpByDns } from "../controlplane/discovery/look-up.ts";
import { NameResolver } from "../controlplane/discovery/name-resolver.ts";
import { Registries } from "../controlplane/nacos/registries.ts";
import { ClusterClient } from "../controlplane/kubernetes/cluster-client.ts";
import { ClusterMirror } from "../controlplane/kubernetes/cluster-mirror.ts";
import { clusterStatusWriter } from "../controlplane/kubernetes/cluster-status.ts";
import { inClusterAccess, KubeconfigError } from "../controlplane/kubernetes/kubeconfig.ts";
import { readKubeconfig } from "../controlplane/kubernetes/kubeconfig.ts";
import type { ClusterAccess } from "../controlplane/kubernetes/kubeconfig.ts";
import { LeaderElection } from "../controlplane/kubernetes/leader-election.ts";
import type { ModuleMap } from "../controlplane/plugins/resolve-modules.ts";
import { Publisher } from "../controlplane/publish/publisher.ts";
import type { StatusWrite } from "../controlplane/publish/object-status.ts";
import { AdsServer } from "../controlplane/xds/ads-server.ts";
import { EnvoyApi } from "../controlplane/xds/envoy-api.ts";
import type { Resource } from "../resources/object.ts";
import { createLogger } from "../telemetry/logger.ts";
import type { Logger } from "../telemetry/logger.ts";
import { ENVOY_API_FILE, packageVersion } from "./package-root.ts";
import type { Terminal } from "./up.ts";

/** After a status that could not be written, all are looked at again. */
const STATUS_RETRY_MS = 5_000;

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
  const names = new NameResolver({
    ...{ lookUp: lookUpByDns, clock },
    onChange: () => {
      publisher.refresh();
    },
  });
  const registries = new Registries({
    clock,
    onChange: () => {
      publisher.refresh();
    },
  });
  const write = clusterStatusWriter(client, clock, () => election.isLeader);
  const retry = new Retry(() => {
    publisher.refresh();
  });
  const publisher: Publisher = new Publisher({
    store: mirror,
    resolveModules: (resources) => Promise.resolve(noModules(resources)),
    resolveNames: (resources) => names.resolve(namesToResolve(resources)),
    resolveRegistries: (resources) => registries.resolve(resources),
    compile: (resources, modules, found, answers) => {
      const compiled = compile({
        ...{ resources: mirror.usable(resources), modules, nowMs: clock.nowMs() },
        ...(found === undefined ? {} : { names: found }),
        ...(answers === undefined ? {} : { registries: answers }),
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
    names.stop();
    registries.stop();
    publisher.stop();
    await election.stop();
    mirror.stop();
    client.close();
  };
  return { mirror, election, publisher, ads, stop };
}

/** Envoys elsewhere cannot load a file of this machine: a plug-in's fail mode applies. */
function noModules(resources: readonly Resource[]): ModuleMap {
  const fault = {
    code: "GL0701",
    error: "plug-ins are not brought to the Envoys of a Kubernetes cluster",
    remedy: "Requests are answered 503 unless it says failStrategy: FAIL_OPEN.",
  };
  return new Map(resources.filter(bringsPlugin).map((one) => [pluginKey(one), fault]));
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
