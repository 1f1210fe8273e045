//! The foreign functions declare_property and set_envoy_filter_state.

import { CLUSTER } from "../../support/conformance.ts";
import { fieldBytes, inEveryPhase, percent, storeObject as store } from "./case-parts.ts";
import type { ProbeGroup } from "./case-parts.ts";
import { DECLARED, DECLARED_STORED, DECLARES } from "./declared-messages.ts";

/** A field of a small number. */
function number(field: number, value: number): Buffer {
  return Buffer.from([field * 8, value]);
}

const READ_ONLY = number(2, 1);

function declare(name: string, ...more: readonly Buffer[]): string {
  const input = percent(Buffer.concat([fieldBytes(1, Buffer.from(name)), ...more]));
  return `call_foreign_function s:declare_property s:${input} v`;
}

function storeAndRead(path: string, ...values: readonly string[]): string[] {
  return values.flatMap((value) => [
    `rh ${store(path, value)}`,
    `rh get_property s:filter_state%00${path} v`,
    `rh get_property s:${path} v`,
  ]);
}

/** The object itself, its part, and a part that it does not have. */
function storeAndReadPart(path: string, value: string, part: string): string[] {
  return [
    `rh ${store(path, value)}`,
    ...["", `%00${part}`, "%00x"].map((end) => `rh get_property s:filter_state%00${path}${end} v`),
  ];
}

const PROXY_INFO = "envoy.network.transport_socket.http_11_proxy.info";
const LLM_PROTOCOL = "envoy.ai.llm_protocol.request";
const LLM_PROTOCOLS = [
  ...["LLM_PROTOCOL_UNSPECIFIED", "OPENAI_CHAT_COMPLETIONS", "OPENAI_RESPONSES"],
  ...["ANTHROPIC_MESSAGES", "GEMINI_GENERATE_CONTENT", "openai_responses", "OPENAI", "1", ""],
];
const MODEL_READS = [`${LLM_PROTOCOL}%00llm_protocol`, "envoy.ai.model.request"].flatMap((path) =>
  ["rh", "sh", "log"].map((phase) => `${phase} get_property s:filter_state%00${path} v`),
);
const ANY_TEXT = ["string", "hashable_string", "network.upstream_server_name"];
const MORE_TEXT = ["network.network_namespace", "tcp_proxy.cluster", "upstream.dynamic_host"];
const UNREAD = ["network.application_protocols", "router.debug_config"];
const ADDRESSES = [
  "network.transport_socket.original_dst_address",
  "filters.listener.original_dst.local_ip",
  "filters.listener.original_dst.remote_ip",
];
const SPANS = [0, 1, 2] as const;
/** A name for each pair of life spans; the numbers in them can be read back, too. */
const OF_SPANS = [
  ...["string", "hashable_string", "network.upstream_server_name"],
  ...["network.network_namespace", "tcp_proxy.cluster", "upstream.dynamic_host"],
  ...["upstream.dynamic_port", "ratelimit.hits_addend", "network.upstream_subject_alt_names"],
].map((name) => `envoy.${name}`);
const GET_CALL = "p::method=GET&:path=/call&:authority=echo&:scheme=http";

/** Of a later exchange of the connection. */
const LATER_SCRIPT: readonly string[] = [
  ...SPANS.flatMap((span) =>
    ["span", "fixed"].flatMap((kind) => [
      `rh get_property s:${kind}${span} v`,
      `rh get_property s:filter_state%00wasm.${kind}${span} v`,
      `rh set_property s:${kind}${span} s:third`,
      `log get_property s:${kind}${span} v`,
    ]),
  ),
  ...OF_SPANS.flatMap((name) => [
    `rh get_property s:filter_state%00${name} v`,
    `rh ${store(name, "3", number(3, 2))}`,
    `log get_property s:filter_state%00${name} v`,
  ]),
  "rh get_property s:plain v",
];

