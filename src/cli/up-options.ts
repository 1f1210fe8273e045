//! What `graylane up` is asked to do: its options, parsed and checked.

import { resolve } from "node:path";
import { usageError } from "./cli-error.ts";
import { parseOverload } from "./overload-option.ts";
import type { OverloadOption } from "./overload-option.ts";

/** A loopback address to listen on; port 0 lets the system choose. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

export interface UpOptions {
  /** Files and directories to apply at the start, absolute. */
  readonly files: readonly string[];
  /** Gateway port to the port that is opened instead. */
  readonly portMap: ReadonlyMap<number, number>;
  readonly api: ListenAddress;
  readonly admin: ListenAddress;
  /** Where Envoys get their configuration; null: no Envoy is served. */
  readonly xds: ListenAddress | null;
  /** What the sidecar of pods is that do not say which. */
  readonly sidecars: "embedded" | "envoy";
  /** Gateway workers; null leaves it to the server. */
  readonly workerCount: number | null;
  /** Absolute. */
  readonly stateDirectory: string;
  /** A file of image mappings of the user's own, absolute. */
  readonly imageMap: string | null;
  /** File of the API's audit log, absolute; `-` for standard output; null for none. */
  readonly auditLog: string | null;
  /** Users of the API beside the administrator, absolute; null: there are none. */
  readonly tokenAuthFile: string | null;
  /** Authorities of such users' certificates, absolute; null: no certificate is taken. */
  readonly clientCaFile: string | null;
  /** File of the access log, absolute; `-` for standard output; null for none. */
  readonly accessLog: string | null;
  /** Of its lines, as text; null: our own JSON. */
  readonly accessLogFormat: string | null;
  /** Request fields that it tells, lower-case. */
  readonly accessLogHeaders: readonly string[];
  /** Decisions that each gateway worker keeps to be asked for. */
  readonly recentCount: number;
  /** What runs at the end has this long to finish. */
  readonly drainTimeMs: number;
  /** After a restart the old process ends so late, whatever still runs there. */
  readonly parentShutdownMs: number;
  /** What each gateway worker bears; null: none ever refuses. */
  readonly overload: OverloadOption | null;
}

export interface RawUpOptions {
  readonly filename: readonly string[];
  readonly mapPort: readonly string[];
  readonly api: string;
  readonly admin: string;
  readonly xds?: string;
  readonly workers?: string;
  readonly sidecars: string;
  readonly imageMap?: string;
  readonly auditLog?: string;
  readonly tokenAuthFile?: string;
  readonly clientCaFile?: string;
  readonly accessLog?: string;
  readonly accessLogFormat?: string;
  readonly accessLogHeader: readonly string[];
  readonly recent: string;
  readonly drainTime: string;
  readonly parentShutdownTimeS: string;
  readonly overload: string;
}

export const API_ADDRESS_DEFAULT = "127.0.0.1:18443";
/** Envoy's admin port, so that habits carry over. */
export const ADMIN_ADDRESS_DEFAULT = "127.0.0.1:15000";
export const STATE_DIRECTORY_DEFAULT = ".graylane";
const PORT_MAX = 65_535;
const WORKER_COUNT_MAX = 64;
const LOGGED_HEADERS_MAX = 32;
/** Each is about a kilobyte. */
const RECENT_COUNT_MAX = 10_000;
export const RECENT_COUNT_DEFAULT = 500;
export const DRAIN_SECONDS_DEFAULT = 5;
export const PARENT_SHUTDOWN_SECONDS_DEFAULT = 900;
const DRAIN_SECONDS_MAX = 3_600;
const MS_PER_SECOND = 1_000;

/** Throws a `CliError` (usage) that names the option. */
export function parseUpOptions(raw: RawUpOptions, cwd: string, stateDirectory: string): UpOptions {
  return {
    files: raw.filename.map((file) => resolve(cwd, file)),
    portMap: parsePortMap(raw.mapPort),
    api: parseListenAddress("--api", raw.api),
    admin: parseListenAddress("--admin", raw.admin),
    xds: raw.xds === undefined ? null : parseListenAddress("--xds", raw.xds),
    sidecars: parseSidecars(raw),
    workerCount: raw.workers === undefined ? null : parseWorkerCount(raw.workers),
    stateDirectory,
    imageMap: raw.imageMap === undefined ? null : resolve(cwd, raw.imageMap),
    auditLog: logPathOf(raw.auditLog, cwd),
    tokenAuthFile: raw.tokenAuthFile === undefined ? null : resolve(cwd, raw.tokenAuthFile),
    clientCaFile: raw.clientCaFile === undefined ? null : resolve(cwd, raw.clientCaFile),
    accessLog: logPathOf(raw.accessLog, cwd),
    accessLogFormat: accessLogFormatOf(raw),
    accessLogHeaders: accessLogHeadersOf(raw),
    recentCount: parseRecentCount(raw.recent),
    drainTimeMs: parseDrainTime(raw.drainTime),
    parentShutdownMs: parentShutdownOf(raw.parentShutdownTimeS),
    overload: parseOverload(raw.overload),
  };
}

