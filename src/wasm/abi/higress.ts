//! What Higress adds in ABI 0.2.100. A later part: every call answers UNIMPLEMENTED.

import { Status } from "../enums.ts";
import type { HostFunctions } from "./imports.ts";

export function higressFunctions(): HostFunctions {
  const unimplemented = (): Status => Status.unimplemented;
  return {
    proxy_inject_encoded_data_to_filter_chain: unimplemented,
    proxy_get_upstream_hosts: unimplemented,
    proxy_set_upstream_override_host: unimplemented,
  };
}
