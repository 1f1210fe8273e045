//! How a gateway takes requests in from its clients: part of the snapshot, set by annotations.

/** See docs/http.md for the annotations and their defaults. */
export interface EdgeSettings {
  /** How many proxies in front of the gateway append to X-Forwarded-For and can be believed. */
  readonly trustedProxies: number;
  readonly path: {
    readonly normalize: boolean;
    readonly mergeSlashes: boolean;
    readonly escapedSlashes: "keep" | "reject" | "decode";
  };
  /** The name in Via; `""` for no Via. */
  readonly via: string;
  readonly refuseAbsoluteForm: boolean;
  /** Says the authority and port to the upstream, where no proxy before has said them. */
  readonly addForwardedHostPort: boolean;
  /** Where the gateway is, `region/zone/sub-zone`; absent: not known. */
  readonly locality?: string;
  /** Connections begin with a PROXY header: each must, or each may. Absent: none does. */
  readonly proxyProtocol?: "required" | "allowed";
}
