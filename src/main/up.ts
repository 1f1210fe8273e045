//! `graylane up`: starts everything in the order in which one part needs another, says where it is,
//! and ends in the reverse order.

import type { Server } from "node:http";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import type { UpOptions } from "../cli/program.ts";
import type { NodeStatus } from "../controlplane/publish/config-node.ts";
import { DirectoryLockedError } from "../controlplane/store/directory-lock.ts";
import { isMarked } from "../controlplane/store/deletion.ts";
import { NewerFormatError } from "../controlplane/store/format.ts";
import { openStore, storeKeyOf } from "../controlplane/store/open-store.ts";
import { GROUP_WRITES_MAX, keyText } from "../controlplane/store/store.ts";
import type { ResourceStore } from "../controlplane/store/store.ts";
import { AppKeeper } from "../local/app-keeper.ts";
import type { AppHost } from "../local/app-keeper.ts";
import type { Fault } from "../resources/fault.ts";
import { formatFault } from "../resources/format-fault.ts";
import type { ImageMap } from "../resources/image-map.ts";
import { loadImageMap } from "../resources/image-map.ts";
import { loadFiles } from "../resources/load.ts";
import { completedNamespace } from "../resources/kinds/namespace.ts";
import type { Resource } from "../resources/object.ts";
import { ListenError, startApiServer } from "../server/api-server.ts";
import type { ApiServer } from "../server/api-server.ts";
import { ensureCertificate, type Certificate } from "../server/certificate.ts";
import { ensureBuiltIn } from "../server/access/built-in-roles.ts";
import {
  ensureToken,
  removeClientFile,
  writeClientFile,
  writeKubeconfig,
} from "../server/credentials.ts";
import { compileLogFormat } from "../telemetry/log-format.ts";
import { endLastLine, LineWriter, openFileSink } from "../telemetry/line-writer.ts";
import { createLogger } from "../telemetry/logger.ts";
import type { LeveledLogger, Logger } from "../telemetry/logger.ts";
import { mergeMetrics } from "../telemetry/metrics.ts";
import { startAdminServer } from "./admin-server.ts";
import type { AdminSource } from "./admin-server.ts";
import { hasUsers, userFilesFault, usersOf } from "./api-users.ts";
import { RelayedApps, serveApps } from "./app-relay.ts";
import { consoleLogger } from "./console-logger.ts";
import { servesUntilReplaced } from "./hot-restart.ts";
import { EMBEDDED } from "./embedded-dump.ts";
import { CATALOGUE_FILE, packageVersion } from "./package-root.ts";
import { assemble } from "./server-parts.ts";
import type { Parts } from "./server-parts.ts";
import { ADMIN, API, FirstProcess, inherit } from "./succession.ts";
import type { Inheritance, ListeningHandle, Succession } from "./succession.ts";
import { changedSince, digestsOf, podFailure, readLegacy } from "./up-legacy.ts";
import type { UpLegacy } from "./up-legacy.ts";

export interface Terminal {
  readonly stdout: { write(text: string): void };
  readonly stderr: { write(text: string): void };
}

/** Resolves to the exit code when the server has ended: 0 when it was told to. */
export async function up(
  options: UpOptions,
  terminal: Terminal,
  interrupted: AbortSignal,
): Promise<number> {
  const inheritance = inherit();
  const keeper = new AppKeeper();
  const succession =
    inheritance ??
    new FirstProcess((child) => {
      serveApps(child, keeper);
    });
  const apps = inheritance === null ? keeper : new RelayedApps(inheritance.channel);
  const stopped =
    inheritance === null ? interrupted : AbortSignal.any([interrupted, inheritance.orphaned]);
  const given = { terminal, interrupted: stopped, inheritance, succession, apps };
  return succession.finish(await prepare(options, given));
}

interface Given {
  readonly terminal: Terminal;
  readonly interrupted: AbortSignal;
  /** Null: no process was before this one. */
  readonly inheritance: Inheritance | null;
  readonly succession: Succession;
  readonly apps: AppHost;
}

interface Read {
  readonly images: ImageMap;
  readonly resources: readonly Resource[];
  readonly audit: LineWriter | null;
}

