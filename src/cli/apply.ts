//! `graylane apply`: checks every file, then creates or updates each object.

import { ApiError } from "../api/client.ts";
import type { ApiClient, WriteAnswer } from "../api/client.ts";
import { compareMessages } from "../compile/messages.ts";
import type { Fault } from "../resources/fault.ts";
import type { Resource } from "../resources/object.ts";
import { CliError, usageError } from "./cli-error.ts";
import { connect, explainApiError, isNotFound, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { readManifests } from "./manifests.ts";
import { countText, hasError, printMessages } from "./messages.ts";
import { kindOfResource, qualifiedName } from "./object-name.ts";

export interface ApplyOptions {
  readonly filename: readonly string[];
  readonly dryRun?: boolean;
  readonly output?: string;
}

type Outcome = "created" | "configured" | "unchanged";

/** Of one object, when another writer changes it between our read and our write. */
const ATTEMPTS_MAX = 10;

export async function apply(context: Context, options: ApplyOptions): Promise<number> {
  if (options.output !== undefined && options.output !== "name") {
    throw usageError(`-o ${options.output}: not a format of apply`, "Use -o name.");
  }
  const manifests = await readManifests(context, options.filename);
  printMessages(context.stderr, manifests.faults);
  if (hasError(manifests.faults)) {
    throw new CliError(
      `nothing was applied: ${countText(manifests.faults)}`,
      "Correct the files and apply them again.",
    );
  }
  if (manifests.resources.length === 0) throw new CliError("no objects passed to apply");
  const client = await connect(context);
  const before = options.dryRun === true ? null : await messagesNow(client);
  let failureCount = 0;
  for (const resource of manifests.resources) {
    if (!(await applyAndReport(context, client, { resource, options }))) failureCount += 1;
  }
  // What holds between objects refuses no write, but whoever wrote wants to know now.
  if (before !== null) {
    printMessages(context.stderr, compareMessages(before, await messagesNow(client)));
  }
  if (failureCount === 0) return 0;
  const total = manifests.resources.length;
  throw new CliError(`${failureCount} of ${total} objects were not applied`);
}

/** What analyze says; nothing when the server cannot say. */
async function messagesNow(client: ApiClient): Promise<readonly Fault[]> {
  try {
    return await client.analyze({});
  } catch (error) {
    if (error instanceof ApiError) return [];
    throw error;
  }
}

/** One object that fails does not keep the others back, except when the server is not there. */
async function applyAndReport(
  context: Context,
  client: ApiClient,
  { resource, options }: { resource: Resource; options: ApplyOptions },
): Promise<boolean> {
  const name = qualifiedName(kindOfResource(resource).info, resource.metadata.name);
  const isDryRun = options.dryRun === true;
  try {
    const { outcome, warnings } = await applyOne(client, { resource, isDryRun });
    for (const warning of warnings) printLine(context.stderr, `Warning: ${warning}`);
    const suffix = isDryRun ? " (dry run)" : "";
    printLine(context.stdout, options.output === "name" ? name : `${name} ${outcome}${suffix}`);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError) || error.code === 0 || error.code === 401) throw error;
    printLine(context.stderr, `error: ${name}: ${explainApiError(error).message}`);
    return false;
  }
}

async function applyOne(
  client: ApiClient,
  { resource, isDryRun }: { resource: Resource; isDryRun: boolean },
): Promise<{ outcome: Outcome; warnings: readonly string[] }> {
  const { apiKind } = kindOfResource(resource);
  const { name, namespace = "" } = resource.metadata;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const before = await client.get(apiKind, namespace, name).catch(nullWhenMissing);
      if (before === null) {
        const { warnings } = await client.create(apiKind, resource, { dryRun: isDryRun });
        return { outcome: "created", warnings };
      }
      const { resourceVersion = "" } = before.metadata;
      const next = { ...resource, metadata: { ...resource.metadata, resourceVersion } };
      const answer = await client.update(apiKind, next, { dryRun: isDryRun });
      return { outcome: outcomeOf(answer, resourceVersion), warnings: answer.warnings };
    } catch (error) {
      // Somebody else wrote (or created) it meanwhile, maybe the server its status: look again.
      const isConflict = error instanceof ApiError && error.code === 409;
      if (!isConflict || attempt >= ATTEMPTS_MAX) throw error;
    }
  }
}

/** The store keeps the version of an object that a write leaves as it was. */
function outcomeOf(answer: WriteAnswer, versionBefore: string): Outcome {
  const { resourceVersion } = answer.resource.metadata;
  return resourceVersion === versionBefore ? "unchanged" : "configured";
}

function nullWhenMissing(error: unknown): null {
  if (isNotFound(error)) return null;
  throw error;
}
