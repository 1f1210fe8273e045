// The same plug-in in C, without an SDK and without a C library: see ../README.md for what it
// does. It also imports what TinyGo's runtime does, since TinyGo cannot be had in the tests.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define HOST(name) __attribute__((import_module("env"), import_name(#name))) u32 name
#define WASI(name) \
  __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) u32 wasi_##name
#define EXPORT(name) __attribute__((export_name(#name), visibility("default"))) name

HOST(proxy_log)(u32 level, const char *text, u32 size);
HOST(proxy_get_buffer_bytes)(u32 kind, u32 start, u32 max, u8 **out, u32 *out_size);
HOST(proxy_set_buffer_bytes)(u32 kind, u32 start, u32 size, const u8 *value, u32 value_size);
HOST(proxy_get_header_map_value)(u32 map, const char *key, u32 size, u8 **out, u32 *out_size);
HOST(proxy_add_header_map_value)(u32 map, const char *key, u32 size, const u8 *value, u32 length);
HOST(proxy_replace_header_map_value)
(u32 map, const char *key, u32 size, const u8 *value, u32 length);
HOST(proxy_remove_header_map_value)(u32 map, const char *key, u32 size);
HOST(proxy_get_property)(const char *path, u32 size, u8 **out, u32 *out_size);
HOST(proxy_get_shared_data)(const char *key, u32 size, u8 **out, u32 *out_size, u32 *out_cas);
HOST(proxy_set_shared_data)(const char *key, u32 size, const u8 *value, u32 length, u32 cas);
HOST(proxy_define_metric)(u32 kind, const char *name, u32 size, u32 *out_id);
HOST(proxy_increment_metric)(u32 id, i64 offset);
HOST(proxy_record_metric)(u32 id, u64 value);
HOST(proxy_set_tick_period_milliseconds)(u32 period_ms);
HOST(proxy_http_call)
(const u8 *cluster, u32 size, const u8 *headers, u32 headers_size, const u8 *body, u32 body_size,
 const u8 *trailers, u32 trailers_size, u32 timeout_ms, u32 *out_token);
HOST(proxy_send_local_response)
(u32 status, const char *details, u32 details_size, const char *body, u32 body_size,
 const u8 *headers, u32 headers_size, u32 grpc_status);

// What TinyGo's runtime imports.
WASI(fd_write)(u32 fd, const void *vectors, u32 count, u32 *out_written);
WASI(clock_time_get)(u32 clock, u64 precision, u64 *out_time);
WASI(random_get)(void *bytes, u32 size);
WASI(args_sizes_get)(u32 *out_count, u32 *out_bytes);
WASI(args_get)(u8 **pointers, u8 *bytes);
WASI(environ_sizes_get)(u32 *out_count, u32 *out_bytes);
WASI(environ_get)(u8 **pointers, u8 *bytes);
WASI(fd_prestat_get)(u32 fd, void *out);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) void
    wasi_proc_exit(u32 code);

enum { OK = 0, NOT_FOUND = 1, CAS_MISMATCH = 8 };
enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2, RESPONSE_TRAILERS = 3 };
enum { REQUEST_BODY = 0, CALL_BODY = 4, CONFIGURATION = 7 };
enum { CONTINUE = 0, PAUSE = 1 };

#define LANGUAGE "c"
#define TEXT(literal) literal, sizeof(literal) - 1
#define VALUE(literal) (const u8 *)literal, sizeof(literal) - 1

// Two arenas: strings of the host live until the callback ends, everything fits or the plug-in
// traps. Freed at the start of each callback.
static u8 arena[1 << 20];
static u32 arena_used = 0;

void *EXPORT(malloc)(u32 size) {
  u32 at = (arena_used + 7) & ~7u;
  if (size > sizeof(arena) - at) __builtin_trap();
  arena_used = at + size;
  return arena + at;
}

static void reset(void) { arena_used = 0; }

static u32 copy(u8 *to, const u8 *from, u32 size) {
  for (u32 i = 0; i < size; i++) to[i] = from[i];
  return size;
}

static u32 digits(u32 value, u8 *out) {
  u8 reversed[10];
  u32 count = 0;
  do reversed[count++] = '0' + value % 10;
  while ((value /= 10) != 0);
  for (u32 i = 0; i < count; i++) out[i] = reversed[count - 1 - i];
  return count;
}

