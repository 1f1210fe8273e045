//! `graylane delete`: removes objects, or foretells what their removal would break.

import { ApiError } from "../api/client.ts";
import type { ApiClient } from "../api/client.ts";
import type { TypedRef } from "../api/types.ts";
import { compareMessages } from "../compile/messages.ts";
import type { KindInfo } from "../resources/registry.ts";
import { CliError, usageError } from "./cli-error.ts";
import { connect, explainApiError, isNotFound, namespaceOf, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { readManifests } from "./manifests.ts";
import { countText, hasError, printMessages } from "./messages.ts";
import {
  apiKindOf,
  kindOfResource,
  namespaceFor,
  parseSelections,
  qualifiedKind,
} from "./object-name.ts";

export interface DeleteOptions {
  readonly filename: readonly string[];
  readonly dryRun?: boolean;
  readonly ignoreNotFound?: boolean;
}

interface Target {
  readonly info: KindInfo;
  readonly namespace: string;
  readonly name: string;
}

export async function deleteObjects(
  context: Context,
  words: readonly string[],
  options: DeleteOptions,
): Promise<number> {
  const targets = await findTargets(context, words, options);
  const client = await connect(context);
  if (options.dryRun === true) return foretell(context, client, targets);
  let failureCount = 0;
  for (const target of targets) {
    if (!(await deleteOne(context, client, { target, options }))) failureCount += 1;
  }
  return failureCount > 0 ? 1 : 0;
}

async function findTargets(
  context: Context,
  words: readonly string[],
  options: DeleteOptions,
): Promise<readonly Target[]> {
  if (options.filename.length > 0) {
    if (words.length > 0) throw usageError("names and -f exclude each other");
    return targetsOfFiles(context, options.filename);
  }
  return parseSelections(words).flatMap(({ info, names }) => {
    if (names.length === 0)
      throw usageError(`no ${info.singular} is named`, "Name what to delete.");
    const namespace = namespaceFor(info, namespaceOf(context));
    return names.map((name) => ({ info, namespace, name }));
  });
}

async function targetsOfFiles(
  context: Context,
  filename: readonly string[],
): Promise<readonly Target[]> {
  const manifests = await readManifests(context, filename);
  if (hasError(manifests.faults)) {
    printMessages(context.stderr, manifests.faults);
    throw new CliError(`nothing was deleted: ${countText(manifests.faults)}`);
  }
  return manifests.resources.map((resource) => {
    const { info } = kindOfResource(resource);
    const { name, namespace = "" } = resource.metadata;
    return { info, namespace, name };
  });
}

async function deleteOne(
  context: Context,
  client: ApiClient,
  { target, options }: { target: Target; options: DeleteOptions },
): Promise<boolean> {
  try {
    await client.delete(apiKindOf(target.info), target);
    printLine(context.stdout, `${quotedName(target)} deleted`);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code === 0 || error.code === 401) throw error;
    if (isNotFound(error) && options.ignoreNotFound === true) return true;
    printLine(context.stderr, `error: ${explainApiError(error).message}`);
    return false;
  }
}

/** What analyze would say afterwards and does not say now. Nothing is changed. */
async function foretell(
  context: Context,
  client: ApiClient,
  targets: readonly Target[],
): Promise<number> {
  const refs: TypedRef[] = [];
  for (const { info, namespace, name } of targets) {
    const found = await client.get(apiKindOf(info), namespace, name);
    refs.push({ apiVersion: found.apiVersion, kind: info.kind, namespace, name });
  }
  const before = await client.analyze({});
  const after = await client.analyze({ delete: refs });
  for (const target of targets) {
    printLine(context.stdout, `${quotedName(target)} deleted (dry run)`);
  }
  const added = compareMessages(before, after);
  if (added.length === 0) {
    printLine(context.stdout, "Nothing else would change in what analyze says.");
    return 0;
  }
  printLine(context.stdout, `After this, analyze would say (${countText(added)}):`);
  printMessages(context.stdout, added);
  return 0;
}

/** kubectl's form: `wasmplugin.extensions.istio.io "hash-tagging"`. */
function quotedName({ info, name }: Target): string {
  return `${qualifiedKind(info)} "${name}"`;
}
