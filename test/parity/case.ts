//! The form of the parity suite's cases.

import type { Resource } from "../../src/resources/object.ts";
import type { Engine } from "./engine.ts";
import type { Question } from "./question.ts";

export interface Want {
  /** Absent: 200. */
  readonly status?: number;
  /** The Deployments that answered, in their order; behind them the status of a failed call. */
  readonly hops?: string;
  /** The lane's header at each hop; `-`: none. */
  readonly lanes?: string;
  /** What the first pod was sent; null: no such field. */
  readonly seen?: Readonly<Record<string, string | null>>;
  readonly path?: string;
  readonly host?: string;
  readonly method?: string;
  /** Of the answer; null: no such field. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Of an answer that no pod gave. */
  readonly text?: string | RegExp;
  /** The body that the first pod got. */
  readonly body?: string;
}

export interface ParityCase {
  /** The behaviour that it covers. */
  readonly name: string;
  /** Of several the last one counts. */
  readonly ask: Question | readonly Question[];
  readonly want: Want;
  /** What Envoys do instead: a difference that docs/envoy.md names. */
  readonly onEnvoy?: Want;
  /** Asks again until it is so: for what comes by itself, such as a mirrored request. */
  readonly isEventual?: boolean;
}

export interface Refused {
  readonly kind: "VirtualService" | "Lane" | "LaneGroup" | "DestinationRule" | "Gateway";
  readonly name: string;
  readonly says: RegExp;
}

export interface ParityGroup {
  readonly name: string;
  /** All objects beside the topology. */
  readonly objects: readonly Resource[];
  /** Nothing of the group before is there any more: shares go by what was. */
  readonly isFresh?: true;
  /** Deployments with another number of pods than one. */
  readonly replicas?: Readonly<Record<string, number>>;
  /** Done in each engine after the objects are in use. */
  readonly prepare?: (engine: Engine) => Promise<void>;
  /** What Envoys cannot do, and say so (GL0701). */
  readonly refused?: readonly Refused[];
  readonly cases: readonly ParityCase[];
}
