//! gRPC calls and streams of plug-ins, to a server that answers well and badly.

import { GRPC_CLUSTER, GRPC_DEAD_CLUSTER } from "../../support/conformance.ts";
import type { ProbeCase } from "../../support/conformance.ts";
import type { ProbeGroup } from "./case-parts.ts";
import { fieldBytes, GET, inEveryPhase, percent } from "./case-parts.ts";

const GO_ON = ["gc set_effective_context $s", "gc continue_stream 0"];
const MD = "p:x-md=1";
const READ_STATUS = "get_status n v";
const READ_MESSAGE = "get_buffer_bytes 5 0 1000 v";

/** A request that waits for the end of one unary call. */
function unary(method: string, more: readonly string[] = []): ProbeCase {
  return {
    name: `grpc-call-${method}`,
    script: [
      `rh grpc_call s:${GRPC_CLUSTER} s:t.S s:${method} ${MD} s:ping 2000 n`,
      "rh return 1",
      ...more,
      `gm ${READ_MESSAGE}`,
      `gm ${READ_STATUS}`,
      `gc ${READ_STATUS}`,
      "gm set_effective_context $s",
      "gm continue_stream 0",
      ...GO_ON,
      `log ${READ_STATUS}`,
    ],
  };
}

/** A request that waits for the end of one stream, whose only message ends our side. */
function stream(method: string, more: readonly string[] = []): ProbeCase {
  return {
    name: `grpc-stream-${method}`,
    script: [
      `rh grpc_stream s:${GRPC_CLUSTER} s:t.S s:${method} ${MD} n`,
      "rh grpc_send $1 s:ping 1",
      "rh return 1",
      ...more,
      `gi ${GET} 4 s::status v`,
      `gi ${GET} 4 s:x-begin v`,
      `gi ${GET} 5 s:x-end v`,
      `gi ${READ_MESSAGE}`,
      "gi add_header_map_value 4 s:x s:y",
      `gm ${READ_MESSAGE}`,
      "gm get_buffer_status 5 n n",
      "gm set_buffer_bytes 5 0 0 s:x",
      `gm ${GET} 4 s:x-begin v`,
      `gm ${READ_STATUS}`,
      `gt ${GET} 5 s:x-end v`,
      `gt ${GET} 5 s:grpc-status v`,
      `gt ${GET} 4 s:x-begin v`,
      "gt get_header_map_size 5 n",
      "gt remove_header_map_value 5 s:x-end",
      `gt ${READ_STATUS}`,
      `gc ${READ_STATUS}`,
      `gc ${GET} 5 s:x-end v`,
      "gc grpc_send $1 s:late 0",
      ...GO_ON,
      `log ${READ_STATUS}`,
      "log grpc_send $1 s:late 0",
      "log grpc_close $1",
      "log grpc_cancel $1",
      "log grpc_close $1",
    ],
  };
}

const METHODS = [
  ...["ok", "two", "empty", "silent", "fail", "failAfterMessage", "noStatus", "oddStatus"],
  ...["wordStatus", "compressed", "badFlags", "cut", "trailersOnly", "unavailable"],
  ...["unavailableWithStatus", "notFoundWithText", "endsWithoutTrailers", "reset"],
  ...["resetAfterMessage", "seen", "unknownMethod"],
];

/** `envoy_grpc {cluster_name, authority}` of a `GrpcService`. */
function envoyGrpc(cluster: string, authority = ""): Buffer {
  const name = fieldBytes(1, Buffer.from(cluster));
  return fieldBytes(1, Buffer.concat([name, fieldBytes(2, Buffer.from(authority))]));
}

/** A `GrpcService` with metadata of its own. */
const SERVICE = percent(
  Buffer.concat([
    envoyGrpc(GRPC_CLUSTER, "named.test"),
    fieldBytes(
      5,
      Buffer.concat([fieldBytes(1, Buffer.from("x-of-service")), fieldBytes(2, Buffer.from("1"))]),
    ),
  ]),
);

