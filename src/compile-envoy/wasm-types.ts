//! The names of Envoy's messages and of its runtime for plug-ins.

export const WASM_TYPE = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
export const TEXT_TYPE = "type.googleapis.com/google.protobuf.StringValue";
export const WASM_RUNTIME = "envoy.wasm.runtime.v8";
