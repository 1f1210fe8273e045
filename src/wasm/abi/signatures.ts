//! The whole ABI as a table: each host function and each callback with its type, by ABI version.

import { ABI_VERSIONS } from "../enums.ts";
import type { AbiVersion } from "../enums.ts";
import type { Signature } from "../module-sections.ts";

interface HostFunctionEntry {
  readonly signature: Signature;
  /** First and last ABI version that has it. */
  readonly from: AbiVersion;
  readonly to: AbiVersion;
}

const always = (parameters: string): HostFunctionEntry => since("0.1.0", parameters);
const since = (from: AbiVersion, parameters: string): HostFunctionEntry => ({
  signature: `${parameters}:i`,
  from,
  to: "0.2.100",
});
const only = (version: AbiVersion, parameters: string): HostFunctionEntry => ({
  signature: `${parameters}:i`,
  from: version,
  to: version,
});

/** Functions of module `env`. */
export const HOST_FUNCTIONS: Readonly<Record<string, HostFunctionEntry>> = {
  proxy_log: always("iii"),
  proxy_get_log_level: since("0.2.1", "i"),
  proxy_get_current_time_nanoseconds: always("i"),
  proxy_set_tick_period_milliseconds: always("i"),
  proxy_get_configuration: only("0.1.0", "ii"),
  proxy_get_status: always("iii"),
  proxy_set_effective_context: always("i"),
  proxy_done: always(""),
  proxy_get_property: always("iiii"),
  proxy_set_property: always("iiii"),
  proxy_call_foreign_function: always("iiiiii"),
  proxy_get_shared_data: always("iiiii"),
  proxy_set_shared_data: always("iiiii"),
  proxy_register_shared_queue: always("iii"),
  proxy_resolve_shared_queue: always("iiiii"),
  proxy_enqueue_shared_queue: always("iii"),
  proxy_dequeue_shared_queue: always("iii"),
  proxy_get_header_map_value: always("iiiii"),
  proxy_add_header_map_value: always("iiiii"),
  proxy_replace_header_map_value: always("iiiii"),
  proxy_remove_header_map_value: always("iii"),
  proxy_get_header_map_pairs: always("iii"),
  proxy_set_header_map_pairs: always("iii"),
  proxy_get_header_map_size: always("ii"),
  proxy_get_buffer_status: always("iii"),
  proxy_get_buffer_bytes: always("iiiii"),
  proxy_set_buffer_bytes: always("iiiii"),
  proxy_continue_request: only("0.1.0", ""),
  proxy_continue_response: only("0.1.0", ""),
  proxy_clear_route_cache: only("0.1.0", ""),
  proxy_continue_stream: since("0.2.0", "i"),
  proxy_close_stream: since("0.2.0", "i"),
  proxy_send_local_response: always("iiiiiiii"),
  proxy_http_call: always("iiiiiiiiii"),
  proxy_grpc_call: always("iiiiiiiiiiii"),
  proxy_grpc_stream: always("iiiiiiiii"),
  proxy_grpc_send: always("iiii"),
  proxy_grpc_close: always("i"),
  proxy_grpc_cancel: always("i"),
  proxy_define_metric: always("iiii"),
  proxy_increment_metric: always("iI"),
  proxy_record_metric: always("iI"),
  proxy_get_metric: always("ii"),
  envoy_resolve_dns: always("iii"),
  pthread_equal: always("ii"),
  emscripten_notify_memory_growth: { signature: "i:", from: "0.1.0", to: "0.2.100" },
  proxy_redis_init: only("0.2.100", "iiiiiii"),
  proxy_redis_call: only("0.2.100", "iiiii"),
  proxy_inject_encoded_data_to_filter_chain: only("0.2.100", "iii"),
  proxy_get_upstream_hosts: only("0.2.100", "ii"),
  proxy_set_upstream_override_host: only("0.2.100", "ii"),
};

/** The three 0.1.0 functions to which the specification gives no result and Envoy gives one. */
export const RESULT_IS_OPTIONAL: ReadonlySet<string> = new Set([
  "proxy_continue_request",
  "proxy_continue_response",
  "proxy_clear_route_cache",
]);

