//! Cases of what outlives a stream, or belongs to no map or buffer of it.

import { BODY, CHUNKS, everywhere, GET, inEveryPhase, field } from "./case-parts.ts";
import type { ProbeGroup } from "./case-parts.ts";

export const SHARED: ProbeGroup = {
  covers: "shared data and shared queues",
  cases: [
    {
      name: "shared-data",
      script: [
        "rh get_shared_data s:missing v n",
        "rh set_shared_data s:key s:one 0",
        "rh get_shared_data s:key v n",
        "rh set_shared_data s:key s:two 99999",
        "rh set_shared_data s:key s:two $1",
        "rh set_shared_data s:new s:x 77",
        "rh get_shared_data s:new x x x",
        "rh set_shared_data s:empty s: 0",
        "rh get_shared_data X v n",
        "rh set_shared_data X s:x 0",
        "rh set_shared_data s:x X 0",
      ],
    },
    {
      name: "shared-queue",
      // The news of the item, when the loop has time.
      anyPlace: "queue",
      script: [
        "rh register_shared_queue s:q n",
        "rh resolve_shared_queue s: s:none n",
        "rh register_shared_queue s:q n",
        "rh resolve_shared_queue s: s:q n",
        "rh resolve_shared_queue s:vm s:q n",
        "rh resolve_shared_queue s:other s:q n",
        "rh dequeue_shared_queue $1 v",
        "rh enqueue_shared_queue $1 s:item",
        "rh enqueue_shared_queue 99999 s:item",
        "rh dequeue_shared_queue 99999 v",
        "rh register_shared_queue X n",
        "rh enqueue_shared_queue $1 X",
        "log dequeue_shared_queue $1 v",
        "log dequeue_shared_queue $1 v",
      ],
    },
  ],
};

export const METRICS: ProbeGroup = {
  covers: "metrics",
  cases: [
    {
      name: "metrics",
      script: [
        "rh define_metric 0 s:c n",
        "rh define_metric 1 s:g n",
        "rh define_metric 2 s:h n",
        "rh define_metric 3 s:x n",
        "rh define_metric 0 X n",
        "rh define_metric 0 s:c x",
        "rh increment_metric $1 L2",
        "rh increment_metric $1 L0",
        "rh increment_metric $1 L-1",
        "rh record_metric $1 L5",
        "rh get_metric $1 N",
        "rh increment_metric $2 L5",
        "rh increment_metric $2 L-7",
        "rh get_metric $2 N",
        "rh record_metric $2 L9",
        "rh get_metric $2 N",
        "rh increment_metric $3 L1",
        "rh record_metric $3 L1",
        "rh get_metric $3 N",
        "rh get_metric 4000 N",
        "rh increment_metric 4000 L1",
        "rh record_metric 4000 L1",
        "rh increment_metric 4003 L1",
        "rh record_metric 4003 L1",
        "rh get_metric $1 x",
      ],
    },
  ],
};

export const PROPERTIES: ProbeGroup = {
  covers: "properties and their encodings",
  cases: [
    everywhere(
      "request-properties",
      [
        ...["path", "url_path", "host", "scheme", "method", "query", "referer", "useragent", "id"],
        ...["protocol", "size", "headers%00x-a", "headers%00none", "none", "total_size"],
      ].map((part) =>
        part === "total_size"
          ? `get_property s:request%00none v`
          : `get_property s:request%00${part} v`,
      ),
    ),
    everywhere(
      "response-properties",
      [
        ...[
          "code",
          "flags",
          "size",
          "headers%00x-echo",
          "headers%00none",
          "grpc_status",
          "trailers",
        ],
        ...["code_details", "none"],
      ].map((part) => `get_property s:response%00${part} v`),
    ),
    everywhere(
      "connection-properties",
      [
        ...["connection%00mtls", "connection%00requested_server_name", "connection%00tls_version"],
        ...["connection%00none", "upstream%00none", "upstream%00request_attempt_count"],
        ...["upstream%00transport_failure_reason", "upstream%00tls_version"],
        ...["plugin_name", "plugin_root_id", "plugin_vm_id", "node", "cluster_name", "route_name"],
        ...["listener_direction", "request", "filter_state", "", "none", "xds%00cluster_name"],
        ...["xds%00none", "cluster_metadata", "route_metadata", "listener_metadata"],
        ...["source", "destination", "connection", "upstream", "response", "xds", "metadata"],
        ...["source%00none", "destination%00none", "connection%00sni"],
        ...["upstream%00address", "upstream%00port", "metadata%00none"],
      ].map((path) => `get_property s:${path} v`),
    ),
    everywhere("set-property", [
      "set_property s:mine s:value",
      "get_property s:mine v",
      "get_property s:filter_state%00wasm.mine v",
      "set_property s:mine s:",
      "get_property s:mine v",
      "set_property X s:x",
      "set_property s:x X",
      "get_property X v",
      "get_property s:mine x x",
    ]),
  ],
};

