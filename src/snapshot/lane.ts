//! Lane groups, lanes and the decision program, as part of the snapshot.

import type { KeyHashName } from "./cohort.ts";
import type { Cohorts } from "./cohort.ts";
import type { ObjectRef } from "./snapshot.ts";

export interface LaneGroup {
  /** The key in `Snapshot.laneGroups`. */
  readonly name: string;
  readonly source: ObjectRef;
  /** Keys of `Snapshot.gateways` where lanes of this group are entered. */
  readonly gateways: readonly string[];
  /** Routes at which lanes are entered by rule or share; absent: every route of the gateways. */
  readonly entryRoutes?: readonly EntryRoute[];
  /** Member services, `<namespace>/<name>`. */
  readonly services: readonly string[];
  readonly baseline: Baseline;
  readonly fallback: FallbackPolicy;
  /** Per service (`<namespace>/<name>`): the lane that stands in, instead of the baseline. */
  readonly serviceFallback: Readonly<Record<string, string>>;
  /** Per service: another policy than the group's. Absent: none has one. */
  readonly servicePolicies?: Readonly<Record<string, FallbackPolicy>>;
  /** ASM's strict mode: at a sidecar the caller's pod decides the lane, whatever the context. */
  readonly isolated?: true;
  readonly context: LaneContext;
  /** The tag travels signed, and no other is believed. Absent: it travels as it is. */
  readonly signature?: LaneSignature;
  /** Hosts outside the mesh that are sent the context: names, `*.name`, `*`. Absent: none. */
  readonly outsideHosts?: readonly string[];
  /** Networks and addresses of callers who are told which lane served. Absent: this machine's. */
  readonly traceFrom?: readonly string[];
  /** SHA-256 (base64) of a token whose senders are told too; absent: there is none. */
  readonly traceTokenDigest?: string;
  /** Client-sent lane context is removed at an untrusted listener (design: trust). */
  readonly stripFromClients: boolean;
  /** Where rules take what they read from; absent: the defaults. */
  readonly operands?: OperandSources;
  /** Absent: no lane has a share. */
  readonly cohorts?: Cohorts;
  /** In decision order: priority, then name. */
  readonly lanes: readonly Lane[];
}

/** `chain`: to the lane's parents in turn, then as `permissive`. */
export type FallbackPolicy = "permissive" | "strict" | "chain";

/** One VirtualService or other object with routes, or its routes of one name. */
export interface EntryRoute {
  /** `<namespace>/<name>`. */
  readonly virtualService: string;
  /** Absent: an object of any kind with that name. */
  readonly kind?: string;
  /** `Route.label`; null: all routes of the object. */
  readonly route: string | null;
}

export type Baseline =
  /** Pods that carry none of these label keys. */
  | { readonly kind: "untagged"; readonly labelKeys: readonly string[] }
  | { readonly kind: "lane"; readonly lane: string };

export type LaneContext =
  | { readonly mode: "header"; readonly routeHeader: string }
  /** The tag travels as the member `baggageKey` of W3C baggage too; OpenTelemetry forwards it. */
  | {
      readonly mode: "baggage";
      readonly routeHeader: string;
      readonly baggageKey: string;
      /** Client-sent members of that name are removed at the gateway. */
      readonly stripFromClients: boolean;
    }
  /** The app forwards only `traceHeader`; the sidecar restores the lane from its table. */
  | { readonly mode: "traceId"; readonly routeHeader: string; readonly traceHeader: string };

export interface LaneSignature {
  /** All of them check; the first signs. None: no context is written, and none is believed. */
  readonly keys: readonly SignatureKey[];
  /** A tag that was signed in another epoch is not believed. */
  readonly epoch: number;
  /** For how long a signed tag is good, at least. */
  readonly lifetimeMs: number;
}

export interface SignatureKey {
  /** Letters, digits, `-`, `_` and `.`: it stands in what is signed. */
  readonly id: string;
  /** Base64. Travels to the workers in here, and is printed nowhere. */
  readonly signingSecret: string;
}

