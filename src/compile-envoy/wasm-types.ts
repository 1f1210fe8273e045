//! The names of Envoy's messages and of its runtime for plug-ins.

export const CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";
export const MANAGER_TYPE: string =
  "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3." +
  "HttpConnectionManager";
export const ROUTER_TYPE = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
export const WASM_TYPE = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
export const TEXT_TYPE = "type.googleapis.com/google.protobuf.StringValue";
export const WASM_RUNTIME = "envoy.wasm.runtime.v8";
