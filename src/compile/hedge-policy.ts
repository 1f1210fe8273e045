//! The annotation `graylane.io/hedge-policy` of a VirtualService: Envoy's HedgePolicy as JSON.

import type { VirtualService } from "../resources/kinds/virtual-service.ts";
import type { MessageList } from "./messages.ts";

export const HEDGE_ANNOTATION = "graylane.io/hedge-policy";

/** Of Envoy's fields the one that Envoy itself has implemented. */
const FIELD = "hedge_on_per_try_timeout";

export function isHedged(owner: VirtualService): boolean {
  const read = readPolicy(owner);
  return typeof read === "boolean" && read;
}

/** Says what of the annotation cannot be read, or has no effect. */
export function reportHedging(owner: VirtualService, messages: MessageList): void {
  const read = readPolicy(owner);
  const path = `metadata.annotations["${HEDGE_ANNOTATION}"]`;
  if (typeof read === "string") {
    messages.add(owner, {
      severity: "error",
      code: "GL0283",
      path,
      message: `${read}: no try is hedged`,
      remedy: `Write {"${FIELD}": true}.`,
    });
  } else if (read && !hasTryTime(owner)) {
    messages.add(owner, {
      severity: "warning",
      code: "GL0284",
      path,
      message: "no route has retries with attempts and a perTryTimeout, so no try is hedged",
      remedy: "Write retries.attempts and retries.perTryTimeout.",
    });
  }
}

function hasTryTime({ spec: { http = [] } }: VirtualService): boolean {
  return http.some(({ retries }) => retries?.perTryTimeout !== undefined && retries.attempts > 0);
}

/** A text: why it cannot be read. */
function readPolicy({ metadata: { annotations = {} } }: VirtualService): boolean | string {
  const text = annotations[HEDGE_ANNOTATION];
  if (text === undefined) return false;
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {
    // Said below.
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return "the text is no JSON object";
  }
  const unknown = Object.keys(value).find((key) => key !== FIELD);
  if (unknown !== undefined) return `the field ${unknown} is not known here`;
  const asked: unknown = (value as Readonly<Record<string, unknown>>)[FIELD] ?? false;
  return typeof asked === "boolean" ? asked : `${FIELD} is neither true nor false`;
}
