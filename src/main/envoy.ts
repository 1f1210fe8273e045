//! `graylane envoy`: runs the static part of an Envoy bootstrap on the embedded engine.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { staticDump } from "../compile-envoy/config-dump.ts";
import { systemClock, timestamp } from "../base/clock.ts";
import { systemPrng } from "../base/prng.ts";
import type { EnvoyOptions } from "../cli/envoy-options.ts";
import { importBootstrap } from "../envoy/bootstrap.ts";
import { withFlags } from "../envoy/node.ts";
import type { EnvoyBootstrap } from "../envoy/bootstrap.ts";
import { WASM_PLUGIN_KIND } from "../envoy/wasm-filter.ts";
import type { Fault } from "../resources/fault.ts";
import { formatFault } from "../resources/format-fault.ts";
import { EnvoyLog } from "../telemetry/envoy-log.ts";
import { startAdminServer } from "./admin-server.ts";
import type { AdminSource } from "./admin-server.ts";
import { codeResolver } from "./bootstrap-code.ts";
import { packageVersion } from "./package-root.ts";
import { RemoteCode } from "./remote-code.ts";
import { makeSharedMemoryFolder } from "./shared-memory-folder.ts";
import { servesUntilReplaced } from "./hot-restart.ts";
import { ADMIN, FirstProcess, inherit } from "./succession.ts";
import type { ListeningHandle, Succession } from "./succession.ts";
import { StaticEngine } from "./static-engine.ts";
import { endpointListOf } from "../snapshot/endpoint-list.ts";
import type { Terminal } from "./up.ts";

const MS_PER_SECOND = 1_000;

interface Surroundings {
  readonly terminal: Terminal;
  readonly interrupted: AbortSignal;
  /** Removed at the end. */
  readonly folder: string;
  /** What is to be fetched before anything is served. */
  readonly remote: RemoteCode;
}

interface Running {
  readonly engine: StaticEngine;
  readonly log: EnvoyLog;
  readonly remote: RemoteCode;
  readonly stopped: AbortSignal;
  /** The socket of the admin endpoints: inherited, or own. */
  adminHandle: ListeningHandle | null;
}

/** Resolves to the exit code: 0 when it was told to stop, 1 when the configuration is refused. */
export async function runEnvoy(
  options: EnvoyOptions,
  terminal: Terminal,
  interrupted: AbortSignal,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "graylane-envoy-"));
  try {
    const remote = new RemoteCode(folder);
    const bootstrap = read(options, terminal, { folder, remote });
    if (bootstrap === null) return 1;
    if (options.validateOnly) {
      terminal.stdout.write(`configuration '${options.file}' OK\n`);
      return 0;
    }
    return await serve(bootstrap, options, { terminal, interrupted, folder, remote });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Null, and said, when it is refused. */
function read(
  options: EnvoyOptions,
  terminal: Terminal,
  { folder, remote }: Pick<Surroundings, "folder" | "remote">,
): EnvoyBootstrap | null {
  const text = options.configYaml ?? readConfiguration(options.file, terminal);
  if (text === null) return null;
  const read = importBootstrap(text, options.file, codeResolver(codeFile(folder), remote));
  for (const fault of read.faults) terminal.stderr.write(`${formatFault(fault)}\n`);
  if (read.bootstrap === null) terminal.stderr.write("error: the configuration is refused\n");
  return read.bootstrap;
}

function readConfiguration(file: string, terminal: Terminal): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : message;
    terminal.stderr.write(`error: ${file}: ${why}\nName Envoy's bootstrap with -c FILE.\n`);
    return null;
  }
}

/** Code within the configuration becomes a file in `folder`. */
function codeFile(folder: string): (sha256: string, bytes: Uint8Array) => string {
  return (sha256, bytes) => {
    const path = join(folder, `${sha256}.wasm`);
    writeFileSync(path, bytes);
    return path;
  };
}

async function serve(
  bootstrap: EnvoyBootstrap,
  options: EnvoyOptions,
  { terminal, interrupted, folder, remote }: Surroundings,
): Promise<number> {
  const log = new EnvoyLog(systemClock, options.levels, (line) => {
    terminal.stderr.write(line);
  });
  const memory = makeSharedMemoryFolder(folder, log);
  const inheritance = inherit();
  const succession = inheritance ?? new FirstProcess();
  const legacy = await inheritance?.take();
  const stopped =
    inheritance === null ? interrupted : AbortSignal.any([interrupted, inheritance.orphaned]);
  const engine = new StaticEngine({
    ...(legacy === undefined ? {} : { inherited: legacy.handles }),
    snapshot: bootstrap.snapshot,
    singletons: bootstrap.singletons,
    workerCount: options.concurrency,
    worker: { ...workerOptions(bootstrap, options), sharedMemory: memory.path },
    logger: log,
  });
  const adminHandle = legacy?.handles.get(ADMIN) ?? null;
  const running: Running = { engine, log, remote, stopped, adminHandle };
  const ended = new AbortController();
  let code = 1;
  try {
    const failure = await start(running, bootstrap, ended.signal);
    if (failure === null) {
      log.info("all dependencies initialized. starting workers");
      log.info("starting main dispatch loop");
      inheritance?.ready();
      code = await stay({ ...running, succession, ended }, options, stopped);
    } else log.critical(`error initializing configuration '${options.file}': ${failure}`);
  } finally {
    await engine.stop();
    memory.remove();
    ended.abort();
  }
  log.info("exiting");
  return succession.finish(code);
}

interface Staying extends Running {
  readonly succession: Succession;
  /** Closes the admin endpoints. */
  readonly ended: AbortController;
}

