//! Writes what the compiler says of an object into its status in the cluster: the status alone,
//! only while the object is as it was read, and only by the leader.

import { mayWriteStatus } from "../../resources/cluster-kinds.ts";
import type { Resource } from "../../resources/object.ts";
import { kindByApiVersion } from "../../resources/registry.ts";
import type { StatusWrite } from "../publish/object-status.ts";
import { statusText } from "./cluster-client.ts";
import type { ClusterClient } from "./cluster-client.ts";

const NOT_FOUND = 404;
const CONFLICT = 409;

/** False: the object has changed since, and its event causes another pass. Rejects on failure. */
export function clusterStatusWriter(
  client: Pick<ClusterClient, "ask">,
  mayWrite: () => boolean,
): (write: StatusWrite) => Promise<boolean> {
  return async ({ resource, status }) => {
    const path = statusPath(resource);
    // A replica that does not lead goes on as if it had written: the leader comes to the same.
    if (path === null || !mayWrite()) return true;
    const { resourceVersion } = resource.metadata;
    const body = [
      // The server compares it: the patch of an object that has changed is a conflict.
      { op: "replace", path: "/metadata/resourceVersion", value: resourceVersion },
      { op: "add", path: "/status", value: status },
    ];
    const answer = await client.ask({ method: "PATCH", path, body });
    if (answer.status === 200) return true;
    if (answer.status === CONFLICT || answer.status === NOT_FOUND) return false;
    throw new Error(statusText(answer));
  };
}

/** Null when somebody else owns the status. */
function statusPath({ apiVersion, kind, metadata }: Resource): string | null {
  const info = kindByApiVersion(apiVersion, kind);
  if (info === undefined || !mayWriteStatus(info)) return null;
  const place = info.namespaced ? `/namespaces/${metadata.namespace ?? "default"}` : "";
  return `/apis/${apiVersion}${place}/${info.plural}/${metadata.name}/status`;
}