/** An elliptic key, and what it signed "hello" with. */
const PUBLIC_KEY =
  "3059301306072a8648ce3d020106082a8648ce3d03010703420004678510c16e7cb062eb70441fc916bd" +
  "a8d68b26c809c9e25593fd4a2334054614e5ff7ddff392bfdad447ef262d8aef3096e14b1a32cde40485" +
  "4f4bea38361bf4";
const SIGNATURE =
  "30450220490de0667a60b4527d4695eaab8df680eb5c42424d0c95098f631cb2c674f892022100acae0d" +
  "0e731ea006033eeec2ae41244b7150dee27b8044fc198027ab73a1ad3e";

function verification(hash: string, text: string): string {
  return [
    field(1, Buffer.from(hash)),
    field(2, Buffer.from(PUBLIC_KEY, "hex")),
    field(3, Buffer.from(SIGNATURE, "hex")),
    field(4, Buffer.from(text)),
  ].join("");
}

export const FOREIGN: ProbeGroup = {
  covers: "foreign functions",
  cases: [
    everywhere("foreign", [
      "call_foreign_function s:none s: v",
      "call_foreign_function s:none s: 0 0",
      "call_foreign_function X s: v",
    ]),
    // Envoy dies of it in the response.
    { name: "clear-route", script: ["rh call_foreign_function s:clear_route_cache s: 0 0"] },
    {
      name: "signatures",
      script: [
        `rh call_foreign_function s:verify_signature s:${verification("sha256", "hello")} v`,
        `rh call_foreign_function s:verify_signature s:${verification("SHA256", "hello")} v`,
        `rh call_foreign_function s:verify_signature s:${verification("sha256", "hell")} v`,
        `rh call_foreign_function s:verify_signature s:${verification("sha0", "hello")} v`,
        `rh call_foreign_function s:verify_signature s:${verification("", "hello")} v`,
        "rh call_foreign_function s:verify_signature s:%0a%06sha256 v",
        "rh call_foreign_function s:verify_signature s:%0a%06sha256%12%03abc v",
        "rh call_foreign_function s:verify_signature s:%ff v",
        "rh call_foreign_function s:sign s:%0a%06sha256%12%03abc v",
        "rh call_foreign_function s:sign s:%0a%06sha256%12%03abc%22%03abc v",
        "rh call_foreign_function s:sign s:%ff v",
        "rh call_foreign_function s:verify_signature s:%0a%04sha0%12%03abc v",
        "rh call_foreign_function s:sign s:%0a%04sha0%12%03abc v",
        "rh call_foreign_function s:verify_signature s:%0a%06sha256%2a%03abc v",
        "rh call_foreign_function s:sign s:%0a%06sha256%22%03abc v",
      ],
    },
    {
      name: "compress",
      script: [
        "rh call_foreign_function s:compress s:hello v",
        "rh call_foreign_function s:uncompress s:nonsense v",
        "rh call_foreign_function s:uncompress s:%78%9c%cb%48%cd%c9%c9%07%00%06%2c%02%15 v",
        "rh call_foreign_function s:compress s: v",
        "rh call_foreign_function s:uncompress s: v",
        "rh call_foreign_function s:sign s: v",
        "rh call_foreign_function s:verify_signature s: v",
        "rh call_foreign_function s:expr_create s:request.path v",
        "rh call_foreign_function s:expr_evaluate s: v",
        "rh call_foreign_function s:expr_delete s: v",
        "rh call_foreign_function s:declare_property s:%ff v",
        "rh call_foreign_function s:set_envoy_filter_state s:%ff v",
      ],
    },
  ],
};

const CLUSTER = "outbound|8000||echo.default.svc.cluster.local";
const PAIRS = "p::method=GET&:path=/call&:authority=echo&:scheme=http";