static u8 cluster[256];
static u32 cluster_size = 0;
static u32 requests, active, sizes;

static u32 add_shared(const char *key, u32 size) {
  for (;;) {
    u8 *value = 0;
    u32 length = 0, cas = 0, count = 0;
    if (proxy_get_shared_data(key, size, &value, &length, &cas) == OK)
      for (u32 i = 0; i < length; i++) count = count * 10 + value[i] - '0';
    u8 text[10];
    u32 status = proxy_set_shared_data(key, size, text, digits(count + 1, text), cas);
    if (status == OK) return count + 1;
    if (status != CAS_MISMATCH) return 0;
  }
}

void EXPORT(proxy_abi_version_0_2_1)(void) {}

void EXPORT(_initialize)(void) {
  u32 a = 0, b = 0;
  u64 now = 0;
  u8 seed[8];
  u8 *none[1];
  wasi_args_sizes_get(&a, &b);
  wasi_args_get(none, seed);
  wasi_environ_sizes_get(&a, &b);
  if (wasi_clock_time_get(1, 0, &now) != 0 || wasi_random_get(seed, sizeof(seed)) != 0)
    wasi_proc_exit(1);
  // TinyGo's libc looks for preopened directories until the first bad descriptor.
  if (wasi_fd_prestat_get(3, seed) != 8) __builtin_trap();
  struct {
    const char *text;
    u32 size;
  } vector = {TEXT("started by WASI\n")};
  u32 written = 0;
  if (wasi_fd_write(1, &vector, 1, &written) != 0 || written != vector.size) __builtin_trap();
}

void EXPORT(proxy_on_context_create)(u32 context, u32 parent) { reset(); }

u32 EXPORT(proxy_on_configure)(u32 root, u32 size) {
  reset();
  u8 *text = 0;
  u32 length = 0;
  if (size == 0 || proxy_get_buffer_bytes(CONFIGURATION, 0, size, &text, &length) != OK) {
    proxy_log(5, TEXT("no configuration"));
    return 0;
  }
  u8 *line = malloc(length + 32);
  u32 used = copy(line, VALUE("configured with "));
  used += copy(line + used, text, length);
  proxy_log(2, (const char *)line, used);
  static const char key[] = "\"cluster\":\"";
  for (u32 at = 0; at + sizeof(key) - 1 < length; at++) {
    u32 same = 0;
    while (same < sizeof(key) - 1 && text[at + same] == (u8)key[same]) same++;
    if (same < sizeof(key) - 1) continue;
    for (at += same; at < length && text[at] != '"'; at++) cluster[cluster_size++] = text[at];
  }
  proxy_define_metric(0, TEXT("sdk_" LANGUAGE "_requests"), &requests);
  proxy_define_metric(1, TEXT("sdk_" LANGUAGE "_active"), &active);
  proxy_define_metric(2, TEXT("sdk_" LANGUAGE "_sizes"), &sizes);
  proxy_set_tick_period_milliseconds(100);
  return 1;
}

static u32 put_u32(u8 *at, u32 value) {
  for (u32 i = 0; i < 4; i++) at[i] = value >> (8 * i);
  return 4;
}

void EXPORT(proxy_on_tick)(u32 root) {
  reset();
  add_shared(TEXT("ticks"));
  if (cluster_size == 0) return;
  static const char *const keys[] = {":method", ":path", ":authority"};
  static const u32 key_sizes[] = {7, 5, 10};
  const u8 *values[] = {(const u8 *)"GET", (const u8 *)"/token", cluster};
  u32 value_sizes[] = {3, 6, cluster_size};
  u8 *pairs = malloc(512);
  u32 used = put_u32(pairs, 3);
  for (u32 i = 0; i < 3; i++) {
    used += put_u32(pairs + used, key_sizes[i]);
    used += put_u32(pairs + used, value_sizes[i]);
  }
  for (u32 i = 0; i < 3; i++) {
    used += copy(pairs + used, (const u8 *)keys[i], key_sizes[i]);
    pairs[used++] = 0;
    used += copy(pairs + used, values[i], value_sizes[i]);
    pairs[used++] = 0;
  }
  u32 token;
  if (proxy_http_call(cluster, cluster_size, pairs, used, 0, 0, 0, 0, 1000, &token) != OK)
    proxy_log(4, TEXT("the call was refused"));
}

