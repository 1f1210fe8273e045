//! DELETE of one object, and of a collection: at once, or when the last finalizer has gone.

import { deleteObjectIn, isPending } from "../controlplane/store/deletion.ts";
import { isDryRun, parameter, readBody, sendJson, type Call } from "./call.ts";
import { keyOfPath, kindPathOf, type KindPath } from "./kind-path.ts";
import { checkMayGo } from "./namespaces.ts";
import { conditionsOf } from "./objects.ts";
import { isObject, type Json } from "./patch/json.ts";
import { listOptionsOf } from "./list-options.ts";
import { pageOf } from "./pages.ts";
import { selectionOf } from "./selection.ts";
import { badRequest, refuse, success, writeRefused } from "./status.ts";
import { sendList, sendObject } from "./table.ts";

const POLICIES = ["Background", "Foreground", "Orphan"];

export async function deleteObject(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const body = (await readBody(call)) ?? {};
  if (!isObject(body)) throw badRequest("the body must be a DeleteOptions object");
  checkPropagation(call, path, body);
  const conditions = isObject(body["preconditions"]) ? body["preconditions"] : {};
  const dryRun = isDryRun(call) || isAll(body["dryRun"]);
  checkMayGo(path, key.name);
  const options = { ...conditionsOf(conditions), dryRun };
  const { store, clock } = call.dependencies;
  const result = await deleteObjectIn(store, clock, key, options);
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
  checkIsCollection(path);
  const body = (await readBody(call)) ?? {};
  if (!isObject(body)) throw badRequest("the body must be a DeleteOptions object");
  checkPropagation(call, path, body);
  const dryRun = isDryRun(call) || isAll(body["dryRun"]);
  const selection = selectionOf(call, path);
  const { store, clock } = call.dependencies;
  const page = pageOf(store, selection, listOptionsOf(call, selection));
  for (const { metadata } of page.items) {
    const key = keyOfPath({ ...path, namespace: metadata.namespace ?? null }, metadata.name);
    // Another one of that name may have come since the page's revision.
    if (store.get(key)?.metadata.uid !== metadata.uid) continue;
    const result = await deleteObjectIn(store, clock, key, { dryRun });
    if (!result.ok && result.reason !== "not_found") throw writeRefused(result);
  }
  sendList(call, path, page);
}

/** Throws 405. */
function checkIsCollection({ info, namespace }: KindPath): void {
  if (info.kind === "Namespace") {
    const message = "Namespaces are deleted one by one, each with all that it holds";
    throw refuse(405, "MethodNotAllowed", message);
  }
  if (!info.namespaced || namespace !== null) return;
  throw refuse(405, "MethodNotAllowed", "name the namespace whose objects are to be deleted");
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
