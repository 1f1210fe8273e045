//! Tells of a verdict on an object that has changed by an Event, which `kubectl describe` shows.
//!
//! <https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>

import { member } from "../../resources/kinds/member.ts";
import type { StatusWrite } from "../publish/object-status.ts";

const COMPONENT = "graylane";
/** The API server's limit. */
const MESSAGE_CHARS_MAX = 1_024;

export interface VerdictEvent {
  readonly metadata: { readonly generateName: string; readonly namespace: string };
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
  readonly [other: string]: unknown;
}

/**
 * Null when there is nothing to tell: the verdict is as it was, or it is the first and a good one.
 * Of thousands of objects that are taken without a word nobody wants to read.
 */
export function verdictEvent(
  { resource, status }: StatusWrite,
  nowText: string,
): VerdictEvent | null {
  const [before, now] = [verdictOf(resource.status), verdictOf(status)];
  if (now === null || (before !== null && isSame(before, now))) return null;
  const isGood = now.status === "True" && now.message === "";
  if (before === null && isGood) return null;
  const { name, namespace = "default", uid, resourceVersion } = resource.metadata;
  const { apiVersion, kind } = resource;
  return {
    ...{ apiVersion: "v1", kind: "Event", metadata: { generateName: `${name}.`, namespace } },
    involvedObject: {
      ...{ apiVersion, kind, name, uid, resourceVersion },
      ...(resource.metadata.namespace === undefined ? {} : { namespace }),
    },
    ...{ type: isGood ? "Normal" : "Warning", reason: now.reason },
    message: (now.message === "" ? "nothing is wrong any more" : now.message).slice(
      0,
      MESSAGE_CHARS_MAX,
    ),
    ...{ source: { component: COMPONENT }, count: 1 },
    ...{ firstTimestamp: nowText, lastTimestamp: nowText },
  };
}

interface Verdict {
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

function verdictOf(status: unknown): Verdict | null {
  const conditions = member(status, "conditions");
  const all = Array.isArray(conditions) ? (conditions as readonly unknown[]) : [];
  const found = all.find((one) => member(one, "type") === "Accepted");
  if (found === undefined) return null;
  const text = (field: string): string => {
    const value = member(found, field);
    return typeof value === "string" ? value : "";
  };
  return { status: text("status"), reason: text("reason"), message: text("message") };
}

function isSame(one: Verdict, other: Verdict): boolean {
  return (
    one.status === other.status && one.reason === other.reason && one.message === other.message
  );
}