void EXPORT(proxy_on_http_call_response)(u32 root, u32 token, u32 n, u32 size, u32 trailers) {
  reset();
  u8 *body = 0;
  u32 length = 0;
  if (proxy_get_buffer_bytes(CALL_BODY, 0, size, &body, &length) == OK)
    proxy_set_shared_data(TEXT("token"), body, length, 0);
}

static u32 received = 0;

u32 EXPORT(proxy_on_request_headers)(u32 context, u32 count, u32 end) {
  reset();
  proxy_increment_metric(requests, 1);
  proxy_increment_metric(active, 1);
  u8 number[10];
  u32 number_size = digits(add_shared(TEXT("requests")), number);
  u8 *path = 0, *user = 0;
  u32 path_size = 0, user_size = 0;
  proxy_get_property("request\0path", 12, &path, &path_size);
  proxy_add_header_map_value(REQUEST_HEADERS, TEXT("x-sdk"), VALUE(LANGUAGE));
  proxy_add_header_map_value(REQUEST_HEADERS, TEXT("x-sdk-path"), path, path_size);
  proxy_add_header_map_value(REQUEST_HEADERS, TEXT("x-sdk-count"), number, number_size);
  if (proxy_get_header_map_value(REQUEST_HEADERS, TEXT("x-user"), &user, &user_size) == OK) {
    for (u32 i = 0; i < user_size; i++)
      if (user[i] >= 'a' && user[i] <= 'z') user[i] -= 32;
    proxy_replace_header_map_value(REQUEST_HEADERS, TEXT("x-user"), user, user_size);
  }
  proxy_remove_header_map_value(REQUEST_HEADERS, TEXT("x-secret"));
  received = 0;
  static const char reply[] = "/reply";
  u32 same = 0;
  while (same < path_size && same < 6 && path[same] == (u8)reply[same]) same++;
  if (same != 6 || path_size != 6) return CONTINUE;
  u8 pairs[64];
  u32 used = put_u32(pairs, 1);
  used += put_u32(pairs + used, 8);
  used += put_u32(pairs + used, sizeof(LANGUAGE) - 1);
  used += copy(pairs + used, VALUE("x-teapot\0" LANGUAGE "\0"));
  proxy_send_local_response(418, 0, 0, TEXT("short and stout: " LANGUAGE), pairs, used, -1);
  return PAUSE;
}

// One buffered body at a time: the tests of this plug-in send one after the other.
u32 EXPORT(proxy_on_request_body)(u32 context, u32 size, u32 end) {
  reset();
  received = size;
  if (!end) return PAUSE;
  u8 *body = 0;
  u32 length = 0;
  if (proxy_get_buffer_bytes(REQUEST_BODY, 0, received, &body, &length) != OK || length == 0)
    return CONTINUE;
  u8 *whole = malloc(length + 2);
  u32 used = copy(whole, VALUE(LANGUAGE ":"));
  used += copy(whole + used, body, length);
  proxy_set_buffer_bytes(REQUEST_BODY, 0, received, whole, used);
  return CONTINUE;
}

u32 EXPORT(proxy_on_response_headers)(u32 context, u32 count, u32 end) {
  reset();
  proxy_add_header_map_value(RESPONSE_HEADERS, TEXT("x-sdk"), VALUE(LANGUAGE));
  u8 *value = 0;
  u32 size = 0, cas = 0;
  if (proxy_get_shared_data(TEXT("token"), &value, &size, &cas) == OK)
    proxy_add_header_map_value(RESPONSE_HEADERS, TEXT("x-token"), value, size);
  value = 0;
  size = 0;
  proxy_get_shared_data(TEXT("ticks"), &value, &size, &cas);
  proxy_add_header_map_value(RESPONSE_HEADERS, TEXT("x-ticks"), value, size);
  return CONTINUE;
}

u32 EXPORT(proxy_on_response_trailers)(u32 context, u32 count) {
  reset();
  proxy_add_header_map_value(RESPONSE_TRAILERS, TEXT("x-sdk-trailer"), VALUE(LANGUAGE));
  return CONTINUE;
}

void EXPORT(proxy_on_log)(u32 context) {
  reset();
  proxy_increment_metric(active, -1);
  proxy_record_metric(sizes, received);
}
