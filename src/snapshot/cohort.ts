//! Shares of a lane group as data of the snapshot: which buckets of which base route are in a lane.

/** How a key becomes a bucket; see `lane/key-hash.ts`. */
export const KEY_HASHES = [
  "murmur3",
  "fnv1a",
  "sha256",
  "traffic-tag",
  "frontend-gray",
  "unleash",
] as const;

export type KeyHashName = (typeof KEY_HASHES)[number];

/** Where the key of a sticky share comes from. */
export type CohortKey =
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "cookie"; readonly name: string }
  /** A path into the claims of a verified token. */
  | { readonly kind: "claim"; readonly name: string }
  | { readonly kind: "clientIp" }
  /** A cookie that the gateway makes for whoever has none. */
  | { readonly kind: "issuedCookie"; readonly name: string; readonly maxAgeSeconds: number };

/** What decides who gets which bucket. Changing any of it deals all users anew. */
export interface CohortDeal {
  readonly key: CohortKey;
  readonly hash: KeyHashName;
  readonly salt: string;
  readonly modulo: number;
}

/** The buckets [from, to) are in the lane. */
export interface CohortInterval {
  readonly fromPpm: number;
  readonly toPpm: number;
  readonly lane: string;
}

export interface Cohorts {
  /** Null: a new draw for each request. */
  readonly deal: CohortDeal | null;
  /** By table name, intervals in rising order. `*` is for every base route not in `routes`. */
  readonly tables: Readonly<Record<string, readonly CohortInterval[]>>;
  /** From the id of a route to the name of its table. */
  readonly routes: Readonly<Record<string, string>>;
}
