//! Header operations of routes: remove, set, add, in that order. Framing stays the codec's.

import type { Headers } from "../../http/headers.ts";
import type { HeaderOperations } from "../../snapshot/snapshot.ts";

/** A route that removed or set these would let one message be read as two (smuggling). */
const FRAMING: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "upgrade",
]);

export function applyHeaderOperations(operations: HeaderOperations, headers: Headers): void {
  for (const name of operations.remove) {
    if (!FRAMING.has(name) && name !== "host") headers.remove(name);
  }
  for (const [name, value] of operations.set) {
    if (isWritable(name)) headers.set(fieldOf(name), value);
  }
  for (const [name, value] of operations.add) {
    if (name === "host" || name === ":authority") headers.set("host", value);
    else if (isWritable(name)) headers.add(name, value);
  }
}

/** Of the pseudo names only `:authority` may be set: it is the field `host` (as in Istio). */
function isWritable(name: string): boolean {
  return name.startsWith(":") ? name === ":authority" : !FRAMING.has(name);
}

function fieldOf(name: string): string {
  return name === ":authority" ? "host" : name;
}