export const FILTER_STATE: ProbeGroup = {
  covers: "declared properties and Envoy's filter state",
  cases: [
    {
      name: "declare-in-stream",
      script: [
        ...inEveryPhase([declare("one", READ_ONLY), declare("one")]),
        "rh set_property s:one s:v1",
        "rh set_property s:one s:v2",
        "rh get_property s:one v",
        "rh get_property s:filter_state%00wasm.one v",
        "rh get_property s:filter_state%00one v",
        "rh call_foreign_function s:declare_property s: v",
        "rh call_foreign_function s:declare_property s: v",
        `rh ${declare("message", number(3, 3), fieldBytes(4, Buffer.from("x")))}`,
        `rh ${declare("odd", number(3, 9), number(5, 9))}`,
        "rh set_property s:odd s:v1",
        "rh get_property s:odd v",
      ],
    },
    {
      name: "declare-in-root",
      script: [
        `rh http_call s:${CLUSTER} ${GET_CALL} s: p: 2000 n`,
        "rh return 1",
        `call ${declare("fixed", READ_ONLY)}`,
        `call ${declare("fixed")}`,
        "call set_property s:fixed s:x",
        "call set_effective_context $s",
        "call set_property s:fixed s:v1",
        "call set_property s:fixed s:v2",
        "call get_property s:fixed v",
        `call ${declare("late", READ_ONLY)}`,
        `call ${store("envoy.string", "x")}`,
        `call ${store("nothing", "x")}`,
        "call continue_stream 0",
        "sh set_property s:fixed s:v3",
        "sh set_property s:late s:v3",
        "sh set_property s:late s:v4",
        "log get_property s:fixed v",
        "log get_property s:late v",
        "log set_property s:fixed s:v4",
      ],
    },
    {
      name: "declared-before",
      script: [
        "rh set_property s:fixed s:",
        "rh set_property s:fixed s:v1",
        "rh get_property s:fixed v",
        "rh set_property s:free s:v1",
        "rh set_property s:free s:v2",
        "rh get_property s:free v",
      ],
    },
    {
      name: "filter-state",
      script: [
        ...[...ANY_TEXT, ...MORE_TEXT].flatMap((name) => storeAndRead(`envoy.${name}`, "v1", "")),
        ...storeAndRead(
          "envoy.upstream.dynamic_port",
          "v1",
          "80",
          "65536",
          "-1",
          "4294967296",
          "007",
        ),
        ...storeAndRead("envoy.ratelimit.hits_addend", "v1", "7", "4294967295", "4294967296"),
        ...storeAndRead("envoy.ratelimit.hits_addend", "%201", "1%20", "+1", "1.5", "0x1"),
        ...storeAndRead("wasm.x", "v1"),
        ...storeAndRead("nothing", "v1"),
      ],
    },
    {
      name: "filter-state-kinds",
      script: [
        ...storeAndRead("envoy.network.upstream_subject_alt_names", "a", "a,b", ""),
        ...UNREAD.flatMap((name) => storeAndRead(`envoy.${name}`, "v1", "")),
        ...storeAndRead("envoy.tcp_proxy.disable_tunneling", "true", "True", "1", ""),
        ...storeAndRead(
          "envoy.tcp_proxy.per_connection_idle_timeout_ms",
          ...["", "x", "-1", "007", "18446744073709551615", "18446744073709551616"],
        ),
      ],
    },
    {
      name: "filter-state-words",
      script: [
        ...storeAndRead("envoy.bool", "true", "True", "t", "Y", "1", "0", "NO", "f", "", " 1", "x"),
        ...storeAndRead("envoy.ai.model.request", "gpt", "ü", ""),
        ...LLM_PROTOCOLS.flatMap((value) => storeAndReadPart(LLM_PROTOCOL, value, "llm_protocol")),
      ],
    },
    {
      name: "filter-state-parts-of-connection",
      script: [
        `rh ${store(LLM_PROTOCOL, "OPENAI_RESPONSES", number(3, 2))}`,
        `rh ${store("envoy.ai.model.request", "gpt", number(3, 1))}`,
        ...MODEL_READS,
      ],
      later: [{ script: MODEL_READS }],
    },
    {
      // It is kept, and nothing of it can be read; in clear the request goes where it went without.
      name: "filter-state-proxy-info",
      script: [
        ...["a.com:443,1.2.3.4:80", " a , 1.2.3.4:80 ", "\ta\n,\f[::1]:0\v", "a b,1.2.3.4:+080"],
        ...["a,1.2.3.4:80,b", "a.com:443", "", ",1.2.3.4:80", " ,1.2.3.4:80", "a,", "a, "],
        ...["a,b.com:80", "a,1.2.3.4", "a,::1", "a,1.2.3.4:65536", "a,01.2.3.4:80", "a,/tmp/x"],
      ].flatMap((value) => [
        `rh ${store(PROXY_INFO, value)}`,
        `rh get_property s:filter_state%00${PROXY_INFO} v`,
        `rh get_property s:upstream_filter_state%00${PROXY_INFO} v`,
      ]),
    },
    {
      name: "filter-state-addresses",
      script: [
        ...storeAndRead(
          "envoy.network.ip",
          ...["1.2.3.4", "01.2.3.4", "::1", "[::1]", "2001:DB8:0::1", "::ffff:1.2.3.4", "x"],
        ),
        ...ADDRESSES.flatMap((name) =>
          ["1.2.3.4:80", "1.2.3.4", "[::1]:080", "::1", "1.2.3.4:65536"].flatMap((value) => [
            `rh ${store(`envoy.${name}`, value)}`,
            ...["", "%00ip", "%00port", "%00x"].map(
              (part) => `rh get_property s:filter_state%00envoy.${name}${part} v`,
            ),
          ]),
        ),
      ],
    },
    {
      name: "declare-life-spans",
      script: [
        `rh http_call s:${CLUSTER} ${GET_CALL} s: p: 2000 n`,
        "rh return 1",
        ...SPANS.flatMap((span) => [
          `call ${declare(`span${span}`, number(5, span))}`,
          `call ${declare(`fixed${span}`, READ_ONLY, number(5, span))}`,
        ]),
        `call ${declare("declared-late", READ_ONLY, number(5, 2))}`,
        "call set_effective_context $s",
        "call continue_stream 0",
        "rh set_property s:declared-late s:first",
        "sh set_property s:declared-late s:second",
        "sh set_property s:declared-late s:third",
        "log get_property s:declared-late v",
      ],
      later: [{ script: ["rh get_property s:declared-late v"] }],
    },
    {
      name: "life-spans",
      script: [
        ...SPANS.flatMap((span) =>
          ["span", "fixed"].flatMap((kind) => [
            `rh set_property s:${kind}${span} s:first`,
            `sh set_property s:${kind}${span} s:second`,
            `log get_property s:${kind}${span} v`,
          ]),
        ),
        ...SPANS.flatMap((first) =>
          SPANS.map((second) => [OF_SPANS[first * 3 + second] ?? "", first, second] as const),
        ).flatMap(([name, first, second]) => [
          `rh ${store(name, "1", number(3, first))}`,
          `sh ${store(name, "2", number(3, second))}`,
          `log get_property s:filter_state%00${name} v`,
        ]),
        "rh set_property s:request s:mine",
        "rh get_property s:request%00method v",
        "rh set_property s:plain s:mine",
        "rh get_property s:plain%00part v",
        "rh get_property s:filter_state%00wasm.plain%00part v",
      ],
      later: [{ script: LATER_SCRIPT }, { script: LATER_SCRIPT }],
    },
    { name: "declare-messages", script: DECLARES },
    {
      name: "declared-messages",
      script: [
        ...DECLARED_STORED,
        ...DECLARED.flatMap(({ name }) =>
          ["", "%00k", "%00k%00k", "%00none"].flatMap((part) => [
            `rh get_property s:${name}${part} v`,
            `log get_property s:filter_state%00wasm.${name}${part} v`,
          ]),
        ),
      ],
    },
    {
      name: "filter-state-everywhere",
      script: [
        ...inEveryPhase([
          store("envoy.string", "v1", number(3, 1)),
          "get_property s:filter_state%00envoy.string v",
          "call_foreign_function s:set_envoy_filter_state s: v",
          "call_foreign_function s:set_envoy_filter_state s:%ff v",
        ]),
        "sh get_property s:filter_state%00wasm.envoy.string v",
      ],
    },
  ],
};