export interface Lane {
  readonly name: string;
  /** The value of the route header; the lane's name unless the resource says otherwise. */
  readonly tag: string;
  /** Labels that a pod of this lane carries, all of them. */
  readonly selector: Readonly<Record<string, string>>;
  /** Member services that this lane has a copy of; empty: whichever have such pods. */
  readonly services: readonly string[];
  readonly enabled: boolean;
  /** Content rule, or null when nothing but a route or the context leads into this lane. */
  readonly rule: DecisionRule | null;
  /** Who meets it is in this lane before any rule is asked; absent: nobody. */
  readonly forcedIn?: DecisionRule;
  /** Who meets it is never in this lane by `forcedIn`, rule or share; absent: nobody. */
  readonly forcedOut?: DecisionRule;
  /** The fallback policy `chain`: the lanes to try in turn. Absent: none. */
  readonly parents?: readonly string[];
}

/** One rule of the decision program: versioned data with a closed set of operands and operators. */
export interface DecisionRule {
  readonly programVersion: 2;
  readonly condition: Condition;
}

export type Condition =
  /** True when it has no member. */
  | { readonly kind: "all"; readonly of: readonly Condition[] }
  /** False when it has no member. */
  | { readonly kind: "any"; readonly of: readonly Condition[] }
  | { readonly kind: "not"; readonly of: Condition }
  | Test;

/** One operand compared with constants. */
export interface Test {
  readonly kind: "test";
  readonly operand: Operand;
  readonly operator: Operator;
  /**
   * None for `exists` and `absent`; at least one for `in`, `notIn` and `cidr`; else exactly one.
   * Numbers are decimal text.
   */
  readonly values: readonly string[];
  /** Of the operator `percentage`; absent: `fnv1a`. */
  readonly hash?: KeyHashName;
}

/** `name` is empty for the operands of which a request has one. */
export interface Operand {
  readonly kind: OperandKind;
  readonly name: string;
}

export type OperandKind =
  /** Name lower-case; of several fields of the name the first. */
  | "header"
  | "cookie"
  /** A query parameter, percent-decoded; of several the first. */
  | "query"
  | "method"
  /** Without the query, as it was sent. */
  | "path"
  /** Lower-case, without port. */
  | "host"
  | "clientIp"
  /** A path into the body as JSON. */
  | "bodyJson"
  /** A field of the body as a form; of several of a name the first. */
  | "bodyForm"
  /** Path into the claims of a verified JWT: `sub`, `realm.role`. */
  | "claim"
  /** Of the client's address: `country`, or a path into the database's record. */
  | "geo"
  /** Path into what is known of the caller: `identity`, `labels.app`. */
  | "workload";

/**
 * A missing operand: every operator is false but `!=`, `notIn` and `absent`.
 * One that cannot be read as the operator needs it (a number, a version, an address): false.
 */
export type Operator =
  | "=="
  | "!="
  | "in"
  | "notIn"
  | "prefix"
  | "suffix"
  | "contains"
  /** RE2 syntax, full match. */
  | "regex"
  | "exists"
  | "absent"
  | "<"
  | "<="
  | ">"
  | ">="
  /** A range as npm writes it, `>=2.1.0 <3`; pre-releases count like any version. */
  | "semver"
  /** An address within one of the networks. */
  | "cidr"
  /** hash(operand) mod 100 < value. */
  | "percentage";

export interface TokenSettings {
  /** Absent: any issuer whose key it is. */
  readonly issuer?: string;
  /** One of them must be the token's; absent: any. */
  readonly audiences?: readonly string[];
  readonly keys:
    | { readonly kind: "inline"; readonly jwks: string }
    /** `fetched`: what the control plane has found there, for Envoys; absent: nothing. */
    | { readonly kind: "remote"; readonly uri: string; readonly fetched?: string };
  /** Where requests carry the token; a header's name is lower-case. */
  readonly from: { readonly kind: "header" | "cookie" | "query"; readonly name: string };
}

/** Signatures with public keys only: with `none` or HS256 anybody could sign. */
export const TOKEN_ALGORITHMS: readonly string[] = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA"],
];
/** A longer token is not looked at. */
export const TOKEN_CHARS_MAX = 8_192;

/** How much of a body rules read when the lane group does not say. */
export const BODY_BYTES_DEFAULT = 65_536;

export interface OperandSources {
  /** Proxies before the gateway whose `x-forwarded-for` is believed. */
  readonly trustedHops: number;
  /** A longer body is not read: its operands are missing. Absent: `BODY_BYTES_DEFAULT`. */
  readonly bodyBytesMax?: number;
  /** How tokens are verified; absent: claims are missing. */
  readonly tokens?: TokenSettings;
  /** Path of a MaxMind database; absent: places are missing. */
  readonly geoDatabase?: string;
}
