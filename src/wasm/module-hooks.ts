//! What a module wants to be shown, by its exports: an embedder need not show the rest.

import type { PluginModule } from "./module.ts";

export interface ModuleHooks {
  /** Has a callback for the request's body or trailers. */
  readonly requestBody: boolean;
  readonly responseBody: boolean;
  /** Has a callback for the end of a stream, which also sees streams that never reached it. */
  readonly streamEnd: boolean;
}

/** Looks at the module: once for each configuration, not for each request. */
export function hooksOf(module: PluginModule): ModuleHooks {
  const names = new Set(WebAssembly.Module.exports(module.compiled).map(({ name }) => name));
  return {
    requestBody: names.has("proxy_on_request_body") || names.has("proxy_on_request_trailers"),
    responseBody: names.has("proxy_on_response_body") || names.has("proxy_on_response_trailers"),
    streamEnd: names.has("proxy_on_log") || names.has("proxy_on_done"),
  };
}
