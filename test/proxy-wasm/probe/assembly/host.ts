// Every host function of ABI 0.2.1, called by name with arguments that a script gives.

// prettier-ignore
@external("env", "proxy_log") declare function proxy_log(a: i32, b: i32, c: i32): i32;
@external("env", "proxy_get_log_level") declare function proxy_get_log_level(a: i32): i32;
@external("env", "proxy_get_current_time_nanoseconds") declare function proxy_get_current_time_nanoseconds(a: i32): i32;
@external("env", "proxy_set_tick_period_milliseconds") declare function proxy_set_tick_period_milliseconds(a: i32): i32;
@external("env", "proxy_get_status") declare function proxy_get_status(a: i32, b: i32, c: i32): i32;
@external("env", "proxy_set_effective_context") declare function proxy_set_effective_context(a: i32): i32;
@external("env", "proxy_done") declare function proxy_done(): i32;
@external("env", "proxy_get_property") declare function proxy_get_property(a: i32, b: i32, c: i32, d: i32): i32;
@external("env", "proxy_set_property") declare function proxy_set_property(a: i32, b: i32, c: i32, d: i32): i32;
@external("env", "proxy_call_foreign_function") declare function proxy_call_foreign_function(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32): i32;
@external("env", "proxy_get_shared_data") declare function proxy_get_shared_data(a: i32, b: i32, c: i32, d: i32, e: i32): i32;
@external("env", "proxy_set_shared_data") declare function proxy_set_shared_data(a: i32, b: i32, c: i32, d: i32, e: i32): i32;
@external("env", "proxy_register_shared_queue") declare function proxy_register_shared_queue(a: i32, b: i32, c: i32): i32;
@external("env", "proxy_resolve_shared_queue") declare function proxy_resolve_shared_queue(a: i32, b: i32, c: i32, d: i32, e: i32): i32;
@external("env", "proxy_enqueue_shared_queue") declare function proxy_enqueue_shared_queue(a: i32, b: i32, c: i32): i32;
@external("env", "proxy_dequeue_shared_queue") declare function proxy_dequeue_shared_queue(a: i32, b: i32, c: i32): i32;
@external("env", "proxy_get_header_map_value") declare function proxy_get_header_map_value(a: i32, b: i32, c: i32, d: i32, e: i32): i32;
@external("env", "proxy_add_header_map_value") declare function proxy_add_header_map_value(a: i32, b: i32, c: i32, d: i32, e: i32): i32;
@external("env", "proxy_replace_header_map_value") declare function proxy_replace_header_map_value(a: i32, b: i32, c: i32, d: i32, e: i32): i32;
@external("env", "proxy_remove_header_map_value") declare function proxy_remove_header_map_value(a: i32, b: i32, c: i32): i32;
@external("env", "proxy_get_header_map_pairs") declare function proxy_get_header_map_pairs(a: i32, b: i32, c: i32): i32;
@external("env", "proxy_set_header_map_pairs") declare function proxy_set_header_map_pairs(a: i32, b: i32, c: i32): i32;
@external("env", "proxy_get_header_map_size") declare function proxy_get_header_map_size(a: i32, b: i32): i32;
@external("env", "proxy_get_buffer_status") declare function proxy_get_buffer_status(a: i32, b: i32, c: i32): i32;
@external("env", "proxy_get_buffer_bytes") declare function proxy_get_buffer_bytes(a: i32, b: i32, c: i32, d: i32, e: i32): i32;
@external("env", "proxy_set_buffer_bytes") declare function proxy_set_buffer_bytes(a: i32, b: i32, c: i32, d: i32, e: i32): i32;
@external("env", "proxy_continue_stream") declare function proxy_continue_stream(a: i32): i32;
@external("env", "proxy_close_stream") declare function proxy_close_stream(a: i32): i32;
@external("env", "proxy_send_local_response") declare function proxy_send_local_response(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32): i32;
@external("env", "proxy_http_call") declare function proxy_http_call(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32, i: i32, j: i32): i32;
@external("env", "proxy_grpc_call") declare function proxy_grpc_call(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32, i: i32, j: i32, k: i32, l: i32): i32;
@external("env", "proxy_grpc_stream") declare function proxy_grpc_stream(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32, g: i32, h: i32, i: i32): i32;
@external("env", "proxy_grpc_send") declare function proxy_grpc_send(a: i32, b: i32, c: i32, d: i32): i32;
@external("env", "proxy_grpc_close") declare function proxy_grpc_close(a: i32): i32;
@external("env", "proxy_grpc_cancel") declare function proxy_grpc_cancel(a: i32): i32;
@external("env", "proxy_define_metric") declare function proxy_define_metric(a: i32, b: i32, c: i32, d: i32): i32;
@external("env", "proxy_increment_metric") declare function proxy_increment_metric(a: i32, b: i64): i32;
@external("env", "proxy_record_metric") declare function proxy_record_metric(a: i32, b: i64): i32;
@external("env", "proxy_get_metric") declare function proxy_get_metric(a: i32, b: i32): i32;

