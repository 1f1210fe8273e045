//! What Kubernetes asks of owner references beyond their form.

import { ownersOf } from "../controlplane/garbage/owners.ts";
import type { Resource } from "../resources/object.ts";
import { failure, StatusError } from "./status.ts";

const FIELD = "metadata.ownerReferences";

/** Throws 422 for two controllers, and for an owner that goes by itself. */
export function checkOwners(kind: string, resource: Resource): void {
  const owners = ownersOf(resource);
  const controllers = owners.filter(({ controller }) => controller === true);
  const [first, second] = controllers;
  if (owners.some((one) => one.apiVersion === "v1" && one.kind === "Event")) {
    throw refused(kind, resource, "/v1, Kind=Event is disallowed from being an owner");
  }
  if (first === undefined || second === undefined) return;
  const found = `Found "true" in references for ${first.name} and ${second.name}`;
  const says = `Only one reference can have Controller set to true. ${found}`;
  throw refused(kind, resource, says);
}

function refused(kind: string, { metadata: { name } }: Resource, says: string): StatusError {
  const causes = [{ reason: "FieldValueInvalid", message: says, field: FIELD }];
  const message = `${kind} ${JSON.stringify(name)} is invalid: ${FIELD}: ${says}`;
  return new StatusError(failure(422, "Invalid", message, { name, kind, causes }));
}
