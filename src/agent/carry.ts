//! The context of the request that an app is working on, and which of its headers are carried on.
//!
//! An `AsyncLocalStorage` follows the work through promises, timers, streams and whatever is bound
//! to its `AsyncResource`. Nothing here may throw into the app: what cannot be carried is not.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Direct } from "./endpoints/direct.ts";

/** Headers to set on calls, names lower-case. Empty: the request brought none of them. */
export type Carried = readonly (readonly [name: string, value: string])[];

/** What `GRAYLANE_CARRY` stands for when it is not set and there is no sidecar that says it. */
const CARRIED_BY_DEFAULT: readonly string[] = [
  "baggage",
  "traceparent",
  "tracestate",
  "x-request-id",
  "x-asm-prefer-tag",
  "x-mse-tag",
];
/** Set by the pod's sidecar on each request, and by nobody else: it replaces what callers send. */
const CARRY_HEADER = "x-graylane-carry";
const NAMES_MAX = 32;
/** About one message or its sender: carried on, they would mean something else, or be stolen. */
const NEVER_CARRIED = new RegExp(
  [
    "^:|^(?:host|connection|keep-alive|te|trailer|upgrade|expect|range|transfer-encoding)$",
    "^(?:authorization|cookie|set-cookie|x-graylane-carry)$",
    "^(?:content|accept|if|proxy|x-forwarded)-|^accept$",
  ].join("|"),
);
/** Names without a dot, of clusters and of private networks (RFC 1918, 4193, 6762). */
const INSIDE = /^(?:[^.]+|.*\.(?:local|internal|svc|cluster|lan|home\.arpa))$/;
const PRIVATE_ADDRESS =
  /^(?:127\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)[\d.]+$|^\[?(?:::1|f[cd][\da-f]*:)/i;

const storage = new AsyncLocalStorage<Carried>();
export const NOTHING: Carried = [];

export interface CarrySettings {
  /** Names that every request's context has; the sidecar adds those of its lane groups. */
  readonly names: readonly string[];
  /** Address of the sidecar, which takes the lane from calls that leave the mesh; or null. */
  readonly sidecarHost: string | null;
  /** Endings of host names to which TLS calls carry context; null: what looks internal. */
  readonly hosts: readonly string[] | null;
  /** Picks the endpoints of calls by itself; null: it does not. */
  readonly direct: Direct | null;
}

/** Null: `GRAYLANE_CARRY=off`. */
export function carrySettings(
  env: NodeJS.ProcessEnv,
  sidecarHost: string | null,
): CarrySettings | null {
  const words = env["GRAYLANE_CARRY"];
  if (words?.trim().toLowerCase() === "off") return null;
  const defaults = sidecarHost === null ? CARRIED_BY_DEFAULT : [];
  const names = words === undefined ? defaults : listOf(words);
  const hosts = env["GRAYLANE_CARRY_HOSTS"];
  return {
    names: names.filter((name) => !NEVER_CARRIED.test(name)),
    sidecarHost,
    hosts: hosts === undefined ? null : listOf(hosts),
    direct: null,
  };
}

function listOf(text: string): string[] {
  return text
    .split(",")
    .map((word) => word.trim().toLowerCase())
    .filter((word) => word !== "")
    .slice(0, NAMES_MAX);
}

/** The part of an inbound request's headers that is carried on. */
export function pick(headers: Readonly<Record<string, unknown>>, settings: CarrySettings): Carried {
  const told = settings.sidecarHost === null ? undefined : headers[CARRY_HEADER];
  const more = typeof told === "string" ? listOf(told) : (settings.direct?.names() ?? []);
  const names =
    more.length === 0
      ? settings.names
      : [...settings.names, ...more.filter((name) => !NEVER_CARRIED.test(name))];
  const carried: [string, string][] = [];
  for (const name of names) {
    const value = headers[name];
    const text = Array.isArray(value) ? value.join(", ") : value;
    if (typeof text !== "string" || text === "") continue;
    if (!carried.some(([known]) => known === name)) carried.push([name, text]);
  }
  return carried.length === 0 ? NOTHING : carried;
}

/** Runs the handling of a request; also with nothing to carry, so that no other's is inherited. */
export function runWith<Result>(carried: Carried, handle: () => Result): Result {
  return storage.run(carried, handle);
}

/** What the request at hand carries; empty outside any request. */
export function current(): Carried {
  return storage.getStore() ?? NOTHING;
}

/**
 * The listeners of an emitter run in the request's context. Node emits the events of a stream in
 * the context of its connection, which knows nothing of the request.
 */
export function bindEmitter(emitter: object, carried: Carried): void {
  const bound = emitter as { emit: (...words: unknown[]) => boolean };
  const { emit } = bound;
  Object.defineProperty(bound, "emit", {
    configurable: true,
    writable: true,
    enumerable: false,
    value: function (this: unknown, ...words: unknown[]): boolean {
      return storage.run(carried, () => Reflect.apply(emit, this, words));
    },
  });
}

/** Whether a call may carry context: to the sidecar, and never to other people's hosts. */
export function mayCarryTo(host: string, { hosts, sidecarHost }: CarrySettings): boolean {
  if (host === sidecarHost) return true;
  const name = host.toLowerCase().replace(/\.$/, "");
  if (hosts !== null) return hosts.some((ending) => name === ending || name.endsWith(ending));
  return INSIDE.test(name) || PRIVATE_ADDRESS.test(name);
}

/** Does what may fail without the app hearing of it. */
export function quietly(act: () => void): void {
  attempt(act);
}

/** What `act` returns; null when it fails: the app goes on without this part of us. */
export function attempt<Result>(act: () => Result): Result | null {
  try {
    return act();
  } catch {
    return null;
  }
}
