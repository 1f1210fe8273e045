//! Who a gateway says it is: what plug-ins read of Envoy's `envoy.config.core.v3.Node`.

export interface ProxyNode {
  readonly id: string;
  readonly cluster: string;
  readonly locality: { readonly region: string; readonly zone: string; readonly subZone: string };
  /** As JSON has it. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

export const UNNAMED_NODE: ProxyNode = {
  ...{ id: "", cluster: "", metadata: {} },
  locality: { region: "", zone: "", subZone: "" },
};

/** `--service-node`, `--service-cluster` and `--service-zone`; absent: not given. */
export interface NodeFlags {
  readonly id?: string;
  readonly cluster?: string;
  readonly zone?: string;
}
