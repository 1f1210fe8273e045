//! `graylane up`: starts everything in the order in which one part needs another, says where it is,
//! and ends in the reverse order.

import { once } from "node:events";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import type { UpOptions } from "../cli/program.ts";
import { DirectoryLockedError } from "../controlplane/store/directory-lock.ts";
import { NewerFormatError } from "../controlplane/store/format.ts";
import { openStore, storeKeyOf } from "../controlplane/store/open-store.ts";
import type { ResourceStore } from "../controlplane/store/store.ts";
import type { Fault } from "../resources/fault.ts";
import { formatFault } from "../resources/format-fault.ts";
import { loadImageMap } from "../resources/image-map.ts";
import { loadFiles } from "../resources/load.ts";
import type { Resource } from "../resources/object.ts";
import { ListenError, startApiServer } from "../server/api-server.ts";
import type { ApiServer } from "../server/api-server.ts";
import { ensureCertificate, type Certificate } from "../server/certificate.ts";
import {
  ensureToken,
  removeClientFile,
  writeClientFile,
  writeKubeconfig,
} from "../server/credentials.ts";
import { compileLogFormat } from "../telemetry/log-format.ts";
import { LineWriter, openFileSink } from "../telemetry/line-writer.ts";
import { createLogger } from "../telemetry/logger.ts";
import type { LeveledLogger } from "../telemetry/logger.ts";
import { startAdminServer } from "./admin-server.ts";
import type { AdminSource } from "./admin-server.ts";
import { consoleLogger } from "./console-logger.ts";
import { CATALOGUE_FILE, packageVersion } from "./package-root.ts";
import { assemble } from "./server-parts.ts";
import type { Parts } from "./server-parts.ts";

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
  const mapFiles =
    options.imageMap === null ? [CATALOGUE_FILE] : [options.imageMap, CATALOGUE_FILE];
  const images = loadImageMap(mapFiles);
  const loaded = await loadFiles(options.files);
  const faults = [...images.faults, ...loaded.faults];
  for (const fault of faults) terminal.stderr.write(`${formatFault(fault)}\n`);
  if (faults.some(isError)) {
    terminal.stderr.write("error: nothing was started; mend the files first\n");
    return 1;
  }
  const { accessLogFormat } = options;
  const format = accessLogFormat === null ? null : compileLogFormat(accessLogFormat);
  if (typeof format === "string") {
    terminal.stderr.write(`error: --access-log-format: ${format}\n`);
    return 1;
  }
  const audit = await openAudit(options.auditLog);
  if (typeof audit === "string") {
    terminal.stderr.write(`error: --audit-log ${options.auditLog}: ${audit}\n`);
    return 1;
  }
  const store = open(options.stateDirectory, terminal);
  if (store === null) return 1;
  const log = createLogger({
    level: "info",
    base: { worker: "main" },
    path: join(options.stateDirectory, "graylane.log"),
  });
  const logger = consoleLogger(log, terminal.stderr);
  const parts = assemble(options, { store, images: images.map, logger });
  const resources = loaded.resources.map(({ resource }) => resource);
  const code = await run({ options, parts, log, audit, resources, terminal, interrupted });
  await audit?.close();
  if (audit?.lastError != null) {
    const { droppedLines, lastError } = audit;
    terminal.stderr.write(`error: --audit-log: ${droppedLines} lines lost: ${lastError.message}\n`);
  }
  return code;
}

