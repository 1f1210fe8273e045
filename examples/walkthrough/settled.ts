//! Whether every worker runs what was written: read from the status of the API.

import type { EnvoyStatus, RuntimeStatus } from "../../src/api/types.ts";

/** Every live worker runs the newest snapshot, and that holds the store up to this revision. */
export function isSnapshotEverywhere(status: RuntimeStatus, resourceVersion: string): boolean {
  return explainUnsettled(status, resourceVersion) === "";
}

/** Who lags behind; `""` when nobody does. */
export function explainUnsettled(status: RuntimeStatus, resourceVersion: string): string {
  const { snapshot, workers } = status;
  if (snapshot === null) return "there is no snapshot yet";
  if (BigInt(snapshot.resourceVersion) < BigInt(resourceVersion)) {
    return `the snapshot holds revision ${snapshot.resourceVersion}, not ${resourceVersion}`;
  }
  if (!workers.some(({ role }) => role === "gateway")) return "there is no gateway worker";
  const behind = workers.filter(
    ({ state, snapshotVersion }) => state !== "ready" || snapshotVersion !== snapshot.version,
  );
  return behind
    .map(({ id, state, message }) => `${id} is ${state}${message === "" ? "" : `: ${message}`}`)
    .join(", ");
}

/** All that is asked for has been taken; who ends no TLS asks for no secrets. */
export function isInSync({ types }: EnvoyStatus): boolean {
  const { secrets, ...others } = types;
  return secrets !== "STALE" && Object.values(others).every((state) => state === "SYNCED");
}

/** The same of the Envoys. */
export function explainEnvoys({ snapshot, envoys }: RuntimeStatus): string {
  const behind = envoys.filter(
    (one) => one.snapshotVersion !== snapshot?.version || !isInSync(one),
  );
  return behind
    .map(({ id, error }) => `${id} is behind${error === "" ? "" : `: ${error}`}`)
    .join(", ");
}
