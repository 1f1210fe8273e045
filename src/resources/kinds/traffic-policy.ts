//! The trafficPolicy of a DestinationRule: balancing, connection limits, outlier detection, TLS.

import Type from "../typebox.ts";
import type { TObject, TUnsafe } from "typebox";
import { clientTls } from "./client-tls.ts";
import type { ClientTlsSettings } from "./client-tls.ts";
import { mapOf, notHonoured, notHonouredFields, oneOf, port, text } from "./fields.ts";

export interface TrafficPolicy {
  readonly loadBalancer?: LoadBalancerSettings;
  readonly connectionPool?: ConnectionPoolSettings;
  readonly outlierDetection?: OutlierDetectionSettings;
  readonly tls?: ClientTlsSettings;
  readonly retryBudget?: RetryBudgetSettings;
  readonly proxyProtocol?: { readonly version?: "V1" | "V2" };
  /** In the place of the others at these ports, as in Istio: nothing is taken over from them. */
  readonly portLevelSettings?: readonly PortTrafficPolicy[];
}

export interface PortTrafficPolicy extends Omit<TrafficPolicy, "portLevelSettings"> {
  readonly port: { readonly number: number };
}

export interface LoadBalancerSettings {
  readonly simple?: "UNSPECIFIED" | "LEAST_CONN" | "RANDOM" | "ROUND_ROBIN" | "LEAST_REQUEST";
  readonly consistentHash?: ConsistentHash;
  /** With ROUND_ROBIN and LEAST_REQUEST: endpoints that have just come get less at first. */
  readonly warmup?: {
    readonly duration: string;
    readonly minimumPercent?: number;
    readonly aggression?: number;
  };
  readonly localityLbSetting?: LocalityLbSetting;
  /** The duration alone, as it was written before. */
  readonly warmupDurationSecs?: string;
}

export interface LocalityLbSetting {
  readonly enabled?: boolean;
  readonly distribute?: readonly {
    readonly from: string;
    /** Percent by place. */
    readonly to: Readonly<Record<string, number>>;
  }[];
  readonly failover?: readonly { readonly from: string; readonly to: string }[];
  readonly failoverPriority?: readonly string[];
}

export interface ConsistentHash {
  readonly httpHeaderName?: string;
  readonly httpCookie?: {
    readonly name: string;
    readonly path?: string;
    /** Absent: the client's own cookie is used, and none is given out. */
    readonly ttl?: string;
  };
  readonly useSourceIp?: boolean;
  readonly httpQueryParameterName?: string;
  readonly ringHash?: { readonly minimumRingSize?: number };
  readonly maglev?: { readonly tableSize?: number };
}

export interface ConnectionPoolSettings {
  readonly tcp?: {
    readonly maxConnections?: number;
    readonly connectTimeout?: string;
    readonly maxConnectionDuration?: string;
    readonly tcpKeepalive?: { readonly time?: string };
  };
  readonly http?: {
    readonly http1MaxPendingRequests?: number;
    readonly http2MaxRequests?: number;
    readonly maxRequestsPerConnection?: number;
    readonly maxRetries?: number;
    readonly maxConcurrentStreams?: number;
    readonly idleTimeout?: string;
    readonly h2UpgradePolicy?: "DEFAULT" | "DO_NOT_UPGRADE" | "UPGRADE";
    readonly useClientProtocol?: boolean;
  };
}

export interface RetryBudgetSettings {
  readonly percent?: number;
  readonly minRetryConcurrency?: number;
}

export interface OutlierDetectionSettings {
  readonly consecutive5xxErrors?: number;
  readonly consecutiveGatewayErrors?: number;
  readonly interval?: string;
  readonly baseEjectionTime?: string;
  readonly maxEjectionPercent?: number;
  readonly minHealthPercent?: number;
}

const count = (): TUnsafe<number> & { "~optional": true } =>
  Type.Optional(Type.Unsafe<number>({ type: "integer", minimum: 0, maximum: 4_294_967_295 }));
const percent = (): TUnsafe<number> & { "~optional": true } =>
  Type.Optional(Type.Unsafe<number>({ type: "integer", minimum: 0, maximum: 100 }));
const duration = (): TUnsafe<string> & { "~optional": true } => Type.Optional(text("duration"));

const PERCENT_ALL = 100;
const KEYS = ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"];

