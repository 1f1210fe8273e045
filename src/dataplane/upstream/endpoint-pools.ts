//! How the endpoints of a cluster are reached where that takes more than a connection in clear.

import type { UpstreamPool } from "./upstream.ts";

export interface EndpointPools {
  /** A text: why there is none, after the name of the service. */
  pool(address: string, port: number, isHttp2: boolean): UpstreamPool | string;
  /** Exchanges at an endpoint, without making a pool for it. */
  activeCount(endpoint: { readonly address: string; readonly port: number }): number;
}
