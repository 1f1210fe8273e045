//! `graylane lane restore`: puts a saved allocation back, so that users are in the lanes they were.

import { isAllocation } from "../compile/allocation-state.ts";
import { refOf } from "../resources/object.ts";
import type { Resource } from "../resources/object.ts";
import { CliError } from "./cli-error.ts";
import { connect, printLine } from "./context.ts";
import type { Context } from "./context.ts";
import { readManifests } from "./manifests.ts";
import { kindOfResource } from "./object-name.ts";

export interface LaneRestoreOptions {
  readonly filename: readonly string[];
}

/** The objects themselves are not written: `apply` does that, and never writes a status. */
export async function restoreLanes(context: Context, options: LaneRestoreOptions): Promise<number> {
  const { resources } = await readManifests(context, options.filename);
  const saved = resources.filter((resource) => allocationOf(resource) !== undefined);
  if (saved.length === 0) {
    throw new CliError(
      "the files hold no LaneGroup with status.allocation",
      "Save one with: graylane get lanegroup NAME -o yaml",
    );
  }
  for (const resource of saved) {
    if (isAllocation(resource.status)) continue;
    const { namespace, name } = refOf(resource);
    throw new CliError(`lanegroup ${namespace}/${name}: status.allocation is damaged`, "");
  }
  const client = await connect(context);
  for (const resource of saved) {
    const { apiKind } = kindOfResource(resource);
    const { namespace, name } = refOf(resource);
    const current = await client.get(apiKind, namespace, name);
    const kept = typeof current.status === "object" ? current.status : {};
    const status = { ...kept, allocation: allocationOf(resource) };
    await client.updateStatus(apiKind, { ...current, status });
    printLine(context.stdout, `lanegroup/${name} restored`);
  }
  return 0;
}

function allocationOf({ kind, status }: Resource): unknown {
  if (kind !== "LaneGroup" || typeof status !== "object" || status === null) return undefined;
  return (status as { readonly allocation?: unknown }).allocation;
}
