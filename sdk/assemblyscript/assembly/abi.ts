//! The host functions of Proxy-Wasm 0.2.1 as they are. Everything else in this SDK stands on them.
//! Text is passed as UTF-8 bytes, by address and length. Results are `Status` numbers.

@external("env", "proxy_log")
export declare function proxy_log(level: i32, message: usize, length: usize): i32;
@external("env", "proxy_get_buffer_bytes")
export declare function proxy_get_buffer_bytes(
  kind: i32,
  start: usize,
  length: usize,
  outBytes: usize,
  outLength: usize,
): i32;
@external("env", "proxy_get_header_map_value")
export declare function proxy_get_header_map_value(
  kind: i32,
  name: usize,
  nameLength: usize,
  outValue: usize,
  outLength: usize,
): i32;
@external("env", "proxy_get_header_map_pairs")
export declare function proxy_get_header_map_pairs(
  kind: i32,
  outPairs: usize,
  outLength: usize,
): i32;
@external("env", "proxy_replace_header_map_value")
export declare function proxy_replace_header_map_value(
  kind: i32,
  name: usize,
  nameLength: usize,
  value: usize,
  valueLength: usize,
): i32;
@external("env", "proxy_add_header_map_value")
export declare function proxy_add_header_map_value(
  kind: i32,
  name: usize,
  nameLength: usize,
  value: usize,
  valueLength: usize,
): i32;
@external("env", "proxy_remove_header_map_value")
export declare function proxy_remove_header_map_value(
  kind: i32,
  name: usize,
  nameLength: usize,
): i32;
@external("env", "proxy_get_property")
export declare function proxy_get_property(
  path: usize,
  pathLength: usize,
  outValue: usize,
  outLength: usize,
): i32;
@external("env", "proxy_set_property")
export declare function proxy_set_property(
  name: usize,
  nameLength: usize,
  value: usize,
  valueLength: usize,
): i32;
@external("env", "proxy_send_local_response")
export declare function proxy_send_local_response(
  statusCode: u32,
  details: usize,
  detailsLength: usize,
  body: usize,
  bodyLength: usize,
  headers: usize,
  headersLength: usize,
  grpcStatus: i32,
): i32;
@external("env", "proxy_get_shared_data")
export declare function proxy_get_shared_data(
  key: usize,
  keyLength: usize,
  outValue: usize,
  outLength: usize,
  outCas: usize,
): i32;
/** A `cas` of 0 writes whatever stands there. */
@external("env", "proxy_set_shared_data")
export declare function proxy_set_shared_data(
  key: usize,
  keyLength: usize,
  value: usize,
  valueLength: usize,
  cas: u32,
): i32;
@external("env", "proxy_get_current_time_nanoseconds")
export declare function proxy_get_current_time_nanoseconds(outTime: usize): i32;
@external("env", "proxy_define_metric")
export declare function proxy_define_metric(
  kind: i32,
  name: usize,
  nameLength: usize,
  outMetric: usize,
): i32;
@external("env", "proxy_increment_metric")
export declare function proxy_increment_metric(metric: u32, offset: i64): i32;
