//! The numbers of the ABI that plug-ins need by name.

export namespace Status {
  export const ok: i32 = 0;
  export const notFound: i32 = 1;
  export const badArgument: i32 = 2;
}

export namespace LogLevel {
  export const trace: i32 = 0;
  export const debug: i32 = 1;
  export const info: i32 = 2;
  export const warn: i32 = 3;
  export const error: i32 = 4;
  export const critical: i32 = 5;
}

export namespace MapKind {
  export const requestHeaders: i32 = 0;
  export const requestTrailers: i32 = 1;
  export const responseHeaders: i32 = 2;
  export const responseTrailers: i32 = 3;
}

export namespace BufferKind {
  export const requestBody: i32 = 0;
  export const responseBody: i32 = 1;
  export const vmConfiguration: i32 = 6;
  export const pluginConfiguration: i32 = 7;
}

/** What `proxy_on_request_headers` and its like answer. */
export namespace HeadersAction {
  export const proceed: i32 = 0;
  export const stop: i32 = 1;
}

/** What `proxy_on_request_body` and its like answer. */
export namespace BodyAction {
  export const proceed: i32 = 0;
  export const stopAndBuffer: i32 = 1;
  /** Each call sees what is new; the host keeps it all, and takes no more than it can hold. */
  export const stopAndWatermark: i32 = 2;
}
