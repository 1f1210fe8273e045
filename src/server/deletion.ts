//! DELETE of one object, and of a collection: at once, or when the last finalizer has gone.

import { timestamp } from "../base/clock.ts";
import type { ConditionalOptions, StoreKey, WriteResult } from "../controlplane/store/store.ts";
import type { Resource } from "../resources/object.ts";
import { isDryRun, parameter, readBody, sendJson, type Call } from "./call.ts";
import { finalizersOf, isPending } from "./finalizers.ts";
import { keyOfPath, kindPathOf, type KindPath } from "./kind-path.ts";
import { conditionsOf } from "./objects.ts";
import { isObject, type Json } from "./patch/json.ts";
import { listOptionsOf } from "./list-options.ts";
import { pageOf } from "./pages.ts";
import { selectionOf } from "./selection.ts";
import { badRequest, refuse, success, writeRefused } from "./status.ts";
import { sendList, sendObject } from "./table.ts";

/** How often it is tried again when another write came between. */
const TRIES_MAX = 5;
const POLICIES = ["Background", "Foreground", "Orphan"];

export async function deleteObject(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const body = (await readBody(call)) ?? {};
  if (!isObject(body)) throw badRequest("the body must be a DeleteOptions object");
  checkPropagation(call, path, body);
  const conditions = isObject(body["preconditions"]) ? body["preconditions"] : {};
  const dryRun = isDryRun(call) || isAll(body["dryRun"]);
  const result = await deleteOne(call, key, { ...conditionsOf(conditions), dryRun });
  if (!result.ok) throw writeRefused(result);
  const { resource } = result;
  if (isPending(resource)) {
    sendObject(call, path, 200, resource);
    return;
  }
  const { group, kind } = path.info;
  const { uid } = resource.metadata;
  const details = { name: key.name, group, kind, ...(uid === undefined ? {} : { uid }) };
  sendJson(call, 200, success(details));
}

/** Deletes what a list with the same selectors would show; answers with what was there. */
export async function deleteCollection(call: Call): Promise<void> {
  const path = kindPathOf(call);
  if (path.info.namespaced && path.namespace === null) {
    throw refuse(405, "MethodNotAllowed", "name the namespace whose objects are to be deleted");
  }
  const body = (await readBody(call)) ?? {};
  if (!isObject(body)) throw badRequest("the body must be a DeleteOptions object");
  checkPropagation(call, path, body);
  const dryRun = isDryRun(call) || isAll(body["dryRun"]);
  const selection = selectionOf(call, path);
  const { store } = call.dependencies;
  const page = pageOf(store, selection, listOptionsOf(call, selection));
  for (const { metadata } of page.items) {
    const key = keyOfPath({ ...path, namespace: metadata.namespace ?? null }, metadata.name);
    // Another one of that name may have come since the page's revision.
    if (store.get(key)?.metadata.uid !== metadata.uid) continue;
    const result = await deleteOne(call, key, { dryRun });
    if (!result.ok && result.reason !== "not_found") throw writeRefused(result);
  }
  sendList(call, path, page);
}

/** The object as it was last, when it has gone; else as it is, waiting for its finalizers. */
async function deleteOne(
  { dependencies: { store, clock } }: Call,
  key: StoreKey,
  options: ConditionalOptions,
): Promise<WriteResult> {
  for (let tries = 1; ; tries += 1) {
    const live = store.get(key);
    // Nobody may have added a finalizer meanwhile. A damaged record has none, and can be deleted.
    const ifRevision = options.ifRevision ?? live?.metadata.resourceVersion;
    const guarded = { ...options, ...(ifRevision === undefined ? {} : { ifRevision }) };
    const waits = live !== undefined && finalizersOf(live).length > 0;
    const result = await (waits
      ? store.update(marked(live, timestamp(clock.nowMs())), guarded)
      : store.delete(key, guarded));
    const isOvertaken = !result.ok && result.reason === "conflict";
    if (!isOvertaken || options.ifRevision !== undefined || tries === TRIES_MAX) return result;
  }
}

/** Says since when it is to be deleted; a second delete changes nothing. */
function marked(resource: Resource, now: string): Resource {
  const { metadata } = resource;
  if (metadata.deletionTimestamp !== undefined) return resource;
  const deletion = { deletionTimestamp: now, deletionGracePeriodSeconds: 0 };
  return { ...resource, metadata: { ...metadata, ...deletion } };
}

/** Only Deployments have dependants: their pods, which end with them. */
function checkPropagation(call: Call, { info }: KindPath, body: Json): void {
  const policy = body["propagationPolicy"] ?? call.query.get("propagationPolicy") ?? "Background";
  if (typeof policy !== "string" || !POLICIES.includes(policy)) {
    throw badRequest(`propagationPolicy must be one of ${POLICIES.join(", ")}`);
  }
  if (policy !== "Orphan" || info.kind !== "Deployment") return;
  throw badRequest("pods end with their Deployment here: delete it without --cascade=orphan");
}

function isAll(value: unknown): boolean {
  return Array.isArray(value) && value.includes("All");
}
