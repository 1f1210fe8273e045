//! Files, folders and standard input to resources, for the command line.

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Fault, Position } from "./fault.ts";
import { refOf } from "./object.ts";
import type { Resource } from "./object.ts";
import { FILE_BYTES_MAX, fileFault, parseManifests } from "./parse.ts";
import { splitApiVersion } from "./registry.ts";
import { comparePositions, validateResource } from "./validate.ts";
import type { PositionOf } from "./validate.ts";

export interface LoadedResource {
  readonly resource: Resource;
  readonly positionOf: PositionOf;
}

export interface Loaded {
  /** In the order of the paths, the file names, and the documents. */
  readonly resources: readonly LoadedResource[];
  readonly faults: readonly Fault[];
}

export interface LoadOptions {
  /** Also the subfolders of a folder. As with kubectl, false unless asked for. */
  readonly recursive?: boolean;
  /** What `-` reads; the process's standard input unless given. */
  readonly stdin?: AsyncIterable<Uint8Array | string>;
}

const STDIN = "-";
/** How standard input is called in positions. */
const STDIN_NAME = "<stdin>";
const MANIFEST = /\.(ya?ml|json)$/;
const FILES_MAX = 10_000;

/**
 * Reads and validates every manifest. Objects with errors are left out and their faults returned
 * with all others; nothing is thrown for what a user may have written or named.
 */
export async function loadFiles(
  paths: readonly string[],
  options: LoadOptions = {},
): Promise<Loaded> {
  const faults: Fault[] = [];
  const resources: LoadedResource[] = [];
  const names = await listFiles(paths, options.recursive === true, faults);
  for (const name of names) {
    const read = await readManifestText(name, faults, options.stdin);
    if (read !== null) loadText(read.text, read.file, resources, faults);
  }
  faults.push(...findDuplicates(resources));
  return { resources, faults };
}

/** One file, or `-`, and how positions name it. Null, with a fault: it cannot be read. */
export async function readManifestText(
  path: string,
  faults: Fault[],
  stdin: AsyncIterable<Uint8Array | string> = process.stdin,
): Promise<{ readonly text: string; readonly file: string } | null> {
  const isStdin = path === STDIN;
  const text = isStdin ? await readStdin(stdin, faults) : await readText(path, faults);
  return text === null ? null : { text, file: isStdin ? STDIN_NAME : path };
}

function loadText(text: string, file: string, resources: LoadedResource[], faults: Fault[]): void {
  const parsed = parseManifests(text, file);
  const found = [...parsed.faults];
  for (const { value, positionOf } of parsed.documents) {
    const validated = validateResource(value, positionOf);
    found.push(...validated.faults);
    if (validated.resource !== null) resources.push({ resource: validated.resource, positionOf });
  }
  found.sort((left, right) => comparePositions(left.position, right.position));
  faults.push(...found);
}

async function listFiles(
  paths: readonly string[],
  recursive: boolean,
  faults: Fault[],
): Promise<readonly string[]> {
  const files = new Set<string>();
  for (const path of paths) {
    if (path === STDIN) {
      files.add(path);
      continue;
    }
    try {
      const found = (await stat(path)).isDirectory() ? await listFolder(path, recursive) : [path];
      for (const file of found) files.add(file);
      if (found.length === 0) faults.push(emptyFolder(path, recursive));
    } catch (error) {
      faults.push(readFault(path, error));
    }
  }
  const list = [...files];
  if (list.length <= FILES_MAX) return list;
  faults.push(fileFault("GL0005", `more than ${FILES_MAX} files are named`, null));
  return list.slice(0, FILES_MAX);
}

/** Manifests of a folder by name. Hidden files and folders are not looked at. */
async function listFolder(folder: string, recursive: boolean): Promise<string[]> {
  const names = await readdir(folder, { recursive, encoding: "utf8" });
  const found: string[] = [];
  for (const name of names.sort()) {
    if (!MANIFEST.test(name) || /(^|[\\/])\./.test(name)) continue;
    const path = join(folder, name);
    if ((await stat(path)).isFile()) found.push(path);
  }
  return found;
}

function emptyFolder(path: string, recursive: boolean): Fault {
  const remedy = recursive
    ? "Name a folder or a file with manifests."
    : "Name the file, or the subfolder that holds the manifests.";
  return fileFault("GL0004", `${path}: the folder holds no *.yaml, *.yml or *.json`, null, remedy);
}

async function readText(path: string, faults: Fault[]): Promise<string | null> {
  try {
    const { size } = await stat(path);
    if (size > FILE_BYTES_MAX) {
      faults.push(tooLarge(path));
      return null;
    }
    return decode(await readFile(path), path, faults);
  } catch (error) {
    faults.push(readFault(path, error));
    return null;
  }
}

async function readStdin(
  input: AsyncIterable<Uint8Array | string>,
  faults: Fault[],
): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of input) {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : Buffer.from(chunk);
    chunks.push(bytes);
    size += bytes.length;
    if (size <= FILE_BYTES_MAX) continue;
    faults.push(tooLarge(STDIN_NAME));
    return null;
  }
  return decode(Buffer.concat(chunks), STDIN_NAME, faults);
}

function decode(bytes: Uint8Array, file: string, faults: Fault[]): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    faults.push(fileFault("GL0003", "the file is not UTF-8 text", { file, line: 1, column: 1 }));
    return null;
  }
}

function tooLarge(file: string): Fault {
  const message = `the file is larger than ${FILE_BYTES_MAX / 1024 / 1024} MiB`;
  return fileFault("GL0005", message, { file, line: 1, column: 1 }, "Split it into several files.");
}

function readFault(path: string, error: unknown): Fault {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return fileFault("GL0002", `${path}: there is no such file or folder`, null, "Check the path.");
  }
  const why = error instanceof Error ? error.message : String(error);
  return fileFault(
    "GL0001",
    `${path}: cannot be read: ${why}`,
    null,
    "Check the file's permissions.",
  );
}

/** One fault for each object that stands a second time. */
function findDuplicates(resources: readonly LoadedResource[]): Fault[] {
  const faults: Fault[] = [];
  const seen = new Map<string, Position>();
  for (const { resource, positionOf } of resources) {
    const ref = refOf(resource);
    const { group } = splitApiVersion(resource.apiVersion);
    const key = JSON.stringify([group, ref.kind, ref.namespace, ref.name]);
    const position = positionOf(["metadata", "name"]);
    const earlier = seen.get(key);
    if (earlier === undefined) {
      seen.set(key, position);
      continue;
    }
    const place = `${earlier.file}:${earlier.line}:${earlier.column}`;
    faults.push({
      ...fileFault(
        "GL0010",
        `this object stands already at ${place}`,
        position,
        "Remove one of the two.",
      ),
      object: ref,
      path: "metadata.name",
    });
  }
  return faults;
}
