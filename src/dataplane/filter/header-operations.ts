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

/** The same with values as wire texts. */
const onTheWire = new WeakMap<HeaderOperations, HeaderOperations>();

export function applyHeaderOperations(operations: HeaderOperations, headers: Headers): void {
  for (const name of operations.remove) {
    if (!FRAMING.has(name) && name !== "host") headers.remove(name);
  }
  if (operations.set.length === 0 && operations.add.length === 0) return;
  const { set, add } = wireOperations(operations);
  for (const [name, value] of set) {
    if (isWritable(name)) headers.set(fieldOf(name), value);
  }
  for (const [name, value] of add) {
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

function wireOperations(operations: HeaderOperations): HeaderOperations {
  const known = onTheWire.get(operations);
  if (known !== undefined) return known;
  const { remove, set, add } = operations;
  const made = { remove, set: set.map(onWire), add: add.map(onWire) };
  onTheWire.set(operations, made);
  return made;
}

/** One character for each byte of UTF-8, as the codec writes them. */
function onWire([name, value]: readonly [string, string]): readonly [string, string] {
  return [name, Buffer.from(value, "utf8").toString("latin1")];
}
