//! `graylane controller`: its options, parsed and checked.

import { isIP } from "node:net";
import { resolve } from "node:path";
import type { Command } from "commander";
import { usageError } from "./cli-error.ts";
import { stateDirectoryOf } from "./context.ts";
import type { Context } from "./context.ts";
import type { ListenAddress } from "./up-options.ts";

export interface ControllerOptions {
  /** Absolute; null: this process runs in a Pod of the cluster. */
  readonly kubeconfig: string | null;
  /** Null: the kubeconfig's current one. */
  readonly context: string | null;
  readonly xds: ListenAddress;
  readonly health: ListenAddress;
  /** Where the Lease is; null: the context's namespace, else `graylane-system`. */
  readonly leaseNamespace: string | null;
  /** Of plug-in modules that were fetched, absolute. */
  readonly stateDirectory: string;
}

export interface RawControllerOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly xds: string;
  readonly health: string;
  readonly leaseNamespace?: string;
}

const PORT_MAX = 65_535;

export type Run = (command: Command, body: (context: Context) => Promise<number>) => Promise<void>;

export function addControllerCommand(program: Command, run: Run): void {
  program
    .command("controller")
    .description("serve the configuration of Envoys from the objects of a Kubernetes cluster")
    .option("--kubeconfig <file>", "how the cluster is reached; absent: as a Pod of it")
    .option("--context <name>", "of the kubeconfig (default: its current one)")
    .option("--xds <host:port>", "where Envoys get their configuration", "127.0.0.1:15010")
    .option("--health <host:port>", "where /healthz and /readyz are", "127.0.0.1:15014")
    .option("--lease-namespace <name>", "where the leader's Lease is (default: graylane-system)")
    .action((options: RawControllerOptions, command: Command) =>
      run(command, (context) => context.controller(parse(options, context))),
    );
}

function parse(raw: RawControllerOptions, context: Context): ControllerOptions {
  return {
    kubeconfig: raw.kubeconfig === undefined ? null : resolve(context.cwd, raw.kubeconfig),
    context: raw.context ?? null,
    xds: addressOf("--xds", raw.xds),
    health: addressOf("--health", raw.health),
    leaseNamespace: raw.leaseNamespace ?? null,
    stateDirectory: stateDirectoryOf(context),
  };
}

/** Any address: in a cluster the Envoys are elsewhere. */
function addressOf(option: string, text: string): ListenAddress {
  const [, bracketed, plain, digits = ""] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? "";
  const port = Number(digits);
  if ((isIP(host) === 0 && host !== "localhost") || port > PORT_MAX) {
    throw usageError(`${option} ${text}: not HOST:PORT`, "Write, for example, 0.0.0.0:15010.");
  }
  return { host, port };
}