/** Resolves to the exit code: told to stop, or needed no more by a process that came after it. */
async function stay(
  running: Staying,
  { mayRestart, parentShutdownMs }: EnvoyOptions,
  stopped: AbortSignal,
): Promise<number> {
  const { engine, log, succession, ended } = running;
  const isReplaced = await servesUntilReplaced(
    {
      ...{ succession, mayRestart, log },
      letGo: async () => {
        const { adminHandle } = running;
        const own = await engine.listeners();
        const admin = adminHandle === null ? [] : [[ADMIN, adminHandle] as const];
        const handles = new Map([...own, ...admin]);
        return { handles, inUse: new Set([ADMIN]), state: null };
      },
    },
    stopped,
  );
  if (!isReplaced) {
    log.warn("caught a signal");
    return 0;
  }
  await engine.leavePorts();
  log.info("the new process serves; here only what has begun goes on");
  ended.abort();
  return succession.outlive(engine.retire(parentShutdownMs), stopped);
}

function workerOptions(
  { listeners, accessLog, node }: EnvoyBootstrap,
  { levels, node: flags }: EnvoyOptions,
): ConstructorParameters<typeof StaticEngine>[0]["worker"] {
  const ports = listeners.map(({ address }) => [String(address.port), address.port] as const);
  return {
    node: withFlags(node, flags),
    // Each listener has an address of its own.
    gatewayHost: "127.0.0.1",
    portMap: Object.fromEntries(ports),
    accessLogPath: accessLog.path,
    ...(accessLog.path !== "" && { accessLogFormat: accessLog.format }),
    logLevel: "info",
    logPath: "",
    envoyLog: levels,
  };
}

/** Null when everything runs; else why not. */
async function start(
  running: Running,
  bootstrap: EnvoyBootstrap,
  ended: AbortSignal,
): Promise<string | null> {
  // A successor is asked nothing before it serves: until then the process before it answers.
  const isSuccessor = running.adminHandle !== null;
  const failure = isSuccessor ? null : await openAdmin(running, bootstrap, ended);
  if (failure !== null) return failure;
  const { remote } = running;
  await fetchCode(running, bootstrap);
  try {
    const refusal = await running.engine.start((fault) => isRefusal(fault, bootstrap, remote));
    if (refusal === null) return isSuccessor ? await openAdmin(running, bootstrap, ended) : null;
    const { kind = WASM_PLUGIN_KIND, name = "" } = refusal.object ?? {};
    return `Unable to create Wasm ${kind} ${name}: ${refusal.message}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** As in Envoy nothing is served until each is there, or has been given up. */
async function fetchCode(
  { remote, engine, log, stopped }: Running,
  { snapshot }: EnvoyBootstrap,
): Promise<void> {
  const onFailure = (message: string): void => {
    log.warn(`${message}; it is tried again`);
  };
  const deps = { clock: systemClock, prng: systemPrng };
  await remote.fetchAll({ ...deps, snapshot, onFailure, stopped });
  // Each worker then says what becomes of the plug-in's requests.
  engine.revise((each) => remote.withMissing(each));
}

/**
 * Without its fail-open plug-in a gateway serves; Envoy itself would refuse that too. What is wrong
 * with remote code it learns too late to refuse: as there, requests are then answered with 503.
 */
function isRefusal(
  { object }: Fault,
  { snapshot, singletons }: EnvoyBootstrap,
  remote: RemoteCode,
): boolean {
  return Object.values({ ...snapshot.plugins, ...singletons?.plugins }).some(
    ({ source, failMode, module }) =>
      source.kind === object?.kind &&
      source.name === object.name &&
      failMode === "closed" &&
      !remote.has(module.sha256),
  );
}

async function openAdmin(
  running: Running,
  bootstrap: EnvoyBootstrap,
  ended: AbortSignal,
): Promise<string | null> {
  const { admin } = bootstrap;
  if (admin === null) return null;
  const source = adminSource(running, bootstrap);
  const server = await startAdminServer(source, admin, running.adminHandle);
  if (typeof server === "string") {
    return `the admin endpoints cannot listen on ${admin.host}:${admin.port}: ${server}`;
  }
  running.adminHandle = Reflect.get(server, "_handle") as ListeningHandle;
  ended.addEventListener("abort", () => {
    server.close();
    // One that is kept alive would keep the process alive.
    server.closeAllConnections();
  });
  return null;
}

function adminSource({ engine, log }: Running, bootstrap: EnvoyBootstrap): AdminSource {
  const startedMs = systemClock.monotonicMs();
  const startedAt = timestamp(systemClock.nowMs());
  const { snapshot } = bootstrap;
  const listeners = bootstrap.listeners.map(({ name, address: { host, port } }) => ({
    gateway: name,
    address: `${host}:${port}`,
  }));
  return {
    version: packageVersion(),
    isReady: () => engine.isReady,
    uptimeSeconds: () => (systemClock.monotonicMs() - startedMs) / MS_PER_SECOND,
    gatewayWorkers: () => engine.workerCount,
    metrics: () => engine.metrics(),
    snapshot: () => snapshot,
    configDump: () => staticDump(bootstrap.document, startedAt),
    agentEndpoints: () => endpointListOf(snapshot, { withKeys: false }),
    listeners: () => (engine.isReady ? listeners : []),
    ejected: () => engine.ejected(),
    logLevel: () => log.level,
    setLogLevel: (level) => {
      log.level = level;
      return engine.setLogLevel(level);
    },
    isDrained: () => engine.isDrained,
    drainListeners: () => engine.drainListeners(),
    statTags: bootstrap.statTags,
  };
}
