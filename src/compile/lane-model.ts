//! What LaneGroup and ASMSwimLaneGroup are both turned into while references are resolved.

import type { GroupRatio, LaneRatio } from "../resources/kinds/ratio.ts";
import type { Secret } from "../resources/kinds/secret.ts";
import type { Resource } from "../resources/object.ts";
import type {
  Baseline,
  FallbackPolicy,
  Lane,
  LaneContext,
  LaneSignature,
  OperandSources,
} from "../snapshot/snapshot.ts";
import type { KeySetMap } from "./key-sets.ts";
import type { Gateways } from "./gateway.ts";
import type { MessageList } from "./messages.ts";
import type { ServiceMap } from "./service.ts";

/** Pod labels that mark a canary whatever lanes exist: MSE's and ASM's. */
export const LANE_LABEL_KEYS: readonly string[] = ["ASM_TRAFFIC_TAG", "alicloud.service.tag"];

export interface NamedReference {
  /** `namespace/name`, or a lane's name. */
  readonly key: string;
  /** Path into the group's (or lane's) object. */
  readonly path: string;
}

export interface GroupModel {
  /** The key in the snapshot. */
  readonly name: string;
  readonly resource: Resource;
  readonly gateways: readonly NamedReference[];
  readonly services: readonly NamedReference[];
  readonly baseline: Baseline;
  readonly baselinePath: string;
  readonly fallback: FallbackPolicy;
  readonly serviceFallback: readonly {
    readonly service: NamedReference;
    readonly lane: NamedReference | null;
    readonly policy: FallbackPolicy | null;
  }[];
  readonly isolated: boolean;
  /** Null: every route of the gateways. */
  readonly entryRoutes:
    | readonly {
        readonly virtualService: NamedReference;
        /** Absent: any. */
        readonly kind?: string;
        readonly route: string | null;
      }[]
    | null;
  readonly operands: OperandSources | null;
  readonly context: LaneContext;
  /** Null: tags travel as they are. "unusable": a message says why nothing can be signed. */
  readonly signature: LaneSignature | "unusable" | null;
  /** Lower-case. */
  readonly outsideHosts: readonly string[];
  /** Null: callers on the gateway's machine. */
  readonly traceFrom: readonly string[] | null;
  readonly traceTokenDigest: string | null;
  readonly acceptFromClients: boolean;
  /** Who is in the lanes' shares. Undefined: a new draw for each request. */
  readonly ratio: GroupRatio | undefined;
  readonly ratioPath: string;
  /** In decision order. */
  readonly lanes: readonly LaneModel[];
}

export interface LaneModel {
  readonly lane: Lane;
  readonly resource: Resource;
  readonly services: readonly NamedReference[];
  readonly selectorPath: string;
  readonly tagPath: string;
  readonly rulePath: string;
  readonly ratio: LaneRatio | undefined;
  readonly ratioPath: string;
  readonly parent: NamedReference | null;
  /** Closed, since its time has passed. */
  readonly isExpired: boolean;
}

/** What translation needs beside the resources. */
export interface LaneScope {
  readonly gateways: Gateways;
  readonly services: ServiceMap;
  readonly secrets: readonly Secret[];
  readonly messages: MessageList;
  /** Null: nobody fetches keys for Envoys. */
  readonly keySets: KeySetMap | null;
  /** Wall time, for the expiry of lanes; null: nothing expires. */
  readonly nowMs: number | null;
}
