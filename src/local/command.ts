//! Finds what to run for a container: the annotation, else the image map, else its own command.

import { accessSync, constants, statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import type { ImageMap } from "../resources/image-map.ts";
import type { Container, EnvVar, PodTemplate } from "./manifest.ts";
import { readEnv } from "./manifest.ts";

/** On the pod template: a JSON array, or a line for /bin/sh. For the first container. */
export const COMMAND_ANNOTATION = "graylane.io/command";
export const WORKING_DIR_ANNOTATION = "graylane.io/working-dir";

/** Why a container cannot run here. `reason` is shown as the container's Waiting reason. */
export interface LaunchFault {
  readonly kind: "fault";
  readonly code: string;
  readonly reason: string;
  readonly message: string;
}

export interface Command {
  readonly kind: "command";
  readonly argv: readonly string[];
  readonly workingDir: string;
  /** From the image map; the container's own variables of the same name win. */
  readonly env: readonly EnvVar[];
}

export interface CommandContext {
  readonly images: ImageMap;
  readonly baseDir: string;
  /** The `PATH` that the app gets. */
  readonly path: string;
}

/**
 * Other containers than the first have an annotation of their own, `graylane.io/command.<name>`.
 */
export function resolveCommand(
  template: PodTemplate,
  container: Container,
  context: CommandContext,
): Command | LaunchFault {
  const annotation = annotationOf(template, container);
  if (annotation !== undefined) return fromAnnotation(annotation, template, container, context);

  const mapping = context.images.resolveWorkload(container.image);
  if (mapping !== null) {
    const argv = mapping.command.map((part) => (part === "{node}" ? process.execPath : part));
    return checked([...argv, ...container.args], {
      // A directory inside the image means nothing here.
      workingDir: isDirectory(container.workingDir) ? container.workingDir : context.baseDir,
      env: readEnv(mapping.env),
      context,
    });
  }
  const program = container.command[0];
  if (program !== undefined && findProgram(program, context) !== null) {
    const argv = [...container.command, ...container.args];
    return inOwnDirectory(argv, template, container, context);
  }
  return imageNotMapped(container, context);
}

function annotationOf(template: PodTemplate, container: Container): string | undefined {
  const own = template.annotations[`${COMMAND_ANNOTATION}.${container.name}`];
  const isFirst = template.containers[0]?.name === container.name;
  return own ?? (isFirst ? template.annotations[COMMAND_ANNOTATION] : undefined);
}

function fromAnnotation(
  annotation: string,
  template: PodTemplate,
  container: Container,
  context: CommandContext,
): Command | LaunchFault {
  const argv = parseCommand(annotation);
  if (argv === null) {
    return {
      kind: "fault",
      code: "GL0503",
      reason: "CommandNotFound",
      message:
        `annotation ${COMMAND_ANNOTATION} of container ${container.name} is ` +
        "neither a JSON array of strings nor a command line",
    };
  }
  return inOwnDirectory(argv, template, container, context);
}

/** A JSON array of strings is taken as it is; any other text is a line for /bin/sh. */
export function parseCommand(text: string): readonly string[] | null {
  const line = text.trim();
  if (line === "") return null;
  if (!line.startsWith("[")) return ["/bin/sh", "-c", line];
  try {
    const value: unknown = JSON.parse(line);
    const isArgv =
      Array.isArray(value) && value.length > 0 && value.every((part) => typeof part === "string");
    return isArgv ? value : null;
  } catch {
    return null;
  }
}

function inOwnDirectory(
  argv: readonly string[],
  template: PodTemplate,
  container: Container,
  context: CommandContext,
): Command | LaunchFault {
  const asked = template.annotations[WORKING_DIR_ANNOTATION] ?? container.workingDir;
  const workingDir = resolve(context.baseDir, asked);
  if (!isDirectory(workingDir)) {
    return {
      kind: "fault",
      code: "GL0504",
      reason: "WorkingDirNotFound",
      message:
        `working directory ${workingDir} of container ${container.name} does not exist here; ` +
        `set the annotation ${WORKING_DIR_ANNOTATION} on the pod template`,
    };
  }
  return checked(argv, { workingDir, env: [], context });
}

function checked(
  argv: readonly string[],
  run: {
    readonly workingDir: string;
    readonly env: readonly EnvVar[];
    readonly context: CommandContext;
  },
): Command | LaunchFault {
  const program = argv[0] ?? "";
  const found = findProgram(program, { ...run.context, baseDir: run.workingDir });
  if (found === null) {
    return {
      kind: "fault",
      code: "GL0503",
      reason: "CommandNotFound",
      message: `program ${program} is neither in PATH nor an executable file`,
    };
  }
  const { workingDir, env } = run;
  return { kind: "command", argv: [found, ...argv.slice(1)], workingDir, env };
}

function imageNotMapped(container: Container, context: CommandContext): LaunchFault {
  const files = context.images.files.join(", ");
  return {
    kind: "fault",
    code: "GL0501",
    reason: "ImageNotMapped",
    message:
      `image ${container.image} of container ${container.name} has no local command: ` +
      `no entry in ${files === "" ? "any image map" : files} matches it; add one in a file given ` +
      `with --image-map, or set the annotation ${COMMAND_ANNOTATION} on the pod template`,
  };
}

/** The absolute path of a program, after PATH's rule, or null. */
function findProgram(
  program: string,
  context: { readonly path: string; readonly baseDir: string },
): string | null {
  if (program === "") return null;
  if (program.includes("/")) {
    const file = isAbsolute(program) ? program : resolve(context.baseDir, program);
    return isExecutable(file) ? file : null;
  }
  for (const directory of context.path.split(delimiter)) {
    if (directory === "") continue;
    const file = join(directory, program);
    if (isExecutable(file)) return file;
  }
  return null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function isDirectory(path: string): boolean {
  return path !== "" && (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false);
}
