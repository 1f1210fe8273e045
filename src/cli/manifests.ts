//! The user's files as validated objects, and what the compiler says about them, with places.

import { resolve } from "node:path";
import { compile } from "../compile/compile.ts";
import type { Fault } from "../resources/fault.ts";
import { loadFiles } from "../resources/load.ts";
import type { LoadedResource } from "../resources/load.ts";
import { refOf } from "../resources/object.ts";
import type { ObjectRef, Resource } from "../resources/object.ts";
import { usageError } from "./cli-error.ts";
import { namespaceOf } from "./context.ts";
import type { Context } from "./context.ts";
import { kindOfResource, namespaceFor } from "./object-name.ts";

export interface Manifests {
  /** In the order of the files, each with its namespace. */
  readonly resources: readonly Resource[];
  /** Of reading and validating; objects with errors are not among the resources. */
  readonly faults: readonly Fault[];
  /** Where a path of an object stands, as far as the files say. */
  readonly locate: (fault: Fault) => Fault;
}

/** Reads files and directories (`-`: standard input). */
export async function readManifests(
  context: Context,
  paths: readonly string[],
): Promise<Manifests> {
  if (paths.length === 0)
    throw usageError("no file is named", "Name files or directories with -f.");
  const loaded = await loadFiles(paths.map((path) => pathOf(context, path)));
  const placed = loaded.resources.map((each) => {
    return { ...each, resource: inNamespace(context, each.resource) };
  });
  return {
    resources: placed.map(({ resource }) => resource),
    faults: loaded.faults,
    locate: locator(placed),
  };
}

/** As the user wrote it where that means the same: positions then read as they are used to. */
function pathOf(context: Context, path: string): string {
  return path === "-" || context.cwd === process.cwd() ? path : resolve(context.cwd, path);
}

/** A file may leave the namespace out; `-n` or `default` fills it, as kubectl does. */
function inNamespace(context: Context, resource: Resource): Resource {
  const namespace = namespaceFor(kindOfResource(resource).info, namespaceOf(context));
  if (namespace === "" || resource.metadata.namespace !== undefined) return resource;
  return { ...resource, metadata: { ...resource.metadata, namespace } };
}

function locator(loaded: readonly LoadedResource[]): Manifests["locate"] {
  const byObject = new Map<string, LoadedResource>();
  for (const each of loaded) {
    const key = keyOf(refOf(each.resource));
    if (!byObject.has(key)) byObject.set(key, each);
  }
  return (fault) => {
    const { object } = fault;
    if (fault.position !== null || object === null) return fault;
    const source = byObject.get(keyOf(object));
    if (source === undefined) return fault;
    return { ...fault, position: source.positionOf(parsePath(fault.path)) };
  };
}

function keyOf({ kind, namespace, name }: ObjectRef): string {
  return `${kind}\0${namespace}\0${name}`;
}

/** `spec.http[0].match["a.b"]` into its steps. */
export function parsePath(path: string): (string | number)[] {
  const steps: (string | number)[] = [];
  for (const [, index, quoted, name] of path.matchAll(
    /\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([^.[\]]+)/g,
  )) {
    if (index !== undefined) steps.push(Number(index));
    else if (quoted !== undefined) steps.push(JSON.parse(quoted) as string);
    else if (name !== undefined) steps.push(name);
  }
  return steps;
}

/** What the compiler says about the objects together, as if nothing else were there. */
export async function compileManifests(
  context: Context,
  manifests: Manifests,
  imageMap: string | null,
): Promise<readonly Fault[]> {
  const { resources, locate: place } = manifests;
  const modules = await context.resolveModules(resources, imageMap);
  const nowMs = context.clock.nowMs();
  return compile({ resources, modules, nowMs }).messages.map(place);
}