@external("env", "envoy_resolve_dns") declare function envoy_resolve_dns(a: i32, b: i32, c: i32): i32;

/** Logs at level info. */
export function log(line: string): void {
  const bytes = String.UTF8.encode(line);
  proxy_log(2, changetype<i32>(bytes), bytes.byteLength);
}

/** `a` has at least 12 entries; `wide` is the i64 argument of the metric functions. */
export function invoke(name: string, a: StaticArray<i32>, wide: i64): i32 {
  if (name == "log") return proxy_log(a[0], a[1], a[2]);
  if (name == "get_log_level") return proxy_get_log_level(a[0]);
  if (name == "get_current_time_nanoseconds") return proxy_get_current_time_nanoseconds(a[0]);
  if (name == "set_tick_period_milliseconds") return proxy_set_tick_period_milliseconds(a[0]);
  if (name == "get_status") return proxy_get_status(a[0], a[1], a[2]);
  if (name == "set_effective_context") return proxy_set_effective_context(a[0]);
  if (name == "done") return proxy_done();
  if (name == "get_property") return proxy_get_property(a[0], a[1], a[2], a[3]);
  if (name == "set_property") return proxy_set_property(a[0], a[1], a[2], a[3]);
  if (name == "call_foreign_function") return proxy_call_foreign_function(a[0], a[1], a[2], a[3], a[4], a[5]);
  if (name == "get_shared_data") return proxy_get_shared_data(a[0], a[1], a[2], a[3], a[4]);
  if (name == "set_shared_data") return proxy_set_shared_data(a[0], a[1], a[2], a[3], a[4]);
  if (name == "register_shared_queue") return proxy_register_shared_queue(a[0], a[1], a[2]);
  if (name == "resolve_shared_queue") return proxy_resolve_shared_queue(a[0], a[1], a[2], a[3], a[4]);
  if (name == "enqueue_shared_queue") return proxy_enqueue_shared_queue(a[0], a[1], a[2]);
  if (name == "dequeue_shared_queue") return proxy_dequeue_shared_queue(a[0], a[1], a[2]);
  if (name == "get_header_map_value") return proxy_get_header_map_value(a[0], a[1], a[2], a[3], a[4]);
  if (name == "add_header_map_value") return proxy_add_header_map_value(a[0], a[1], a[2], a[3], a[4]);
  if (name == "replace_header_map_value") return proxy_replace_header_map_value(a[0], a[1], a[2], a[3], a[4]);
  if (name == "remove_header_map_value") return proxy_remove_header_map_value(a[0], a[1], a[2]);
  if (name == "get_header_map_pairs") return proxy_get_header_map_pairs(a[0], a[1], a[2]);
  if (name == "set_header_map_pairs") return proxy_set_header_map_pairs(a[0], a[1], a[2]);
  if (name == "get_header_map_size") return proxy_get_header_map_size(a[0], a[1]);
  if (name == "get_buffer_status") return proxy_get_buffer_status(a[0], a[1], a[2]);
  if (name == "get_buffer_bytes") return proxy_get_buffer_bytes(a[0], a[1], a[2], a[3], a[4]);
  if (name == "set_buffer_bytes") return proxy_set_buffer_bytes(a[0], a[1], a[2], a[3], a[4]);
  if (name == "continue_stream") return proxy_continue_stream(a[0]);
  if (name == "close_stream") return proxy_close_stream(a[0]);
  if (name == "send_local_response") return proxy_send_local_response(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
  if (name == "http_call") return proxy_http_call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
  if (name == "resolve_dns") return envoy_resolve_dns(a[0], a[1], a[2]);
  if (name == "grpc_call") return proxy_grpc_call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11]);
  if (name == "grpc_stream") return proxy_grpc_stream(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]);
  if (name == "grpc_send") return proxy_grpc_send(a[0], a[1], a[2], a[3]);
  if (name == "grpc_close") return proxy_grpc_close(a[0]);
  if (name == "grpc_cancel") return proxy_grpc_cancel(a[0]);
  if (name == "define_metric") return proxy_define_metric(a[0], a[1], a[2], a[3]);
  if (name == "increment_metric") return proxy_increment_metric(a[0], wide);
  if (name == "record_metric") return proxy_record_metric(a[0], wide);
  if (name == "get_metric") return proxy_get_metric(a[0], a[1]);
  return -1;
}