export const CALLS: ProbeGroup = {
  covers: "calls out: HTTP and gRPC",
  cases: [
    {
      name: "call-refused",
      script: inEveryPhase([
        `http_call s:nowhere ${PAIRS} s: p: 1000 n`,
        `http_call s:${CLUSTER} p::path=/x&:authority=a s: p: 1000 n`,
        `http_call s:${CLUSTER} p::method=GET&:authority=a s: p: 1000 n`,
        `http_call s:${CLUSTER} p::method=GET&:path=/ s: p: 1000 n`,
        `http_call s:${CLUSTER} ${PAIRS} s: p: -1 n`,
        `http_call X ${PAIRS} s: p: 1000 n`,
        `http_call s:${CLUSTER} X s: p: 1000 n`,
        `http_call s:${CLUSTER} ${PAIRS} X p: 1000 n`,
        `http_call s:${CLUSTER} ${PAIRS} s: X 1000 n`,
        "grpc_call s:nowhere s:s s:m p: s: 1000 n",
        "grpc_stream s:nowhere s:s s:m p: n",
        "grpc_send 4 s:x 0",
        "grpc_close 4",
        "grpc_cancel 4",
        "grpc_send 1 s:x 0",
        "grpc_close 1",
        "grpc_cancel 1",
        "grpc_close 2",
        "grpc_cancel 2",
        "grpc_send 2 s:x 0",
      ]),
    },
    {
      name: "call-and-continue",
      script: [
        `rh http_call s:${CLUSTER} ${PAIRS} s: p: 2000 n`,
        "rh return 1",
        `call ${GET} 6 s::status v`,
        `call ${GET} 6 s:x-echo v`,
        `call ${GET} 6 s:x-none v`,
        `call ${GET} 0 s:x-case v`,
        "call get_buffer_status 4 n n",
        "call get_buffer_bytes 4 0 100 v",
        "call set_buffer_bytes 4 0 0 s:x",
        "call add_header_map_value 6 s:x s:y",
        "call get_header_map_size 6 n",
        "call get_header_map_pairs 7 v",
        "call get_status n v",
        "call set_effective_context $s",
        `call ${GET} 0 s:x-case v`,
        "call add_header_map_value 0 s:x-called s:yes",
        "call continue_stream 0",
      ],
    },
    {
      name: "call-with-body",
      script: [
        `rh http_call s:${CLUSTER} p::method=POST&:path=/call&:authority=echo&x-extra=1 s:payload p: 2000 n`,
        "rh return 1",
        "call get_buffer_bytes 4 0 100 v",
        "call set_effective_context $s",
        "call send_local_response 200 s: s:from-call p: -1",
      ],
    },
    {
      name: "call-in-body",
      ...BODY,
      chunks: CHUNKS,
      script: [
        `rb1 http_call s:${CLUSTER} ${PAIRS} s: p: 2000 n`,
        "rb return 1",
        "call set_effective_context $s",
        "call get_buffer_bytes 0 0 100 v",
        "call continue_stream 0",
      ],
    },
    {
      name: "call-in-response",
      script: [
        `sh http_call s:${CLUSTER} ${PAIRS} s: p: 2000 n`,
        "sh return 1",
        "call set_effective_context $s",
        `call ${GET} 2 s:x-echo v`,
        "call add_header_map_value 2 s:x-late s:yes",
        "call continue_stream 1",
      ],
    },
  ],
};

export const NAMES: ProbeGroup = {
  covers: "names that are looked up",
  cases: [
    {
      name: "dns-refused",
      script: ["rh resolve_dns X t", "rh resolve_dns s:localhost x"],
    },
    {
      name: "dns-address",
      anyOrder: true,
      script: [
        "rh resolve_dns s:127.1.2.3 t",
        "dns get_buffer_status 8 n n",
        "dns get_buffer_bytes 8 0 100 v",
        "dns get_buffer_bytes 8 4 4 v",
        "sh get_buffer_bytes 8 0 100 v",
      ],
    },
    {
      name: "dns-nothing",
      script: [
        "rh resolve_dns s:nobody.invalid t",
        "rh return 1",
        "dns get_buffer_bytes 8 0 100 v",
        "dns set_effective_context $s",
        "dns continue_stream 0",
      ],
    },
    {
      name: "dns-localhost",
      anyOrder: true,
      script: ["rh resolve_dns s:localhost t", "dns get_buffer_bytes 8 0 100 v"],
    },
  ],
};