const consistentHash = Type.Object(
  {
    httpHeaderName: Type.Optional(text("header-name")),
    httpCookie: Type.Optional(
      Type.Object({
        name: text("header-name"),
        path: Type.Optional(text("ingress-path")),
        ttl: duration(),
        attributes: notHonoured(),
      }),
    ),
    useSourceIp: Type.Optional(Type.Boolean()),
    httpQueryParameterName: Type.Optional(text()),
    ringHash: Type.Optional(Type.Object({ minimumRingSize: count() })),
    maglev: Type.Optional(Type.Object({ tableSize: count() })),
    ...notHonouredFields("minimumRingSize"),
  },
  { exactlyOneOf: KEYS },
);

const localityLbSetting = Type.Object(
  {
    enabled: Type.Optional(Type.Boolean()),
    distribute: Type.Optional(
      Type.Array(
        Type.Object({
          from: text("locality-pattern"),
          to: mapOf(
            Type.Unsafe<number>({ type: "integer", minimum: 1, maximum: PERCENT_ALL }),
            "locality-pattern",
          ),
        }),
      ),
    ),
    failover: Type.Optional(
      Type.Array(Type.Object({ from: text("region"), to: text("region") }), { uniqueBy: ["from"] }),
    ),
    failoverPriority: Type.Optional(Type.Array(text("failover-label"))),
  },
  { atMostOneOf: ["distribute", "failover"] },
);

const balancers = [
  "UNSPECIFIED",
  "LEAST_CONN",
  "RANDOM",
  "PASSTHROUGH",
  "ROUND_ROBIN",
  "LEAST_REQUEST",
] as const;

const settings = {
  loadBalancer: Type.Optional(
    Type.Object(
      {
        simple: Type.Optional(
          oneOf(balancers, { honoured: balancers.filter((name) => name !== "PASSTHROUGH") }),
        ),
        consistentHash: Type.Optional(consistentHash),
        warmup: Type.Optional(
          Type.Object({
            duration: text("duration"),
            minimumPercent: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
            aggression: Type.Optional(Type.Number({ minimum: 1, maximum: 1_000 })),
          }),
        ),
        warmupDurationSecs: duration(),
        localityLbSetting: Type.Optional(localityLbSetting),
      },
      { atMostOneOf: ["simple", "consistentHash"] },
    ),
  ),
  connectionPool: Type.Optional(
    Type.Object({
      tcp: Type.Optional(
        Type.Object({
          maxConnections: count(),
          connectTimeout: duration(),
          maxConnectionDuration: duration(),
          tcpKeepalive: Type.Optional(
            Type.Object({ time: duration(), ...notHonouredFields("probes", "interval") }),
          ),
          ...notHonouredFields("idleTimeout"),
        }),
      ),
      http: Type.Optional(
        Type.Object({
          http1MaxPendingRequests: count(),
          http2MaxRequests: count(),
          maxRequestsPerConnection: count(),
          maxRetries: count(),
          idleTimeout: duration(),
          h2UpgradePolicy: Type.Optional(oneOf(["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"])),
          maxConcurrentStreams: count(),
          useClientProtocol: Type.Optional(Type.Boolean()),
        }),
      ),
    }),
  ),
  outlierDetection: Type.Optional(
    Type.Object({
      consecutive5xxErrors: count(),
      consecutiveGatewayErrors: count(),
      interval: duration(),
      baseEjectionTime: duration(),
      maxEjectionPercent: percent(),
      minHealthPercent: percent(),
      ...notHonouredFields(
        "consecutiveErrors",
        "consecutiveLocalOriginFailures",
        "splitExternalLocalOriginErrors",
      ),
    }),
  ),
  tls: Type.Optional(clientTls),
  retryBudget: Type.Optional(
    Type.Object({
      percent: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })),
      minRetryConcurrency: count(),
      ...notHonouredFields("budgetInterval"),
    }),
  ),
  proxyProtocol: Type.Optional(Type.Object({ version: Type.Optional(oneOf(["V1", "V2"])) })),
  ...notHonouredFields("tunnel"),
};

const trafficPolicySchema: TObject = Type.Object({
  ...settings,
  portLevelSettings: Type.Optional(
    Type.Array(Type.Object({ port: Type.Object({ number: port() }), ...settings })),
  ),
});

/** An optional `trafficPolicy`. */
export function trafficPolicy(): TUnsafe<TrafficPolicy> & { "~optional": true } {
  return Type.Optional(trafficPolicySchema as unknown as TUnsafe<TrafficPolicy>);
}
