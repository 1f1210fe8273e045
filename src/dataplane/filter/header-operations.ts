//! Header operations of routes: remove, set, add, in that order.

import type { Headers } from "../../http/headers.ts";
import type { HeaderOperations } from "../../snapshot/snapshot.ts";

export function applyHeaderOperations(operations: HeaderOperations, headers: Headers): void {
  for (const name of operations.remove) headers.remove(name);
  for (const [name, value] of operations.set) headers.set(name, value);
  for (const [name, value] of operations.add) headers.add(name, value);
}
