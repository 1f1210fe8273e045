//! `graylane install`: prints what a cluster needs to run the controller.

import type { Command } from "commander";
import { CRD_SETS } from "../resources/crd.ts";
import { manifestText } from "../resources/manifest-text.ts";
import { usageError } from "./cli-error.ts";
import type { Context } from "./context.ts";
import { gatewayManifests } from "./install-gateway.ts";
import { ENVOY_IMAGE_DEFAULT, installManifests, NAMESPACE_DEFAULT } from "./install-manifests.ts";

interface RawInstallOptions {
  readonly print?: boolean;
  readonly image?: string;
  readonly replicas: string;
  readonly crds: string;
  readonly into: string;
  readonly gateway?: string;
  readonly envoyImage: string;
}

const REPLICAS_MAX = 10;
/** RFC 1123 label: the name of a namespace. */
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

export type Run = (command: Command, body: (context: Context) => Promise<number>) => Promise<void>;

export function addInstallCommand(program: Command, run: Run): void {
  program
    .command("install")
    .description("print the objects that run the controller in a Kubernetes cluster")
    .option("--print", "print them for kubectl apply --server-side -f -")
    .option("--image <image>", "the controller's image, made by deploy/Dockerfile")
    .option("--replicas <count>", "of the controller", "2")
    .option("--crds <sets>", "with commas between, or none", "graylane")
    .option("--into <namespace>", "where the controller is to be", NAMESPACE_DEFAULT)
    .option("--gateway <labels>", "an Envoy as well: selector of the Gateways it is, LABEL=VALUE")
    .option("--envoy-image <image>", "of that Envoy", ENVOY_IMAGE_DEFAULT)
    .action((options: RawInstallOptions, command: Command) =>
      run(command, (context) => install(context, options)),
    );
}

function install(context: Context, raw: RawInstallOptions): Promise<number> {
  if (raw.print !== true) {
    throw usageError(
      "nothing is installed by itself: --print is missing",
      "graylane install --print --image IMAGE | kubectl apply --server-side -f -",
    );
  }
  if (raw.image === undefined || !/^[^\s]+$/.test(raw.image)) {
    throw usageError("--image is missing", "Build one with deploy/Dockerfile, and name it.");
  }
  const replicas = Number(raw.replicas);
  if (!/^\d{1,2}$/.test(raw.replicas) || replicas < 1 || replicas > REPLICAS_MAX) {
    throw usageError(`--replicas ${raw.replicas}: not a number from 1 to ${REPLICAS_MAX}`);
  }
  if (!NAMESPACE.test(raw.into)) throw usageError(`--into ${raw.into}: no name of a namespace`);
  const groups = groupsOf(raw.crds);
  const objects = installManifests({ namespace: raw.into, image: raw.image, replicas, groups });
  const { gateway, envoyImage, into: namespace } = raw;
  const envoys =
    gateway === undefined ? [] : gatewayManifests({ gateway, image: envoyImage, namespace });
  context.stdout.write(manifestText([...objects, ...envoys]));
  return Promise.resolve(0);
}

function groupsOf(text: string): readonly string[] {
  if (text === "none") return [];
  return text.split(",").flatMap((name) => {
    const groups = Object.hasOwn(CRD_SETS, name) ? CRD_SETS[name] : undefined;
    if (groups !== undefined) return groups;
    const known = [...Object.keys(CRD_SETS), "none"].join(", ");
    throw usageError(`--crds ${name}: not known`, `There are ${known}.`);
  });
}