/** All that can be refused before anything is started. Null, and said, when it is. */
async function read(options: UpOptions, { stderr }: Terminal): Promise<Read | null> {
  const mapFiles =
    options.imageMap === null ? [CATALOGUE_FILE] : [options.imageMap, CATALOGUE_FILE];
  const images = loadImageMap(mapFiles);
  const loaded = await loadFiles(options.files);
  const faults = [...images.faults, ...loaded.faults];
  for (const fault of faults) stderr.write(`${formatFault(fault)}\n`);
  if (faults.some(isError)) {
    stderr.write("error: nothing was started; mend the files first\n");
    return null;
  }
  const { accessLogFormat } = options;
  const format = accessLogFormat === null ? null : compileLogFormat(accessLogFormat);
  if (typeof format === "string") {
    stderr.write(`error: --access-log-format: ${format}\n`);
    return null;
  }
  const unread = userFilesFault(options);
  if (unread !== null) {
    stderr.write(`error: ${unread}\n`);
    return null;
  }
  const audit = await openAudit(options.auditLog);
  if (typeof audit === "string") {
    stderr.write(`error: --audit-log ${options.auditLog}: ${audit}\n`);
    return null;
  }
  return { images: images.map, resources: loaded.resources.map(({ resource }) => resource), audit };
}

async function prepare(options: UpOptions, given: Given): Promise<number> {
  const { terminal, inheritance, apps } = given;
  const found = await read(options, terminal);
  if (found === null) return 1;
  const { audit, images } = found;
  const legacy = await legacyOf(inheritance);
  if (typeof legacy === "string") {
    terminal.stderr.write(`error: ${legacy}\n`);
    return 1;
  }
  const store = open(options.stateDirectory, terminal, legacy);
  if (store === null) return 1;
  const log = createLogger({
    level: "info",
    base: { worker: "main" },
    path: join(options.stateDirectory, "graylane.log"),
  });
  const logger = consoleLogger(log, terminal.stderr);
  const applied = digestsOf(found.resources);
  const retired = inheritance?.retired ?? Promise.resolve();
  const parts = assemble(options, {
    ...{ store, images, logger, apps, legacy, applied, retired },
  });
  const resources = changedSince(found.resources, legacy?.state ?? null);
  const code = await run({ ...given, options, parts, log, logger, audit, resources, legacy });
  await audit?.close();
  if (audit?.lastError != null) {
    const { droppedLines, lastError } = audit;
    terminal.stderr.write(`error: --audit-log: ${droppedLines} lines lost: ${lastError.message}\n`);
  }
  return code;
}

