//! What the probe is told to do: each group of cases names the part of the ABI that it covers.

import { BODY, CHUNKS, everywhere, GET } from "./case-parts.ts";
import type { ProbeGroup } from "./case-parts.ts";
import { FILTER_STATE } from "./filter-state-cases.ts";
import { GRPC } from "./grpc-cases.ts";
import { CALLS, FOREIGN, METRICS, NAMES, PROPERTIES, SHARED } from "./state-cases.ts";

const HEADERS: ProbeGroup = {
  covers: "header maps in every phase",
  cases: [
    everywhere("get-header", [
      `${GET} 0 s:x-a v`,
      `${GET} 0 s:X-A v`,
      `${GET} 0 s:x-none v`,
      `${GET} 0 s::path v`,
      `${GET} 0 s::method v`,
      `${GET} 0 s::authority v`,
      `${GET} 0 s:host v`,
      `${GET} 2 s::status v`,
      `${GET} 2 s:x-echo v`,
      `${GET} 1 s:x v`,
      `${GET} 3 s:x v`,
      `${GET} 4 s:x v`,
      `${GET} 6 s:x v`,
      `${GET} 8 s:x v`,
      `${GET} -1 s:x v`,
      `${GET} 0 X v`,
      `${GET} 0 s:x-a x x`,
      `${GET} 0 s: v`,
    ]),
    everywhere("change-header", [
      "add_header_map_value 0 s:x-b s:one",
      "add_header_map_value 0 s:x-b s:two",
      `${GET} 0 s:x-b v`,
      "replace_header_map_value 0 s:x-b s:three",
      `${GET} 0 s:x-b v`,
      "remove_header_map_value 0 s:x-b",
      "remove_header_map_value 0 s:x-b",
      `${GET} 0 s:x-b v`,
      "add_header_map_value 2 s:x-c s:one",
      "replace_header_map_value 2 s:x-c s:two",
      `${GET} 2 s:x-c v`,
      "add_header_map_value 1 s:x s:y",
      "add_header_map_value 4 s:x s:y",
      "add_header_map_value 6 s:x s:y",
      "add_header_map_value 9 s:x s:y",
      "add_header_map_value 0 s: s:y",
      "add_header_map_value 0 X s:y",
      "replace_header_map_value 0 s:x X",
      "remove_header_map_value 9 s:x",
      "remove_header_map_value 0 X",
    ]),
    everywhere("header-pairs", [
      "get_header_map_pairs 1 v",
      "get_header_map_pairs 3 v",
      "get_header_map_pairs 4 v",
      "get_header_map_pairs 6 v",
      "get_header_map_pairs 8 v",
      "get_header_map_pairs 1 x x",
      "get_header_map_size 1 n",
      "get_header_map_size 3 n",
      "get_header_map_size 5 n",
      "get_header_map_size 8 n",
      "set_header_map_pairs 1 p:x=y",
      "set_header_map_pairs 4 p:x=y",
      "set_header_map_pairs 9 p:x=y",
      "set_header_map_pairs 2 X",
    ]),
    {
      name: "set-response-pairs",
      script: [
        "sh set_header_map_pairs 2 p::status=201&x-only=this",
        `sh ${GET} 2 s:x-echo v`,
        `sh ${GET} 2 s::status v`,
        "sh get_header_map_pairs 2 v",
        "sh get_header_map_size 2 n",
      ],
    },
    {
      name: "change-status",
      script: ["sh replace_header_map_value 2 s::status s:418", `sh ${GET} 2 s::status v`],
    },
    {
      name: "change-path",
      script: [
        "rh replace_header_map_value 0 s::path s:/other",
        `rh ${GET} 0 s::path v`,
        "rh add_header_map_value 0 s:x-new s:1",
        `log ${GET} 0 s::path v`,
      ],
    },
  ],
};

