//! What is of Namespaces alone: contents come only while they stay, some stay for ever, and they
//! go by their own finalizers.

import { finalizersOf, isMarked } from "../controlplane/store/deletion.ts";
import { keyText, kindText } from "../controlplane/store/store.ts";
import { member } from "../resources/kinds/member.ts";
import { withSpecFinalizers } from "../resources/kinds/namespace.ts";
import { isDryRun, parameter, readBody, type Call } from "./call.ts";
import { keyOfPath, kindPathOf, type KindPath } from "./kind-path.ts";
import { isObject } from "./patch/json.ts";
import { badRequest, failure, notFound, StatusError, writeRefused } from "./status.ts";
import { sendObject } from "./table.ts";

const NAMESPACES = { group: "", plural: "namespaces" };
/** Kubernetes' own. */
const IMMORTAL: ReadonlySet<string> = new Set(["default", "kube-system", "kube-public"]);

/** Throws 403 for what is to be created in a Namespace that is to be deleted. */
export function checkNamespaceStays(call: Call, path: KindPath, name: string): void {
  const { info, namespace } = path;
  if (!info.namespaced || namespace === null) return;
  const live = call.dependencies.store.get({ ...NAMESPACES, namespace: "", name: namespace });
  if (live === undefined || !isMarked(live)) return;
  const why = "because it is being terminated";
  const says = `unable to create new content in namespace ${namespace} ${why}`;
  const message = `namespace ${namespace} is being terminated`;
  const causes = [{ reason: "NamespaceTerminating", message, field: "metadata.namespace" }];
  throw forbidden(path, name, { says, causes });
}

/** Throws 403 for a Namespace that nobody may delete. */
export function checkMayGo(path: KindPath, name: string): void {
  if (path.info.kind !== "Namespace" || !IMMORTAL.has(name)) return;
  throw forbidden(path, name, { says: "this namespace may not be deleted" });
}

type Details = NonNullable<StatusError["status"]["details"]>;

function forbidden(
  { info }: KindPath,
  name: string,
  { says, ...more }: { readonly says: string } & Pick<Details, "causes">,
): StatusError {
  const { group, plural } = info;
  const details = { name, ...(group !== "" && { group }), kind: plural, ...more };
  const message = `${kindText(info)} ${JSON.stringify(name)} is forbidden: ${says}`;
  return new StatusError(failure(403, "Forbidden", message, details));
}

/**
 * PUT of `namespaces/NAME/finalize`: `spec.finalizers`, which no other write changes, and
 * `metadata.finalizers`. What else is sent is left as it is.
 */
export async function finalizeNamespace(call: Call): Promise<void> {
  const path = kindPathOf(call);
  const key = keyOfPath(path, parameter(call, "name"));
  const body = await readBody(call);
  const held = finalizersIn(body, "spec");
  const finalizers = finalizersIn(body, "metadata");
  const { store } = call.dependencies;
  const live = store.get(key);
  if (live === undefined) throw notFound(keyText(key));
  const { resourceVersion } = live.metadata;
  const options = {
    dryRun: isDryRun(call),
    ...(resourceVersion === undefined ? {} : { ifRevision: resourceVersion }),
  };
  const metadata = { ...live.metadata, finalizers };
  const wanted = withSpecFinalizers({ ...live, metadata }, held);
  const isOver = isMarked(live) && finalizersOf(wanted).length === 0;
  const result = await (isOver ? store.delete(key, options) : store.update(wanted, options));
  if (!result.ok) throw writeRefused(result);
  sendObject(call, path, 200, isOver ? wanted : result.resource);
}

/** Throws 400. */
function finalizersIn(body: unknown, within: "spec" | "metadata"): readonly string[] {
  const given = isObject(body) ? (member(body, within, "finalizers") ?? []) : null;
  if (Array.isArray(given) && given.every((one) => typeof one === "string")) return given;
  throw badRequest(`the body must be a Namespace whose ${within}.finalizers is a list of texts`);
}
