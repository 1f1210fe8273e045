//! `graylane inject`: manifests of workloads, and in each Pod of them an Envoy for its sidecar.

import type { Command } from "commander";
import { resolve } from "node:path";
import type { Fault } from "../resources/fault.ts";
import { readManifestText } from "../resources/load.ts";
import { parseManifests } from "../resources/parse.ts";
import { usageError } from "./cli-error.ts";
import type { Context } from "./context.ts";
import { injectInto } from "./inject-workload.ts";
import { ENVOY_IMAGE_DEFAULT, NAME, NAMESPACE_DEFAULT, XDS_PORT } from "./install-manifests.ts";
import { hasError, printMessages } from "./messages.ts";

interface RawInjectOptions {
  readonly filename?: string;
  readonly image: string;
  readonly xds: string;
  readonly java?: boolean;
}

const XDS_DEFAULT = `${NAME}.${NAMESPACE_DEFAULT}.svc:${XDS_PORT}`;

export type Run = (command: Command, body: (context: Context) => Promise<number>) => Promise<void>;

export function addInjectCommand(program: Command, run: Run): void {
  program
    .command("inject")
    .description("print manifests with an Envoy as a sidecar in each Pod, for a Kubernetes cluster")
    .option("-f, --filename <file>", "manifests of workloads, or - for standard input")
    .option("--image <image>", "of the Envoys", ENVOY_IMAGE_DEFAULT)
    .option("--xds <host:port>", "where the controller serves Envoys", XDS_DEFAULT)
    .option("--java", "tell Java apps as well where their calls are to go (JAVA_TOOL_OPTIONS)")
    .action((options: RawInjectOptions, command: Command) =>
      run(command, (context) => inject(context, options)),
    );
}

/** Nothing is printed unless every workload can have one. */
async function inject(context: Context, raw: RawInjectOptions): Promise<number> {
  const { filename, image, xds, java = false } = raw;
  if (filename === undefined) {
    throw usageError("no file is named", "graylane inject -f FILE | kubectl apply -f -");
  }
  if (!/^\S+$/.test(image)) throw usageError(`--image ${image}: no name of an image`);
  const path = filename === "-" ? filename : resolve(context.cwd, filename);
  const faults: Fault[] = [];
  const read = await readManifestText(path, faults);
  if (read !== null) {
    const file = filename === "-" ? read.file : filename;
    faults.push(...parseManifests(read.text, file).faults);
    if (!hasError(faults)) {
      const injected = injectInto(read.text, file, { image, xds, isJava: java });
      faults.push(...injected.faults);
      if (!hasError(faults)) context.stdout.write(injected.text);
    }
  }
  printMessages(context.stderr, faults);
  return hasError(faults) ? 1 : 0;
}
