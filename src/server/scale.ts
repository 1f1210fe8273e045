//! The subresource `scale` of Deployments: autoscaling/v1 Scale, as `kubectl scale` uses it.

import { keyText, type StoreKey } from "../controlplane/store/store.ts";
import type { Deployment } from "../resources/kinds/deployment.ts";
import type { Resource } from "../resources/object.ts";
import { isDryRun, parameter, readBody, readPatch, sendJson, type Call } from "./call.ts";
import { keyOfPath, kindPathOf, present, type KindPath } from "./kind-path.ts";
import { storeObject } from "./objects.ts";
import { isObject, type Json } from "./patch/json.ts";
import { JSON_PATCH, jsonPatched, MERGE_PATCH } from "./patch/patch-object.ts";
import { mergePatch } from "./patch/merge-patch.ts";
import { badRequest, notFound } from "./status.ts";

/** As discovery tells of it. */
export const SCALE = { group: "autoscaling", version: "v1", kind: "Scale" } as const;

interface Target {
  readonly path: KindPath;
  readonly key: StoreKey;
  readonly live: Deployment;
}

export function getScale(call: Call): void {
  sendJson(call, 200, scaleOf(targetOf(call).live));
}

export async function updateScale(call: Call): Promise<void> {
  const target = targetOf(call);
  await writeScale(call, target, await readBody(call));
}

export async function patchScale(call: Call): Promise<void> {
  const { type, body } = await readPatch(call, [MERGE_PATCH, JSON_PATCH]);
  const target = targetOf(call);
  const before = scaleOf(target.live);
  const after = type === JSON_PATCH ? jsonPatched(before, body) : mergePatch(before, body);
  await writeScale(call, target, after);
}

function targetOf(call: Call): Target {
  const path = kindPathOf(call);
  if (path.info.kind !== "Deployment") throw notFound(`${path.info.plural}/scale`);
  const key = keyOfPath(path, parameter(call, "name"));
  const live = call.dependencies.store.get(key);
  if (live === undefined) throw notFound(keyText(key));
  return { path, key, live: live as Deployment };
}

async function writeScale(call: Call, { path, key, live }: Target, scale: unknown): Promise<void> {
  const [metadata, spec] = [memberOf(scale, "metadata"), memberOf(scale, "spec")];
  const replicas = spec["replicas"] ?? 0;
  if (!Number.isInteger(replicas)) throw badRequest("spec.replicas must be an integer");
  const { resourceVersion } = metadata;
  const before = present(path, live) as unknown as Json;
  const body = { ...before, spec: { ...live.spec, replicas } };
  const stored = await storeObject(call, {
    ...{ body, path, key, existing: live, subresource: "", isManaged: false },
    ifRevision: typeof resourceVersion === "string" ? resourceVersion : undefined,
    dryRun: isDryRun(call),
  });
  sendJson(call, 200, scaleOf(stored as Deployment));
}

function memberOf(value: unknown, name: string): Json {
  const member = isObject(value) ? value[name] : undefined;
  if (member !== undefined && !isObject(member)) throw badRequest(`${name} must be an object`);
  return member ?? {};
}

function scaleOf({ metadata, spec, status }: Resource & Deployment): Json {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = metadata;
  const selector = Object.entries(spec.selector.matchLabels ?? {}).map(([key, value]) => {
    return `${key}=${value}`;
  });
  return {
    kind: SCALE.kind,
    apiVersion: `${SCALE.group}/${SCALE.version}`,
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: spec.replicas },
    status: { replicas: status?.replicas ?? 0, selector: selector.join(",") },
  };
}
