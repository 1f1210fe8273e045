//! Who an Envoy says that it is: the `node` of its bootstrap (`graylane envoy-bootstrap`).

import { isIP } from "node:net";
import type { Json, JsonObject } from "../../base/json.ts";
import type { EnvoyView } from "../../compile-envoy/envoy-config.ts";

/** The key in the node's metadata under which everything of ours is. */
export const METADATA_KEY = "graylane";
const NAME_CHARS_MAX = 253;
const POD_CHARS_MAX = 2 * NAME_CHARS_MAX + 1;
const POD = /^[a-z0-9-]+\/[a-z0-9.-]+$/;
const LABELS_MAX = 64;
const PORTS_MAX = 1_000;
const PORT_MAX = 65_535;

export interface EnvoyIdentity {
  readonly name: string;
  readonly view: EnvoyView;
}

/** A text is what is wrong, in words for the Envoy's log. */
export function readIdentity(node: Json | undefined): EnvoyIdentity | string {
  const { id, metadata } = objectOf(node);
  if (typeof id !== "string" || id === "" || id.length > NAME_CHARS_MAX) {
    return `node.id must be a text of 1 to ${NAME_CHARS_MAX} characters`;
  }
  const said = objectOf(objectOf(metadata)[METADATA_KEY]);
  const view = viewOf(said);
  if (typeof view === "string") return view;
  const { modules } = said;
  if (modules === undefined) return { name: id, view };
  const isName = typeof modules === "string" && modules !== "" && modules.length <= NAME_CHARS_MAX;
  if (!isName) return place("modules", "must be the name of a cluster");
  return { name: id, view: { ...view, modules } };
}

function viewOf(said: JsonObject): EnvoyView | string {
  const { role, pod, labels, bind_address: bindAddress, ports } = said;
  if (role === "sidecar") {
    const isName = typeof pod === "string" && pod.length <= POD_CHARS_MAX && POD.test(pod);
    return isName ? { role, pod } : place("pod", "must be NAMESPACE/NAME");
  }
  if (role !== "gateway") return place("role", 'must be "gateway" or "sidecar"');
  const named = textsOf(labels ?? {}, LABELS_MAX);
  if (named === null) return place("labels", `must be at most ${LABELS_MAX} texts by name`);
  if (typeof bindAddress !== "string" || isIP(bindAddress) === 0) {
    return place("bind_address", "must be an IP address");
  }
  const portMap = portsOf(ports ?? {});
  if (portMap === null) return place("ports", `must be at most ${PORTS_MAX} ports by port`);
  return { role, labels: named, bindAddress, portMap };
}

function place(field: string, what: string): string {
  const remedy = "make the bootstrap with `graylane envoy-bootstrap`";
  return `node.metadata.${METADATA_KEY}.${field} ${what}; ${remedy}`;
}

function objectOf(value: Json | undefined): JsonObject {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? (value as JsonObject) : {};
}

function textsOf(value: Json, max: number): Record<string, string> | null {
  const entries = Object.entries(objectOf(value));
  if (entries.length > max) return null;
  const texts = entries.flatMap(([name, text]) =>
    typeof text === "string" ? [[name, text] as const] : [],
  );
  return texts.length === entries.length ? Object.fromEntries(texts) : null;
}

function portsOf(value: Json): Record<string, number> | null {
  const entries = Object.entries(objectOf(value));
  if (entries.length > PORTS_MAX) return null;
  const ports = entries.flatMap(([from, to]) =>
    isPort(Number(from)) && typeof to === "number" && isPort(to) ? [[from, to] as const] : [],
  );
  return ports.length === entries.length ? Object.fromEntries(ports) : null;
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value > 0 && value <= PORT_MAX;
}