const MORE: readonly ProbeCase[] = [
  {
    name: "grpc-by-service",
    script: [
      `rh grpc_call s:${SERVICE} s:t.S s:seen p:x-md=1&x-md=2 s: 1000 n`,
      "rh return 1",
      `gm ${READ_MESSAGE}`,
      "gm set_effective_context $s",
      "gm continue_stream 0",
      ...GO_ON,
    ],
  },
  {
    name: "grpc-no-timeout",
    script: [
      `rh grpc_call s:${GRPC_CLUSTER} s:t.S s:seen p: s:x 0 n`,
      "rh return 1",
      `gm ${READ_MESSAGE}`,
      "gm set_effective_context $s",
      "gm continue_stream 0",
    ],
  },
  {
    name: "grpc-unknown-by-service",
    script: [
      `rh grpc_call s:${percent(envoyGrpc("nowhere"))} s:t.S s:ok p: s:x 1000 n`,
      `rh grpc_stream s:${percent(envoyGrpc("nowhere"))} s:t.S s:ok p: n`,
      "rh return 1",
      `gc ${READ_STATUS}`,
      ...GO_ON,
    ],
  },
  {
    name: "grpc-timeout",
    script: [
      `rh grpc_call s:${GRPC_CLUSTER} s:t.S s:never p: s:x 50 n`,
      "rh return 1",
      `gc ${READ_STATUS}`,
      ...GO_ON,
    ],
  },
  {
    name: "grpc-nobody",
    script: [
      `rh grpc_call s:${GRPC_DEAD_CLUSTER} s:t.S s:ok p: s:x 1000 n`,
      "rh return 1",
      `gc ${READ_STATUS}`,
      ...GO_ON,
    ],
  },
  {
    name: "grpc-nobody-stream",
    script: [
      `rh grpc_stream s:${GRPC_DEAD_CLUSTER} s:t.S s:ok p: n`,
      "rh return 1",
      "rh grpc_send $1 s:x 0",
      "gt get_header_map_pairs 5 v",
      ...GO_ON,
      "log grpc_cancel $1",
    ],
  },
  {
    name: "grpc-echo",
    script: [
      `rh grpc_stream s:${GRPC_CLUSTER} s:t.S s:echo p: n`,
      "rh grpc_send $1 s:one 0",
      "rh grpc_send $1 s: 0",
      "rh grpc_send $1 s:three 0",
      "rh grpc_send $1 X 0",
      "rh grpc_close $1",
      "rh grpc_close $1",
      "rh return 1",
      `gm ${READ_MESSAGE}`,
      ...GO_ON,
      "log grpc_send $1 s:x 0",
      "log grpc_close $1",
      "log grpc_cancel $1",
    ],
  },
  {
    name: "grpc-cancel-in-message",
    script: [
      `rh grpc_stream s:${GRPC_CLUSTER} s:t.S s:echo p: n`,
      "rh grpc_send $1 s:one 0",
      "rh return 1",
      "gm grpc_cancel $1",
      "gm grpc_cancel $1",
      "gm grpc_send $1 s:x 0",
      "gm set_effective_context $s",
      "gm continue_stream 0",
      ...GO_ON,
    ],
  },
  {
    name: "grpc-close-in-message",
    script: [
      `rh grpc_stream s:${GRPC_CLUSTER} s:t.S s:echo p: n`,
      "rh grpc_send $1 s:one 0",
      "rh return 1",
      "gm grpc_close $1",
      ...GO_ON,
    ],
  },
  {
    name: "grpc-end-open-call",
    script: [
      `rh grpc_call s:${GRPC_CLUSTER} s:t.S s:never p: s:x 0 n`,
      "rh grpc_send $1 s:x 0",
      "rh grpc_close $1",
      "rh grpc_close $1",
      `rh grpc_call s:${GRPC_CLUSTER} s:t.S s:never p: s:x 0 n`,
      "rh grpc_cancel $2",
      "rh grpc_cancel $2",
      `rh grpc_stream s:${GRPC_CLUSTER} s:t.S s:never p: n`,
      "rh grpc_cancel $3",
      "rh grpc_close $3",
      "rh grpc_send $3 s:x 1",
      "rh grpc_close 0",
      "rh grpc_cancel 0",
      "rh grpc_send 0 s:x 0",
      "rh grpc_close 3",
      "rh grpc_cancel 7",
      "rh grpc_send 3 s:x 0",
    ],
  },
  {
    name: "grpc-refused",
    script: inEveryPhase([
      `grpc_call X s:t.S s:ok p: s:x 1000 n`,
      `grpc_call s:${GRPC_CLUSTER} X s:ok p: s:x 1000 n`,
      `grpc_call s:${GRPC_CLUSTER} s:t.S X p: s:x 1000 n`,
      `grpc_call s:${GRPC_CLUSTER} s:t.S s:ok X s:x 1000 n`,
      `grpc_call s:${GRPC_CLUSTER} s:t.S s:ok p: X 1000 n`,
      `grpc_stream X s:t.S s:ok p: n`,
      `grpc_stream s:${GRPC_CLUSTER} s:t.S s:ok X n`,
      "grpc_send 6 X 0",
      "get_status x v",
      `get_header_map_value 4 s:x v`,
      `get_header_map_pairs 4 v`,
      `get_header_map_pairs 5 v`,
      "get_header_map_size 4 n",
      "set_header_map_pairs 4 p:a=b",
    ]),
  },
];

export const GRPC: ProbeGroup = {
  covers: "gRPC calls and streams",
  cases: [
    ...METHODS.map((method) => unary(method)),
    ...METHODS.map((method) => stream(method)),
    ...MORE,
  ],
};
