//! DELETE of one object, and of a collection: at once, or when the last finalizer has gone.

import { deleteObjectIn, isPending } from "../controlplane/store/deletion.ts";
import { parameter, sendJson, type Call } from "./call.ts";
import { deleteOptionsOf } from "./delete-options.ts";
import { keyOfPath, kindPathOf, type KindPath } from "./kind-path.ts";
import { checkMayGo } from "./namespaces.ts";
import { listOptionsOf } from "./list-options.ts";
import { pageOf } from "./pages.ts";
import { selectionOf } from "./selection.ts";
import { refuse, success, writeRefused } from "./status.ts";
import { sendList, sendObject } from "./table.ts";

export async function deleteObject(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const options = await deleteOptionsOf(call, path);
  checkMayGo(path, key.name);
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
  const { dryRun = false, propagation } = await deleteOptionsOf(call, path);
  const selection = selectionOf(call, path);
  const { store, clock } = call.dependencies;
  const page = pageOf(store, selection, listOptionsOf(call, selection));
  for (const { metadata } of page.items) {
    const key = keyOfPath({ ...path, namespace: metadata.namespace ?? null }, metadata.name);
    // Another one of that name may have come since the page's revision.
    if (store.get(key)?.metadata.uid !== metadata.uid) continue;
    const result = await deleteObjectIn(store, clock, key, { dryRun, propagation });
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
