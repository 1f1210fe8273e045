//! What the compiler would say after a change that is not made: `analyze` and `delete --dry-run`.

import type { AnalyzeRequest, TypedRef } from "../api/types.ts";
import { compile } from "../compile/compile.ts";
import type { RegistryAnswers } from "../compile/registry.ts";
import { servingGateways } from "../compile/wasm-plugin.ts";
import { compareMessages } from "../compile/messages.ts";
import { storeKeyOf } from "../controlplane/store/open-store.ts";
import { keyText } from "../controlplane/store/store.ts";
import type { ModuleMap } from "../controlplane/plugins/resolve-modules.ts";
import type { Fault } from "../resources/fault.ts";
import type { Resource } from "../resources/object.ts";
import { kindByApiVersion } from "../resources/registry.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import { validateResource } from "../resources/validate.ts";

/** What the change would be made to. */
interface Situation {
  readonly resources: readonly Resource[];
  readonly resolveModules: (resources: readonly Resource[]) => Promise<ModuleMap>;
  readonly registries: RegistryAnswers;
  /** What runs now. */
  readonly snapshot: Snapshot;
  /** Wall time: lanes may have expired. */
  readonly nowMs: number;
}

/**
 * With a change: the faults of its objects and the messages that it adds. Without one: everything
 * the compiler says now.
 */
export async function analyzeChange(
  request: AnalyzeRequest,
  now: Situation,
): Promise<readonly Fault[]> {
  const { resources } = now;
  const validated = (request.objects ?? []).map((object) => validateResource(object));
  const changed = new Map(resources.map((resource) => [textOf(resource), resource]));
  for (const { resource } of validated) {
    if (resource !== null) changed.set(textOf(resource), resource);
  }
  for (const ref of request.delete ?? []) changed.delete(refText(ref));
  const after = await messagesOf([...changed.values()], now);
  const changeCount = (request.objects ?? []).length + (request.delete ?? []).length;
  if (changeCount === 0) return after;
  const before = await messagesOf(resources, now);
  return [...validated.flatMap(({ faults }) => faults), ...compareMessages(before, after)];
}

async function messagesOf(
  resources: readonly Resource[],
  { resolveModules, registries, snapshot, nowMs }: Situation,
): Promise<readonly Fault[]> {
  const modules = await resolveModules(resources);
  return compile({
    ...{ resources, modules, registries, nowMs, before: snapshot },
    lastGoodPlugins: snapshot.plugins,
    servingGateways: servingGateways(snapshot),
  }).messages;
}

function textOf(resource: Resource): string {
  return keyText(storeKeyOf(resource));
}

function refText(ref: TypedRef): string {
  const info = kindByApiVersion(ref.apiVersion, ref.kind);
  const { group, plural } = info ?? { group: "", plural: ref.kind };
  return keyText({ group, plural, namespace: ref.namespace, name: ref.name });
}
