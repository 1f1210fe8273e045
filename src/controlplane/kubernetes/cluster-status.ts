//! Writes what the compiler says of an object into its status in the cluster: the status alone,
//! only while the object is as it was read, and only by the leader.

import { mayWriteStatus } from "../../resources/cluster-kinds.ts";
import { timestamp, type Clock } from "../../base/clock.ts";
import type { Resource } from "../../resources/object.ts";
import { kindByApiVersion } from "../../resources/registry.ts";
import type { StatusWrite } from "../publish/object-status.ts";
import { verdictEvent } from "./cluster-events.ts";
import type { VerdictEvent } from "./cluster-events.ts";
import { statusText } from "./cluster-client.ts";
import type { ClusterClient } from "./cluster-client.ts";

const NOT_FOUND = 404;
const CONFLICT = 409;

/** False: the object has changed since, and its event causes another pass. Rejects on failure. */
export function clusterStatusWriter(
  client: Pick<ClusterClient, "ask">,
  clock: Clock,
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
    if (answer.status === 200) {
      await tell(client, verdictEvent({ resource, status }, timestamp(clock.nowMs())));
      return true;
    }
    if (answer.status === CONFLICT || answer.status === NOT_FOUND) return false;
    throw new Error(statusText(answer));
  };
}

/** An Event that is lost says nothing that the status does not. */
async function tell(client: Pick<ClusterClient, "ask">, event: VerdictEvent | null): Promise<void> {
  if (event === null) return;
  const path = `/api/v1/namespaces/${event.metadata.namespace}/events`;
  await client.ask({ method: "POST", path, body: event }).catch(() => null);
}

/** Null when somebody else owns the status. */
function statusPath({ apiVersion, kind, metadata }: Resource): string | null {
  const info = kindByApiVersion(apiVersion, kind);
  if (info === undefined || !mayWriteStatus(info)) return null;
  const place = info.namespaced ? `/namespaces/${metadata.namespace ?? "default"}` : "";
  return `/apis/${apiVersion}${place}/${info.plural}/${metadata.name}/status`;
}
