//! Who a gateway says it is: what plug-ins read of Envoy's `envoy.config.core.v3.Node`.

import { NO_LOCALITY } from "./metadata.ts";
import type { Locality } from "./metadata.ts";

export interface ProxyNode {
  readonly id: string;
  readonly cluster: string;
  readonly locality: Locality;
  /** As JSON has it. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

export const UNNAMED_NODE: ProxyNode = {
  ...{ id: "", cluster: "", metadata: {} },
  locality: NO_LOCALITY,
};

/** All gateways of `graylane up` are one process. */
export const GATEWAY_NODE: ProxyNode = {
  ...{ id: "gateway", cluster: "graylane", locality: NO_LOCALITY },
  metadata: { graylane: { role: "gateway" } },
};

/** `--service-node`, `--service-cluster` and `--service-zone`; absent: not given. */
export interface NodeFlags {
  readonly id?: string;
  readonly cluster?: string;
  readonly zone?: string;
}
