//! A small configuration of lanes and routes as plain values, of which both the objects and the
//! oracle's answers are made. Nothing here knows Graylane's code.

export type Rule =
  | { readonly all: readonly Rule[] }
  | { readonly any: readonly Rule[] }
  | { readonly not: Rule }
  | Condition;

export interface Condition {
  readonly header?: string;
  readonly cookie?: string;
  readonly query?: string;
  readonly path?: true;
  readonly method?: true;
  /** A name in the claims of the request's token. */
  readonly claim?: string;
  readonly operator: string;
  readonly value?: string;
  readonly values?: readonly string[];
}

export interface WorldLane {
  readonly name: string;
  readonly tag: string;
  readonly label: readonly [key: string, value: string];
  /** None: whichever have such pods. */
  readonly services: readonly string[];
  readonly enabled: boolean;
  readonly priority: number;
  readonly rule: Rule | null;
  readonly forcedIn: Rule | null;
  readonly forcedOut: Rule | null;
  readonly parent: string | null;
}

export interface WorldTarget {
  readonly service: string;
  /** A lane. */
  readonly lane: string | null;
}

export interface WorldRoute {
  readonly prefix: string | null;
  readonly exact: string | null;
  /** The value that `x-a` must have. */
  readonly header: string | null;
  /** Null: a direct answer, 418. */
  readonly target: WorldTarget | null;
  readonly fallback: WorldTarget | null;
}

/** What a token must say, and where it stands. */
export interface WorldTokens {
  readonly issuer: string | null;
  readonly audience: string | null;
  readonly place: "header" | "cookie";
}

export interface World {
  /** In what lanes travel. */
  readonly mode: "header" | "baggage";
  /** Null: rules read no claims. */
  readonly tokens: WorldTokens | null;
  readonly members: readonly string[];
  readonly policy: "permissive" | "strict" | "chain";
  /** Another policy for one service. */
  readonly strictService: string | null;
  readonly isolated: boolean;
  readonly accepts: boolean;
  readonly lanes: readonly WorldLane[];
  readonly routes: readonly WorldRoute[];
}

export type ClaimValue = string | number | boolean | readonly (string | number)[];

/** Signed by `alg`, unless the flaw is in that. */
export interface WorldToken {
  readonly alg: string;
  readonly claims: Readonly<Record<string, ClaimValue>>;
  readonly issuer: string | null;
  readonly audiences: readonly string[];
  /** Why nobody may believe it, whatever is asked of tokens; null: nothing. */
  readonly flaw: "another key" | "expired" | "not yet" | "cut" | "none" | null;
}

export interface WorldRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Each a field of `baggage`, a list of members. */
  readonly baggage: readonly (readonly string[])[];
  readonly token: WorldToken | null;
  /** The services behind the first one. */
  readonly hops: readonly string[];
}

export interface SeenHop {
  readonly name: string;
  readonly tag: string | null;
  readonly baggage: string | null;
}

/** What a request came to. */
export interface Seen {
  readonly status: number;
  /** The Deployments, and the lane's header and the baggage that each was sent. */
  readonly hops: readonly SeenHop[];
  /** Of the last pod's call; 200 when it made none. */
  readonly lastStatus: number;
}
