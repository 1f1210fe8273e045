//! Rules that read a caller's certificate where no gateway asks for one.

import { parseJsonPath } from "../base/json-path.ts";
import type { Condition, Gateway, LaneGroup } from "../snapshot/snapshot.ts";
import type { GroupModel } from "./lane-model.ts";
import type { MessageList } from "./messages.ts";

/** What only a certificate tells; an address tells the others. */
const CERTIFICATE_FIELDS: readonly unknown[] = ["identity", "dnsName", "serviceAccount"];

export function reportCallers(
  model: GroupModel,
  group: LaneGroup,
  parts: {
    readonly gateways: Readonly<Record<string, Gateway>>;
    readonly messages: MessageList;
  },
): void {
  if (group.gateways.some((name) => asksClients(parts.gateways[name]))) return;
  for (const { lane, resource } of model.lanes) {
    for (const place of ["rule", "forcedIn", "forcedOut"] as const) {
      const field = certificateField(lane[place]?.condition);
      if (field === null) continue;
      parts.messages.add(resource, {
        severity: "error",
        code: "GL0320",
        path: `spec.${place}`,
        message:
          `a condition reads the caller's ${field}, which only a certificate tells, and no ` +
          `gateway of the lane group ${model.name} asks for one: it is missing in every request`,
        remedy: "Write tls: {mode: MUTUAL} at a Gateway of the group, or read labels.KEY or pod.",
      });
    }
  }
}

function asksClients(gateway: Gateway | undefined): boolean {
  const servers = gateway?.listeners.flatMap(({ tls = [] }) => tls) ?? [];
  return servers.some(({ clientCa }) => clientCa !== "");
}

function certificateField(condition: Condition | undefined): string | null {
  if (condition === undefined) return null;
  if (condition.kind === "not") return certificateField(condition.of);
  if (condition.kind !== "test") {
    return condition.of.map(certificateField).find((field) => field !== null) ?? null;
  }
  const { kind, name } = condition.operand;
  if (kind !== "workload") return null;
  return CERTIFICATE_FIELDS.includes(parseJsonPath(name)?.[0]) ? name : null;
}
