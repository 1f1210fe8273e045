//! The numbers of the Proxy-Wasm ABI, named as in proxy-wasm/spec and Envoy's C++ host.

/** Result of every host function. */
export const Status = {
  ok: 0,
  notFound: 1,
  badArgument: 2,
  serializationFailure: 3,
  parseFailure: 4,
  invalidMemoryAccess: 6,
  empty: 7,
  casMismatch: 8,
  internalFailure: 10,
  unimplemented: 12,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

export const LogLevel = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, critical: 5 } as const;
export type LogLevel = (typeof LogLevel)[keyof typeof LogLevel];

export const MapKind = {
  requestHeaders: 0,
  requestTrailers: 1,
  responseHeaders: 2,
  responseTrailers: 3,
  grpcInitialMetadata: 4,
  grpcTrailingMetadata: 5,
  httpCallResponseHeaders: 6,
  httpCallResponseTrailers: 7,
} as const;
export type MapKind = (typeof MapKind)[keyof typeof MapKind];

/** The map kinds that belong to a stream; the others belong to a call a plug-in made. */
export type StreamMapKind =
  | typeof MapKind.requestHeaders
  | typeof MapKind.requestTrailers
  | typeof MapKind.responseHeaders
  | typeof MapKind.responseTrailers;

export type TrailersKind = typeof MapKind.requestTrailers | typeof MapKind.responseTrailers;

export const BufferKind = {
  requestBody: 0,
  responseBody: 1,
  downstreamData: 2,
  upstreamData: 3,
  httpCallResponseBody: 4,
  grpcMessage: 5,
  vmConfiguration: 6,
  pluginConfiguration: 7,
  callData: 8,
  /** Higress' own. */
  redisReply: 9,
} as const;
export type BufferKind = (typeof BufferKind)[keyof typeof BufferKind];

export const StreamKind = { request: 0, response: 1, downstream: 2, upstream: 3 } as const;
export type StreamKind = (typeof StreamKind)[keyof typeof StreamKind];

/** Who has closed a connection. */
export const CloseType = { unknown: 0, local: 1, remote: 2 } as const;
export type CloseType = (typeof CloseType)[keyof typeof CloseType];

export const MetricType = { counter: 0, gauge: 1, histogram: 2 } as const;
export type MetricType = (typeof MetricType)[keyof typeof MetricType];

/** How long what a plug-in stores is there: Envoy's numbers in `declare_property`. */
export const LifeSpan = {
  filterChain: 0,
  /** Also for the same request when it runs through the filters again: nothing does that here. */
  request: 1,
  /** For all exchanges of the client's connection. */
  connection: 2,
} as const;
export type LifeSpan = (typeof LifeSpan)[keyof typeof LifeSpan];

/** What a stream callback asks of the embedder. */
export const StreamAction = {
  /** Go on with the next filter. */
  continue: 0,
  /** Hold everything of this direction until `continueStream`, or a local response. */
  stopAll: 1,
  /** Hold the headers, but go on calling this plug-in with the body (Higress' 0.2.100). */
  stop: 2,
  /** The guest trapped, or its VM had failed before: follow the fail mode. See `context.trap`. */
  trapped: -1,
} as const;
export type StreamAction = (typeof StreamAction)[keyof typeof StreamAction];

/** What a callback of a connection asks of the embedder. */
export const ConnectionAction = {
  /** Go on with the next filter. */
  continue: 0,
  /** Keep the bytes, and show them again with the next ones. */
  stop: 1,
  /** As `StreamAction.trapped`. */
  trapped: -1,
} as const;
export type ConnectionAction = (typeof ConnectionAction)[keyof typeof ConnectionAction];

/** What a body or trailers callback asks of the embedder. */
export const BodyAction = {
  /** Pass on what the buffer holds, and what was held back before it. */
  continue: 0,
  /** Hold it back, and show all that is held in the next callback. */
  buffer: 1,
  /** Hold it back, and show only what is new in the next callback. */
  watermark: 2,
  /** Drop it. */
  drop: 3,
  /** As `StreamAction.trapped`. */
  trapped: -1,
} as const;
export type BodyAction = (typeof BodyAction)[keyof typeof BodyAction];

/** The versions of the ABI that this host speaks; `0.2.100` is Higress'. */
export const ABI_VERSIONS = ["0.1.0", "0.2.0", "0.2.1", "0.2.100"] as const;
export type AbiVersion = (typeof ABI_VERSIONS)[number];
