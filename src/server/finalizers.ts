//! Finalizers: who must have done something before an object goes, as in Kubernetes.

import { finalizersOf, isPending } from "../controlplane/store/deletion.ts";
import type { Resource } from "../resources/object.ts";
import { failure, StatusError } from "./status.ts";

/** Throws 422 when an object that is to be deleted gets more of them. */
export function checkFinalizers(kind: string, resource: Resource, existing: Resource): void {
  if (!isPending(existing)) return;
  const before = new Set(finalizersOf(existing));
  const added = finalizersOf(resource).filter((name) => !before.has(name));
  if (added.length === 0) return;
  const { name } = existing.metadata;
  const field = "metadata.finalizers";
  const says = `no new finalizers can be added while it is being deleted: ${added.join(", ")}`;
  const causes = [{ reason: "FieldValueForbidden", message: says, field }];
  const message = `${kind} ${JSON.stringify(name)} is invalid: ${field}: ${says}`;
  throw new StatusError(failure(422, "Invalid", message, { name, kind, causes }));
}