/** Null: none is wanted; a text: it cannot be opened. */
async function openAudit(path: string | null): Promise<LineWriter | string | null> {
  if (path === null) return null;
  try {
    return new LineWriter(await openFileSink(path), systemClock);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

interface Run {
  readonly options: UpOptions;
  readonly parts: Parts;
  /** The main process's own: its level can be set. */
  readonly log: LeveledLogger;
  /** Null: none. */
  readonly audit: LineWriter | null;
  readonly resources: readonly Resource[];
  readonly terminal: Terminal;
  readonly interrupted: AbortSignal;
}

async function run(given: Run): Promise<number> {
  const { options, parts, audit, terminal, interrupted } = given;
  const ordered = new AbortController();
  const told = Promise.race([once(interrupted, "abort"), once(ordered.signal, "abort")]);
  const token = ensureToken(options.stateDirectory);
  const shutdown = (): void => {
    ordered.abort();
  };
  const certificate = await ensureCertificate(options.stateDirectory, systemClock);
  const api = await openApi(parts, options, { token, shutdown, certificate, audit });
  if (api instanceof ListenError) {
    terminal.stderr.write(`error: ${api.message}\n`);
    await parts.store.close();
    return 1;
  }
  const started = await start(given);
  if (typeof started === "string") {
    terminal.stderr.write(`error: ${started}\n`);
    await api.close();
    await parts.stop();
    return 1;
  }
  const client = { server: api.url, token };
  writeKubeconfig(options.stateDirectory, { ...client, cert: certificate.cert });
  writeClientFile(options.stateDirectory, client);
  announce(parts, options, terminal, { api: api.url, admin: started });
  await told;
  terminal.stdout.write("stopping\n");
  removeClientFile(options.stateDirectory);
  await api.close();
  await parts.stop();
  return 0;
}

async function openApi(
  parts: Parts,
  options: UpOptions,
  own: {
    readonly token: string;
    readonly shutdown: () => void;
    readonly certificate: Certificate;
    readonly audit: LineWriter | null;
  },
): Promise<ApiServer | ListenError> {
  try {
    const dependencies = parts.dependencies(own.token, own.shutdown);
    const audit = own.audit === null ? {} : { audit: own.audit };
    return await startApiServer(
      { ...dependencies, ...audit },
      {
        ...options.api,
        certificate: own.certificate,
      },
    );
  } catch (error) {
    if (error instanceof ListenError) return error;
    throw error;
  }
}

/** The admin's URL when everything runs; else, as a text, what could not be had and what to do. */
async function start({ parts, options, resources, log }: Run): Promise<URL | string> {
  const { store, fleet, publisher, local } = parts;
  const admin = await startAdminServer(adminSource(parts, log), options.admin);
  if (typeof admin === "string") {
    const { host, port } = options.admin;
    const why = admin === "EADDRINUSE" ? "another process listens there" : admin;
    const remedy = "Choose another address with --admin HOST:PORT.";
    return `GL0604: the admin endpoints cannot listen on ${host}:${port}: ${why}. ${remedy}`;
  }
  admin.unref();
  for (const resource of resources) {
    const failure = await put(store, resource);
    if (failure !== null) return failure;
  }
  try {
    await fleet.start();
  } catch (error) {
    const log = join(options.stateDirectory, "graylane.log");
    const reason = error instanceof Error ? error.message : String(error);
    return `a worker could not be started: ${reason}; ${log} may say why`;
  }
  publisher.start();
  await publisher.settled(store.revision);
  const refused = publisher.status().nodes.find(({ state }) => state === "NACK");
  if (refused !== undefined) return refused.error;
  const unserved = await serveEnvoys(parts, options.xds);
  if (unserved !== null) return unserved;
  await local.start();
  const bound = admin.address();
  const port = bound === null || typeof bound === "string" ? options.admin.port : bound.port;
  return new URL(`http://${options.admin.host}:${port}`);
}

function adminSource({ fleet, publisher, agents, status }: Parts, log: LeveledLogger): AdminSource {
  const startedMs = systemClock.monotonicMs();
  return {
    version: packageVersion(),
    isReady: () => {
      const { nodes } = publisher.status();
      return nodes.length > 0 && nodes.every(({ state }) => state === "SYNCED");
    },
    uptimeSeconds: () => (systemClock.monotonicMs() - startedMs) / 1_000,
    gatewayWorkers: () => fleet.gateways.length,
    metrics: () => fleet.metrics(),
    snapshot: () => publisher.snapshot,
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

async function put(store: ResourceStore, resource: Resource): Promise<string | null> {
  const exists = store.get(storeKeyOf(resource)) !== undefined;
  const result = exists ? await store.update(resource) : await store.create(resource);
  return result.ok ? null : `${resource.kind} ${resource.metadata.name}: ${result.message}`;
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
function open(directory: string, terminal: Terminal): ResourceStore | null {
  try {
    return openStore({ directory, clock: systemClock });
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