/** Functions of module `wasi_snapshot_preview1` and of its alias `wasi_unstable`. */
export const WASI_FUNCTIONS: Readonly<Record<string, Signature>> = {
  args_get: "ii:i",
  args_sizes_get: "ii:i",
  environ_get: "ii:i",
  environ_sizes_get: "ii:i",
  clock_res_get: "ii:i",
  clock_time_get: "iIi:i",
  fd_advise: "iIIi:i",
  fd_allocate: "iII:i",
  fd_close: "i:i",
  fd_datasync: "i:i",
  fd_fdstat_get: "ii:i",
  fd_fdstat_set_flags: "ii:i",
  fd_fdstat_set_rights: "iII:i",
  fd_filestat_get: "ii:i",
  fd_filestat_set_size: "iI:i",
  fd_filestat_set_times: "iIIi:i",
  fd_pread: "iiiIi:i",
  fd_prestat_get: "ii:i",
  fd_prestat_dir_name: "iii:i",
  fd_pwrite: "iiiIi:i",
  fd_read: "iiii:i",
  fd_readdir: "iiiIi:i",
  fd_renumber: "ii:i",
  fd_seek: "iIii:i",
  fd_sync: "i:i",
  fd_tell: "ii:i",
  fd_write: "iiii:i",
  path_create_directory: "iii:i",
  path_filestat_get: "iiiii:i",
  path_filestat_set_times: "iiiiIIi:i",
  path_link: "iiiiiii:i",
  path_open: "iiiiiIIii:i",
  path_readlink: "iiiiii:i",
  path_remove_directory: "iii:i",
  path_rename: "iiiiii:i",
  path_symlink: "iiiii:i",
  path_unlink_file: "iii:i",
  poll_oneoff: "iiii:i",
  proc_exit: "i:",
  proc_raise: "i:i",
  random_get: "ii:i",
  sched_yield: ":i",
  sock_accept: "iii:i",
  sock_recv: "iiiiii:i",
  sock_send: "iiiii:i",
  sock_shutdown: "ii:i",
};

/** Exports that the host calls; all optional. Anything else that is exported is ignored. */
export const CALLBACKS: Readonly<Record<string, Signature>> = {
  malloc: "i:i",
  proxy_on_memory_allocate: "i:i",
  _initialize: ":",
  _start: ":",
  main: "ii:i",
  __main_void: ":i",
  proxy_on_context_create: "ii:",
  proxy_on_vm_start: "ii:i",
  proxy_validate_configuration: "ii:i",
  proxy_on_configure: "ii:i",
  proxy_on_tick: "i:",
  proxy_on_new_connection: "i:i",
  proxy_on_downstream_data: "iii:i",
  proxy_on_upstream_data: "iii:i",
  proxy_on_downstream_connection_close: "ii:",
  proxy_on_upstream_connection_close: "ii:",
  proxy_on_request_headers: "iii:i",
  proxy_on_request_body: "iii:i",
  proxy_on_request_trailers: "ii:i",
  proxy_on_request_metadata: "ii:i",
  proxy_on_response_headers: "iii:i",
  proxy_on_response_body: "iii:i",
  proxy_on_response_trailers: "ii:i",
  proxy_on_response_metadata: "ii:i",
  proxy_on_http_call_response: "iiiii:",
  proxy_on_grpc_receive_initial_metadata: "iii:",
  proxy_on_grpc_receive: "iii:",
  proxy_on_grpc_receive_trailing_metadata: "iii:",
  proxy_on_grpc_close: "iii:",
  envoy_on_resolve_dns: "iii:",
  proxy_on_queue_ready: "ii:",
  proxy_on_foreign_function: "iii:",
  proxy_on_done: "i:i",
  proxy_on_log: "i:",
  proxy_on_delete: "i:",
  graylane_on_explain: "ii:",
};

const HEADERS_CALLBACK_0_1_0: Signature = "ii:i";
/** Callbacks of 0.2.100 only: elsewhere an export of that name is none of ours. */
const HIGRESS_CALLBACKS: Readonly<Record<string, Signature>> = {
  proxy_on_redis_call_response: "iiii:",
};

/** The type that a callback must have, or undefined when the host never calls that export. */
export function callbackSignature(name: string, version: AbiVersion): Signature | undefined {
  const isHeaders = name === "proxy_on_request_headers" || name === "proxy_on_response_headers";
  if (isHeaders && version === "0.1.0") return HEADERS_CALLBACK_0_1_0;
  if (version === "0.2.100" && Object.hasOwn(HIGRESS_CALLBACKS, name)) {
    return HIGRESS_CALLBACKS[name];
  }
  return Object.hasOwn(CALLBACKS, name) ? CALLBACKS[name] : undefined;
}

/** The type of an import, or undefined when this ABI version has no such function. */
export function importSignature(
  module: string,
  name: string,
  version: AbiVersion,
): Signature | undefined {
  if (module === "wasi_snapshot_preview1" || module === "wasi_unstable") {
    return Object.hasOwn(WASI_FUNCTIONS, name) ? WASI_FUNCTIONS[name] : undefined;
  }
  if (module !== "env" || !Object.hasOwn(HOST_FUNCTIONS, name)) return undefined;
  const entry = HOST_FUNCTIONS[name];
  if (entry === undefined) return undefined;
  const at = ABI_VERSIONS.indexOf(version);
  const isIn = ABI_VERSIONS.indexOf(entry.from) <= at && at <= ABI_VERSIONS.indexOf(entry.to);
  return isIn ? entry.signature : undefined;
}
