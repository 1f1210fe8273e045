//! What the agent's patches ask of the part that picks endpoints, which is loaded only where
//! `GRAYLANE_AGENT_ENDPOINTS` is set.

/** Arguments of `http.request` or `http2.connect`. */
export type Words = readonly unknown[];
export type DispatchCall = (options: object, handler: unknown) => boolean;
export type ConnectHttp2 = (...words: Words) => object;

export interface Direct {
  /** Headers to note of each request that comes, besides the settings' own. */
  names(): readonly string[];
  /** Null: a call to no service that is known; it goes on as it is. */
  request(protocol: "http:" | "https:", words: Words): Words | null;
  /** Carries out a dispatch of undici; null as above. `dispatch` is the original method. */
  dispatch(
    dispatcher: object,
    call: { readonly options: object; readonly handler: unknown; readonly dispatch: DispatchCall },
  ): (() => boolean) | null;
  /** The session that `http2.connect` gives to the app; null as above. */
  connect(connect: ConnectHttp2, words: Words): object | null;
  /** Which session a request of the app's session goes out by, and with which headers. */
  stream(session: object, headers: unknown): { session: object; headers: unknown } | null;
  /** Makes the channels of a copy of @grpc/grpc-js pick by call. */
  patchGrpc(exports: object): void;
  /** Whether `host:port` is a service that is known: context is always carried to it. */
  knows(authority: string): boolean;
}
