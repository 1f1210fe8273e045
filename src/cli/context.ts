//! What a command is given: its surroundings, its common options, and the way to the server.

import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ApiClient, ApiError } from "../api/client.ts";
import type { ClientFile, ExplainRequest, ExplainResult } from "../api/types.ts";
import type { Clock } from "../base/clock.ts";
import type { ModuleResult } from "../compile/wasm-plugin.ts";
import type { Resource } from "../resources/object.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { CliError, messageOf } from "./cli-error.ts";
import type { ControllerOptions } from "./controller-options.ts";
import type { EnvoyOptions } from "./envoy-options.ts";
import type { PluginTools } from "./plugin.ts";
import { STATE_DIRECTORY_DEFAULT } from "./up-options.ts";
import type { UpOptions } from "./up-options.ts";

export interface Output {
  write(text: string): void;
}

/** Everything that a command takes from outside, so that tests run it in their own process. */
export interface CliDependencies {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly cwd: string;
  /** Of the package. */
  readonly version: string;
  /** Aborted by Ctrl-C: ends what follows and watches. */
  readonly interrupted: AbortSignal;
  /** Finds the modules of WasmPlugins as the server would; faults are among the results. */
  resolveModules(
    plugins: readonly Resource[],
    imageMap: string | null,
  ): Promise<ReadonlyMap<string, ModuleResult>>;
  /** A gateway without sockets that decides as those of the server would. */
  offlineGateway(snapshot: Snapshot): Promise<OfflineGateway>;
  /** Runs the server until it is told to stop. Resolves to the exit code. */
  up(options: UpOptions): Promise<number>;
  /** Serves Envoys from a Kubernetes cluster until told to stop. Resolves to the exit code. */
  controller(options: ControllerOptions): Promise<number>;
  readonly plugin: PluginTools;
  /** Runs an Envoy bootstrap until it is told to stop. Resolves to the exit code. */
  envoy(options: EnvoyOptions): Promise<number>;
}

export interface OfflineGateway {
  /**
   * Null when no gateway listens there; throws what says what is wrong with the request. Equal
   * `draw`s draw the same, so that two gateways can be compared.
   */
  explain(request: ExplainRequest, draw: number): Promise<ExplainResult | null>;
  /** Stops the plug-ins. */
  close(): void;
}

/** Options that every command takes. */
export interface CommonOptions {
  readonly namespace?: string;
  readonly server?: string;
  readonly token?: string;
  readonly state?: string;
}

/** One run of one command. */
export interface Context extends CliDependencies {
  readonly common: CommonOptions;
}

const CLIENT_FILE = "client.json";
export const NAMESPACE_DEFAULT = "default";

export function printLine(output: Output, line: string): void {
  output.write(`${line}\n`);
}

/** The directory of the server's state: `--state`, else `GRAYLANE_STATE`, else `.graylane`. */
export function stateDirectoryOf(context: Context): string {
  const named = context.common.state ?? context.env["GRAYLANE_STATE"];
  return resolve(context.cwd, named ?? STATE_DIRECTORY_DEFAULT);
}

export function namespaceOf(context: Context): string {
  return context.common.namespace ?? NAMESPACE_DEFAULT;
}

/** Finds the server: `--server` and `--token`, else the file that `graylane up` left. */
export async function connect(context: Context): Promise<ApiClient> {
  const { server, token } = context.common;
  if (server !== undefined && token !== undefined) {
    return new ApiClient({ baseUrl: serverUrl(server), token });
  }
  const file = join(stateDirectoryOf(context), CLIENT_FILE);
  const found = await readClientFile(file);
  return new ApiClient({
    baseUrl: serverUrl(server ?? found.server),
    token: token ?? found.token,
  });
}

function serverUrl(server: string): string {
  const url = /^https?:\/\//.test(server) ? server : `http://${server}`;
  if (!URL.canParse(url)) {
    throw new CliError(
      `--server ${server}: not an address`,
      "Write, for example, 127.0.0.1:18443.",
    );
  }
  return url;
}

async function readClientFile(file: string): Promise<ClientFile> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new CliError(
      isMissing
        ? `no server found: there is no ${file}`
        : `cannot read ${file}: ${messageOf(error)}`,
      "Is `graylane up` running? Name its state directory with --state, or give --server " +
        "and --token.",
    );
  }
  const value = parseJson(text);
  if (typeof value?.server !== "string" || typeof value.token !== "string") {
    throw new CliError(
      `${file} does not hold a server and a token`,
      "Start `graylane up` again: it writes this file.",
    );
  }
  return { server: value.server, token: value.token };
}

function parseJson(text: string): Partial<ClientFile> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** An error of the API in the user's words. */
export function explainApiError(error: ApiError): CliError {
  if (error.code === 0) {
    return new CliError(
      error.message.replace(/; is it running\?$/, ""),
      "Is `graylane up` running? Name its state directory with --state, or give --server " +
        "and --token.",
    );
  }
  if (error.code === 401) {
    return new CliError(
      `the server does not accept the token (401): ${error.message}`,
      "A new `graylane up` has a new token: name its state directory with --state.",
    );
  }
  const causes = error.causes.map((cause) => {
    const field = cause.field === "" ? "" : `${cause.field}: `;
    return `\n  ${cause.reason} ${field}${cause.message}`;
  });
  const reason = error.reason === "" ? "" : ` (${error.reason})`;
  return new CliError(`from the server${reason}: ${error.message}${causes.join("")}`);
}

export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.code === 404;
}