function parseSidecars({ sidecars, xds }: RawUpOptions): UpOptions["sidecars"] {
  if (sidecars === "envoy" && xds === undefined) {
    throw usageError("--sidecars envoy: no Envoy is served", "Add --xds 127.0.0.1:15010.");
  }
  if (sidecars === "embedded" || sidecars === "envoy") return sidecars;
  throw usageError(`--sidecars ${sidecars}: not known`, "Write embedded or envoy.");
}

function logPathOf(path: string | undefined, cwd: string): string | null {
  if (path === undefined) return null;
  return path === "-" ? path : resolve(cwd, path);
}

function accessLogFormatOf({ accessLog, accessLogFormat }: RawUpOptions): string | null {
  if (accessLogFormat !== undefined && accessLog === undefined) {
    throw usageError("--access-log-format: there is no access log", "Name one: --access-log FILE.");
  }
  return accessLogFormat ?? null;
}

function accessLogHeadersOf({ accessLog, accessLogHeader }: RawUpOptions): string[] {
  if (accessLogHeader.length > 0 && accessLog === undefined) {
    throw usageError("--access-log-header: there is no access log", "Name one: --access-log FILE.");
  }
  if (accessLogHeader.length > LOGGED_HEADERS_MAX) {
    throw usageError(`--access-log-header: more than ${LOGGED_HEADERS_MAX} names`);
  }
  for (const name of accessLogHeader) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      throw usageError(`--access-log-header ${name}: no header name`);
    }
  }
  return [...new Set(accessLogHeader.map((name) => name.toLowerCase()))];
}

export function parsePortMap(texts: readonly string[]): Map<number, number> {
  const map = new Map<number, number>();
  for (const text of texts) {
    const [from, to, ...rest] = text.split("=");
    const asked = parsePort(from ?? "");
    const opened = parsePort(to ?? "");
    if (asked === null || opened === null || asked === 0 || rest.length > 0) {
      throw usageError(
        `--map-port ${text}: not a pair of ports`,
        "Write the gateway's port, '=', and the port to open, as in --map-port 80=18080.",
      );
    }
    const other = map.get(asked);
    if (other !== undefined && other !== opened) {
      throw usageError(
        `--map-port ${text}: port ${asked} is already mapped to ${other}`,
        "Map each port once.",
      );
    }
    map.set(asked, opened);
  }
  return map;
}

export function parseListenAddress(option: string, text: string): ListenAddress {
  const colon = text.lastIndexOf(":");
  const host = text.slice(0, Math.max(colon, 0)).replace(/^\[(.*)\]$/, "$1");
  const port = parsePort(text.slice(colon + 1));
  if (colon === -1 || host === "" || port === null) {
    throw usageError(`${option} ${text}: not HOST:PORT`, `Write, for example, 127.0.0.1:0.`);
  }
  if (!/^(127(\.\d{1,3}){3}|localhost|::1)$/.test(host)) {
    throw usageError(
      `${option} ${text}: not a loopback address`,
      "This server is for this machine only: use 127.0.0.1, ::1 or localhost.",
    );
  }
  return { host, port };
}

function parsePort(text: string): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return port <= PORT_MAX ? port : null;
}

function parseRecentCount(text: string): number {
  const count = /^\d{1,5}$/.test(text) ? Number(text) : Infinity;
  if (count > RECENT_COUNT_MAX) {
    throw usageError(`--recent ${text}: not a number from 0 to ${RECENT_COUNT_MAX}`);
  }
  return count;
}

function parseDrainTime(text: string): number {
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : Infinity;
  if (seconds > DRAIN_SECONDS_MAX) {
    throw usageError(
      `--drain-time ${text}: not a number of seconds from 0 to ${DRAIN_SECONDS_MAX}`,
    );
  }
  return seconds * MS_PER_SECOND;
}

/** An option of `graylane envoy`, too. */
export function parentShutdownOf(text: string): number {
  if (!/^\d{1,5}$/.test(text)) {
    throw usageError(`--parent-shutdown-time-s ${text}: not a number of seconds from 0 to 99999`);
  }
  return Number(text) * MS_PER_SECOND;
}

function parseWorkerCount(text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > WORKER_COUNT_MAX) {
    throw usageError(`--workers ${text}: not a number from 1 to ${WORKER_COUNT_MAX}`);
  }
  return count;
}
