//! Shared queues. A later part: every call answers UNIMPLEMENTED.

import { Status } from "../enums.ts";
import type { HostFunctions } from "./imports.ts";

export function sharedQueueFunctions(): HostFunctions {
  const unimplemented = (): Status => Status.unimplemented;
  return {
    proxy_register_shared_queue: unimplemented,
    proxy_resolve_shared_queue: unimplemented,
    proxy_enqueue_shared_queue: unimplemented,
    proxy_dequeue_shared_queue: unimplemented,
  };
}