const BODIES: ProbeGroup = {
  covers: "bodies: chunks, buffering, changes, limits",
  cases: [
    {
      name: "body-seen",
      ...BODY,
      chunks: CHUNKS,
      script: everyBody(["get_buffer_bytes K 0 100 v"]),
    },
    {
      name: "body-length",
      ...BODY,
      body: "hello",
      script: everyBody(["get_buffer_bytes K 0 100 v"]),
    },
    {
      name: "body-parts",
      ...BODY,
      body: "hello",
      script: everyBody([
        "get_buffer_status K n n",
        "get_buffer_bytes K 1 2 v",
        "get_buffer_bytes K 5 2 v",
        "get_buffer_bytes K 6 2 v",
        "get_buffer_bytes K 0 0 v",
        "get_buffer_bytes K -1 -1 v",
        "get_buffer_bytes K 0 100 x x",
        "get_buffer_status K x x",
      ]),
    },
    {
      name: "body-held",
      ...BODY,
      chunks: CHUNKS,
      script: ["rb get_buffer_bytes 0 0 100 v", "rb return 1", "rb1 return 0"],
    },
    {
      name: "body-replaced",
      ...BODY,
      body: "hello",
      script: [
        "rb return 1",
        "rb1 set_buffer_bytes 0 0 999 s:something%20longer",
        "rb1 return 0",
        "rh remove_header_map_value 0 s:content-length",
      ],
    },
    {
      name: "body-watermark",
      ...BODY,
      chunks: CHUNKS,
      script: ["rb get_buffer_bytes 0 0 100 v", "rb return 2", "rb1 return 0"],
    },
    {
      name: "response-held",
      path: "/chunks",
      script: [
        "sb return 1",
        "sb1 get_buffer_bytes 1 0 100 v",
        "sb1 set_buffer_bytes 1 0 3 s:ONE",
        "sb1 return 0",
      ],
    },
    {
      name: "response-answered",
      path: "/chunks",
      script: ["sb return 1", "sb1 send_local_response 500 s: s:late p: -1"],
    },
    {
      name: "body-held-then-answered",
      ...BODY,
      chunks: CHUNKS,
      script: [
        "rb get_buffer_bytes 0 0 100 v",
        "rb return 1",
        "rb send_local_response 403 s:no s:denied p:x-why=body -1",
      ],
    },
    {
      name: "chunks-prepended",
      ...BODY,
      chunks: CHUNKS,
      script: ["rb set_buffer_bytes 0 0 0 s:<"],
    },
    {
      name: "chunks-replaced",
      ...BODY,
      chunks: CHUNKS,
      script: ["rb set_buffer_bytes 0 0 9 s:[x]"],
    },
    {
      name: "chunks-appended",
      ...BODY,
      chunks: CHUNKS,
      script: ["rb set_buffer_bytes 0 99 0 s:>"],
    },
    {
      name: "chunks-inside",
      ...BODY,
      chunks: CHUNKS,
      script: [
        "rb set_buffer_bytes 0 1 1 s:!",
        "rb set_buffer_bytes 0 0 0 X",
        "rb set_buffer_bytes 9 0 0 s:x",
      ],
    },
    {
      name: "response-prepended",
      script: [
        "sb get_buffer_bytes 1 0 100 v",
        "sb set_buffer_bytes 1 0 0 s:<",
        "sh remove_header_map_value 2 s:content-length",
      ],
    },
    {
      name: "response-replaced",
      script: [
        "sh remove_header_map_value 2 s:content-length",
        "sb set_buffer_bytes 1 0 999 s:new",
        "sb get_buffer_bytes 1 0 100 v",
      ],
    },
    {
      name: "response-length-removed",
      script: [
        "sh remove_header_map_value 2 s:content-length",
        `sh ${GET} 2 s:content-length v`,
        "sb set_buffer_bytes 1 999 0 s:+",
      ],
    },
    {
      name: "drop-body",
      ...BODY,
      chunks: CHUNKS,
      script: ["rb return 3", "rb send_local_response 200 s: s:dropped p: -1"],
    },
    {
      name: "buffers-in-headers",
      ...BODY,
      body: "hello",
      script: ["rh", "sh", "log", "done"].flatMap((phase) =>
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((kind) => [
          `${phase} get_buffer_status ${kind} n n`,
          `${phase} get_buffer_bytes ${kind} 0 10 v`,
          `${phase} set_buffer_bytes ${kind} 0 0 s:x`,
        ]),
      ),
    },
    { name: "no-content", path: "/status/204", script: [] },
    { name: "head", method: "HEAD", script: [] },
  ],
};

function everyBody(lines: readonly string[]): string[] {
  return [
    ...lines.map((line) => `rb ${line.replace("K", "0")}`),
    ...lines.map((line) => `sb ${line.replace("K", "1")}`),
  ];
}