/** A text: why this process cannot go on in another one's place. */
async function legacyOf(inheritance: Inheritance | null): Promise<UpLegacy | string | null> {
  if (inheritance === null) return null;
  try {
    return readLegacy(await inheritance.take());
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Null: none is wanted; a text: it cannot be opened. */
async function openAudit(path: string | null): Promise<LineWriter | string | null> {
  if (path === null) return null;
  try {
    if (path !== "-") endLastLine(path);
    return new LineWriter(await openFileSink(path), systemClock);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

interface Run extends Given {
  readonly options: UpOptions;
  readonly parts: Parts;
  /** The main process's own: its level can be set. */
  readonly log: LeveledLogger;
  readonly logger: Logger;
  /** Null: none. */
  readonly audit: LineWriter | null;
  readonly resources: readonly Resource[];
  readonly legacy: UpLegacy | null;
}

async function run(given: Run): Promise<number> {
  const { options, parts, terminal, interrupted, legacy, inheritance } = given;
  const ordered = new AbortController();
  const token = ensureToken(options.stateDirectory);
  const certificate = await ensureCertificate(options.stateDirectory, systemClock);
  const shutdown = (): void => {
    ordered.abort();
  };
  const listenApi = (): Promise<ApiServer | ListenError> =>
    openApi(given, { token, shutdown, certificate });
  // A successor is asked nothing before it serves: until then the process before it answers.
  const early = legacy === null ? await listenApi() : null;
  if (early instanceof ListenError) {
    terminal.stderr.write(`error: ${early.message}\n`);
    await parts.store.close();
    return 1;
  }
  const started = await start(given);
  if (typeof started === "string") return await fail(given, started, early);
  const api = early ?? (await listenApi());
  if (api instanceof ListenError) return await fail(given, api.message, null);
  const client = { server: api.url, token };
  writeKubeconfig(options.stateDirectory, { ...client, cert: certificate.cert });
  writeClientFile(options.stateDirectory, client);
  announce(parts, options, terminal, { api: api.url, admin: started.url });
  inheritance?.ready();
  void inheritance?.retired.then(() => {
    parts.alone();
  });
  const told = AbortSignal.any([interrupted, ordered.signal]);
  return await stay({ ...given, api, admin: started.server }, told);
}

/** It does not serve. Returns the exit code. */
async function fail(given: Run, why: string, api: ApiServer | null): Promise<number> {
  const { terminal, parts, legacy } = given;
  terminal.stderr.write(`error: ${why}\n`);
  await api?.close();
  await (legacy === null ? parts.stop() : parts.abandon());
  return 1;
}

interface Staying extends Run {
  readonly api: ApiServer;
  readonly admin: Server;
}

/** Resolves to the exit code: told to stop, or needed no more by a process that came after it. */
async function stay(given: Staying, told: AbortSignal): Promise<number> {
  const { options, parts, terminal, succession, logger, api, admin } = given;
  const isReplaced = await servesUntilReplaced(
    {
      ...{ succession, mayRestart: true, log: logger },
      letGo: async () => {
        api.holdWrites();
        const state = await parts.letGo();
        const own = await parts.fleet.listeners();
        const [apiHandle, adminHandle] = [api.handle, Reflect.get(admin, "_handle") as object];
        const handles = new Map([
          ...own,
          [API, apiHandle as ListeningHandle] as const,
          [ADMIN, adminHandle as ListeningHandle] as const,
        ]);
        return { handles, inUse: new Set([API, ADMIN]), state };
      },
      takeBack: async () => {
        await parts.takeBack();
        api.releaseWrites();
      },
    },
    told,
  );
  if (isReplaced) {
    logger.info("the new process serves; here only what has begun goes on");
    admin.close();
    // One that is kept alive would keep the process alive.
    admin.closeAllConnections();
    const retired = parts.retire(options.parentShutdownMs);
    const ended = Promise.all([retired, api.handOn()]);
    const code = await succession.outlive(ended, given.interrupted);
    // When it ends for all, idle clients are not waited for.
    await Promise.all([parts.fleet.stop(), api.close()]);
    return code;
  }
  terminal.stdout.write("stopping\n");
  removeClientFile(options.stateDirectory);
  await api.close();
  await parts.stop();
  return 0;
}

async function openApi(
  { parts, options, legacy, logger, audit: log }: Run,
  own: {
    readonly token: string;
    readonly shutdown: () => void;
    readonly certificate: Certificate;
  },
): Promise<ApiServer | ListenError> {
  try {
    const dependencies = parts.dependencies(own.token, own.shutdown);
    const audit = log === null ? {} : { audit: log };
    const users = usersOf(options, logger);
    const handle = legacy?.handles.get(API);
    return await startApiServer(
      { ...dependencies, ...audit, ...users },
      {
        ...options.api,
        certificate: own.certificate,
        ...(handle === undefined ? {} : { handle }),
      },
    );
  } catch (error) {
    if (error instanceof ListenError) return error;
    throw error;
  }
}

interface Started {
  readonly server: Server;
  readonly url: URL;
}

/** The admin endpoints when everything runs; else, as a text, what could not be had. */
async function start(given: Run): Promise<Started | string> {
  const early = given.legacy === null ? await openAdmin(given) : null;
  if (typeof early === "string") return early;
  const failure = await startParts(given);
  if (failure !== null) return failure;
  return early ?? (await openAdmin(given));
}

async function openAdmin({ parts, options, log, legacy }: Run): Promise<Started | string> {
  const inherited = legacy?.handles.get(ADMIN) ?? null;
  const admin = await startAdminServer(adminSource(parts, log), options.admin, inherited);
  const { host, port } = options.admin;
  if (typeof admin === "string") {
    const why = admin === "EADDRINUSE" ? "another process listens there" : admin;
    const remedy = "Choose another address with --admin HOST:PORT.";
    return `GL0604: the admin endpoints cannot listen on ${host}:${port}: ${why}. ${remedy}`;
  }
  admin.unref();
  const bound = admin.address();
  const open = bound === null || typeof bound === "string" ? port : bound.port;
  return { server: admin, url: new URL(`http://${host}:${open}`) };
}

/** Null when everything runs. */
async function startParts({ parts, options, resources, legacy }: Run): Promise<string | null> {
  const { store, fleet, publisher, local, namespaces, garbage } = parts;
  const withoutRoles = hasUsers(options) ? await ensureBuiltIn(store) : null;
  if (withoutRoles !== null) return withoutRoles;
  const unwritten = await putAll(store, resources);
  if (unwritten !== null) return unwritten;
  if (legacy !== null) await local.adopt(legacy.state.pods);
  try {
    await fleet.start();
  } catch (error) {
    const log = join(options.stateDirectory, "graylane.log");
    const reason = error instanceof Error ? error.message : String(error);
    return `a worker could not be started: ${reason}; ${log} may say why`;
  }
  publisher.start();
  await publisher.settled(store.revision);
  // The process before this one serves as it should: no reason to go on with less.
  const isUnfit = ({ state }: NodeStatus): boolean =>
    state === "NACK" || (legacy !== null && state === "STALE");
  const unfit = publisher.status().nodes.find(isUnfit);
  if (unfit !== undefined) return unfit.error;
  const unserved = await serveEnvoys(parts, options.xds);
  if (unserved !== null) return unserved;
  const unplaced = legacy === null ? null : await podFailure(legacy.state.pods, fleet);
  if (unplaced !== null) return unplaced;
  fleet.closeUntaken();
  await local.start();
  namespaces.start();
  garbage.start();
  return null;
}

function adminSource(
  { fleet, publisher, agents, ads, status, dump }: Parts,
  log: LeveledLogger,
): AdminSource {
  const startedMs = systemClock.monotonicMs();
  return {
    version: packageVersion(),
    isReady: () => {
      const { nodes } = publisher.status();
      return nodes.length > 0 && nodes.every(({ state }) => state === "SYNCED");
    },
    uptimeSeconds: () => (systemClock.monotonicMs() - startedMs) / 1_000,
    gatewayWorkers: () => fleet.gateways.length,
    metrics: async () => {
      const own = ads === null ? [] : [ads.metrics()];
      return mergeMetrics([await fleet.metrics(), ...own]);
    },
    snapshot: () => publisher.snapshot,
    configDump: (withEndpoints) => dump(EMBEDDED, { withEndpoints }),
    agentEndpoints: () => agents.keylessList,
    listeners: () => status().listeners,
    ejected: () => fleet.ejected(),
    logLevel: () => log.level,
    setLogLevel: (level) => {
      log.level = level;
      return fleet.setLogLevel(level);
    },
    isDrained: () => fleet.isDrained,
    drainListeners: () => fleet.drainListeners(),
  };
}

/** Null when it is done; else what to do about it. */
async function serveEnvoys({ ads }: Parts, address: UpOptions["xds"]): Promise<string | null> {
  if (ads === null || address === null) return null;
  const { host, port } = address;
  try {
    await ads.listen(host, port);
    return null;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    return `GL0605: Envoys cannot be served on ${host}:${port}: ${why}. Choose another --xds.`;
  }
}

/** Null when it is done. What is asked together goes to the disk together. */
async function putAll(store: ResourceStore, all: readonly Resource[]): Promise<string | null> {
  // Of one that stands in several files the last one counts.
  const byKey = new Map(all.map((resource) => [keyText(storeKeyOf(resource)), resource]));
  const left = [...byKey.values()];
  while (left.length > 0) {
    const group = left.splice(0, GROUP_WRITES_MAX);
    const failures = await Promise.all(group.map((resource) => put(store, resource)));
    const failure = failures.find((one) => one !== null);
    if (failure !== undefined) return failure;
  }
  return null;
}

async function put(store: ResourceStore, resource: Resource): Promise<string | null> {
  const live = store.get(storeKeyOf(resource));
  // Somebody has deleted it, and it waits for its finalizers.
  if (live !== undefined && isMarked(live)) return null;
  const wanted = completedNamespace(ownedAs(resource, live), live ?? null);
  const result = await (live === undefined ? store.create(wanted) : store.update(wanted));
  return result.ok ? null : `${resource.kind} ${resource.metadata.name}: ${result.message}`;
}

/** The owners that a file names are of where it comes from: their uids are others here. */
function ownedAs(resource: Resource, live: Resource | undefined): Resource {
  const ownerReferences = live?.metadata["ownerReferences"];
  return { ...resource, metadata: { ...resource.metadata, ownerReferences } };
}

function announce(
  parts: Parts,
  options: UpOptions,
  terminal: Terminal,
  urls: { readonly api: string; readonly admin: URL },
): void {
  const { listeners } = parts.status();
  const lines = listeners.map(({ gateway, port, address }) => {
    const moved = address.endsWith(`:${port}`) ? "" : ` (port ${port})`;
    return `  gateway ${gateway}${moved}: http://${address}`;
  });
  terminal.stdout.write(
    [
      "Graylane is up.",
      ...lines,
      `  API:   ${urls.api}`,
      `  admin: ${urls.admin.origin}/stats/prometheus`,
      ...(options.xds === null ? [] : [`  xDS:   ${options.xds.host}:${options.xds.port}`]),
      `  state: ${options.stateDirectory}`,
      `  kubectl --kubeconfig ${join(options.stateDirectory, "kubeconfig")} get pods -A`,
      "Ctrl-C, or `graylane down`, stops it.",
      "",
    ].join("\n"),
  );
}

/** Null when the state cannot be used; the reason has been printed. */
function open(
  directory: string,
  terminal: Terminal,
  legacy: UpLegacy | null,
): ResourceStore | null {
  try {
    return openStore({ directory, clock: systemClock, events: legacy?.state.events ?? [] });
  } catch (error) {
    const isKnown = error instanceof DirectoryLockedError || error instanceof NewerFormatError;
    const reason = error instanceof Error ? error.message : String(error);
    const text = isKnown ? reason : `the state directory ${directory} cannot be used: ${reason}`;
    terminal.stderr.write(`error: ${text}\n`);
    return null;
  }
}

function isError(fault: Fault): boolean {
  return fault.severity === "error";
}
