//! The names of Envoy's messages for plug-ins.

export const WASM_TYPE = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
export const TEXT_TYPE = "type.googleapis.com/google.protobuf.StringValue";