const TRAILERS: ProbeGroup = {
  covers: "trailers",
  cases: [
    {
      name: "request-trailers",
      ...BODY,
      chunks: CHUNKS,
      trailers: [
        ["x-t", "1"],
        ["x-u", "2"],
      ],
      script: [
        `rt ${GET} 1 s:x-t v`,
        `rt ${GET} 1 s:x-none v`,
        "rt get_header_map_pairs 1 v",
        "rt get_header_map_size 1 n",
        "rt add_header_map_value 1 s:x-v s:3",
        "rt replace_header_map_value 1 s:x-t s:4",
        "rt remove_header_map_value 1 s:x-u",
        "rt get_header_map_pairs 1 v",
        "rt get_buffer_bytes 0 0 100 v",
        `rb ${GET} 1 s:x-t v`,
        `sh ${GET} 1 s:x-t v`,
        `log ${GET} 1 s:x-t v`,
      ],
    },
    {
      name: "trailers-with-held-body",
      ...BODY,
      chunks: CHUNKS,
      trailers: [["x-t", "1"]],
      script: ["rb return 1", "rt get_buffer_bytes 0 0 100 v", "rt set_buffer_bytes 0 0 3 s:ABC"],
    },
    {
      name: "response-trailers",
      path: "/trailers",
      headers: [["te", "trailers"]],
      script: [
        `st ${GET} 3 s:x-end v`,
        "st get_header_map_pairs 3 v",
        `log ${GET} 3 s:x-end v`,
        `sb ${GET} 3 s:x-end v`,
      ],
    },
    {
      name: "trailers-made",
      ...BODY,
      chunks: CHUNKS,
      script: ["rb add_header_map_value 1 s:x-made s:1", `rb ${GET} 1 s:x-made v`],
    },
  ],
};

const REPLIES: ProbeGroup = {
  covers: "local replies, continue and close from every phase",
  cases: [
    {
      name: "reply-headers",
      script: [
        "rh send_local_response 403 s:my%20details s:denied p:x-why=no -1",
        "sb get_buffer_bytes 1 0 99 v",
      ],
    },
    { name: "reply-empty", script: ["rh send_local_response 204 s: s: p: -1"] },
    {
      name: "reply-twice",
      script: [
        "rh send_local_response 401 s: s:one p: -1",
        "rh send_local_response 402 s: s:two p: -1",
        "rh continue_stream 0",
      ],
    },
    { name: "reply-in-response", script: ["sh send_local_response 503 s: s:instead p:x-new=1 -1"] },
    {
      name: "reply-content-type",
      script: ["rh send_local_response 200 s: s:{} p:content-type=application/json -1"],
    },
    {
      name: "reply-bad-pointers",
      script: [
        "rh send_local_response 403 X s:x p: -1",
        "rh send_local_response 403 s: X p: -1",
        "rh send_local_response 403 s: s: X -1",
      ],
    },
    // Envoy dies of a continue that has nothing to continue, in the response and at the end.
    {
      name: "continue-when-running",
      script: [
        "continue_stream 0",
        "continue_stream 2",
        "continue_stream 3",
        "continue_stream 4",
        "continue_stream -1",
        `${GET} 0 s:x-case v`,
      ].map((line) => `rh ${line}`),
    },
    { name: "stop-and-continue", script: ["rh return 1", "rh continue_stream 0"] },
    { name: "close-bad-kinds", script: ["rh close_stream 4", "rh close_stream -1"] },
    { name: "headers-action-2", script: ["rh return 2", "sh return 2"] },
  ],
};

const MISCELLANY: ProbeGroup = {
  covers: "log, time, contexts, status, done",
  cases: [
    everywhere("log", [
      "log 2 s:hello",
      "log 6 s:x",
      "log 7 s:x",
      "log -1 s:x",
      "log 2 X",
      "get_log_level n",
      "get_log_level x",
    ]),
    everywhere("time", ["get_current_time_nanoseconds N", "get_current_time_nanoseconds x"]),
    everywhere("contexts", [
      "set_effective_context 12345",
      "set_effective_context 0",
      `${GET} 0 s:x-case v`,
      "set_effective_context 1",
      `${GET} 0 s:x-case v`,
      "set_effective_context $s",
      "done",
      "get_status n v",
      "get_status x x x",
    ]),
  ],
};

export const GROUPS: readonly ProbeGroup[] = [
  HEADERS,
  BODIES,
  TRAILERS,
  REPLIES,
  MISCELLANY,
  SHARED,
  METRICS,
  PROPERTIES,
  FOREIGN,
  CALLS,
  NAMES,
  GRPC,
  FILTER_STATE,
];
