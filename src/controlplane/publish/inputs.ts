//! Tells whether the compiler's input has changed: not every write is a change of configuration.
//!
//! The publisher writes statuses itself. If those counted, it would compile for ever.

import { contentHash } from "../../base/canonical-json.ts";
import type { Resource } from "../../resources/object.ts";

/** Parts of a status that the publisher writes. */
const OWN_STATUS = new Set(["conditions", "validationMessages", "observedGeneration"]);
/** Parts of the status of lanes, lane groups and McpBridges that the publisher writes. */
export const FINDINGS: readonly string[] = [
  ...["state", "services", "members", "share", "shares"],
  ...["openLanes", "lanes", "baseline"],
  // Of McpBridges.
  "registries",
];
/** Parts of a status of the Gateway API that the publisher writes. */
const API_STATUS: ReadonlySet<string> = new Set([
  ...OWN_STATUS,
  ...["addresses", "listeners", "parents"],
]);
const GATEWAY_API = "gateway.networking.k8s.io/";
const KINDS_WITH_FINDINGS: ReadonlySet<string> = new Set([
  ...["LaneGroup", "Lane", "ASMSwimLaneGroup", "ASMSwimLane", "McpBridge"],
]);
/** Bookkeeping that no compiler reads. */
const BOOKKEEPING = new Set(["resourceVersion", "managedFields", "generation"]);

const FOUND_STATUS: ReadonlySet<string> = new Set([...OWN_STATUS, ...FINDINGS]);

interface Remembered {
  readonly resourceVersion: string;
  readonly hash: string;
}

export class InputFingerprint {
  #remembered = new Map<string, Remembered>();

  /** Equal for equal input. Only objects with a new `resourceVersion` are hashed again. */
  of(resources: readonly Resource[]): string {
    const next = new Map<string, Remembered>();
    for (const resource of resources) {
      const { apiVersion, kind, metadata } = resource;
      const key = `${apiVersion} ${kind} ${metadata.namespace ?? ""}/${metadata.name}`;
      const resourceVersion = metadata.resourceVersion ?? "";
      const old = this.#remembered.get(key);
      const isSame = resourceVersion !== "" && old?.resourceVersion === resourceVersion;
      next.set(key, isSame ? old : { resourceVersion, hash: contentHash(meaning(resource)) });
    }
    this.#remembered = next;
    return contentHash([...next].map(([key, { hash }]) => `${key}=${hash}`).sort());
  }
}

/** The object without what its compilation cannot depend on. A Pod's conditions do matter. */
function meaning(resource: Resource): unknown {
  const metadata = without(resource.metadata, BOOKKEEPING);
  if (resource.kind === "Pod") return { ...resource, metadata };
  const isApi = resource.apiVersion.startsWith(GATEWAY_API);
  const own = isApi ? API_STATUS : hasFindings(resource) ? FOUND_STATUS : OWN_STATUS;
  const status = isRecord(resource.status) ? without(resource.status, own) : {};
  return { ...without(resource, new Set(["status"])), metadata, status };
}

/** Whether its status says what was found, beside messages. */
export function hasFindings({ kind }: Resource): boolean {
  return KINDS_WITH_FINDINGS.has(kind);
}

export function without(
  record: Readonly<Record<string, unknown>>,
  names: ReadonlySet<string>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => !names.has(name)));
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
