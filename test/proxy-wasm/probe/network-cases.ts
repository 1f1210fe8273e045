//! What the probe does with connections, and what client and upstream do meanwhile.

import { fieldBytes, percent } from "./case-parts.ts";

export type Step =
  | { readonly send: string }
  /** Waits until so many bytes have come. */
  | { readonly await: number }
  | { readonly end: true }
  | { readonly reset: true }
  /** Waits until the other side has ended or cut the connection. */
  | { readonly awaitEnd: true };

export interface NetworkCase {
  readonly covers: string;
  /** Of the listeners of `network.test.ts`. */
  readonly listener: "proxy" | "two" | "http" | "dead" | "closed" | "open";
  readonly script: readonly string[];
  readonly steps: readonly Step[];
  /** What the client sees here, where docs/proxy-wasm-differences.md says why it differs. */
  readonly clientHere?: string;
}

/** Stands in requests for the number of the case. */
export const CASE = "THE-CASE";

const send = (text: string): Step => ({ send: text });
const awaits = (bytes: number): Step => ({ await: bytes });
const END: Step = { end: true };
const RESET: Step = { reset: true };
const AWAIT_END: Step = { awaitEnd: true };

const READS = [
  "get_buffer_bytes 2 0 100 v",
  "get_buffer_status 2 n n",
  "get_buffer_bytes 3 0 100 v",
];
const EVERYWHERE = ["nc", "dd", "ud", "dc", "uc", "done"];

function everywhere(line: string): string[] {
  return EVERYWHERE.map((phase) => `${phase} ${line}`);
}

const CALL = "http_call s:http p::method=GET&:path=/&:authority=a s: p: 3000 n";

function storeObject(path: string, value: string, lifeSpan: number): string {
  const parts = [fieldBytes(1, Buffer.from(path)), fieldBytes(2, Buffer.from(value))];
  const input = percent(Buffer.concat([...parts, Buffer.from([3 * 8, lifeSpan])]));
  return `call_foreign_function s:set_envoy_filter_state s:${input} v`;
}

/** By HTTP/1.1, with a script for the filter of exchanges. */
function request(script: readonly string[]): string {
  const fields = [`x-case: ${CASE}`, `x-probe: ${script.join(";")}`];
  return `GET / HTTP/1.1\r\nhost: a\r\n${fields.join("\r\n")}\r\n\r\n`;
}

/** The upstream echoes; after `bye` it ends, after `cut` it resets. */
export const NETWORK_CASES: readonly NetworkCase[] = [
  {
    covers: "one exchange, ended by the client",
    listener: "proxy",
    script: [],
    steps: [send("hello"), awaits(5), END, AWAIT_END],
  },
  {
    covers: "one exchange, ended by the upstream",
    listener: "proxy",
    script: [],
    steps: [send("bye"), awaits(3), AWAIT_END, END],
  },
  {
    covers: "a client that resets",
    listener: "proxy",
    script: [],
    steps: [send("hello"), awaits(5), RESET],
  },
  {
    covers: "an upstream that resets",
    listener: "proxy",
    script: [],
    steps: [send("cut"), AWAIT_END],
  },
  {
    covers: "buffers in every phase",
    listener: "proxy",
    script: READS.flatMap(everywhere),
    steps: [send("hello"), awaits(5), send("again"), awaits(10), END, AWAIT_END],
  },
  {
    covers: "bad arguments of buffers",
    listener: "proxy",
    script: [
      "dd1 get_buffer_bytes 2 1 2 v",
      "dd1 get_buffer_bytes 2 9 2 v",
      "dd1 get_buffer_bytes 2 0 -1 v",
      "dd1 get_buffer_bytes 2 0 5 x x",
      "dd1 get_buffer_bytes 0 0 5 v",
      "dd1 get_buffer_bytes 1 0 5 v",
      "dd1 get_buffer_bytes 9 0 5 v",
      "dd1 set_buffer_bytes 3 0 0 s:no",
      "dd1 set_buffer_bytes 2 2 1 s:middle",
      "dd1 set_buffer_bytes 2 0 1 X",
    ],
    steps: [send("hello"), awaits(5), END, AWAIT_END],
  },
  {
    covers: "bytes that are changed",
    listener: "proxy",
    script: [
      "dd1 set_buffer_bytes 2 0 0 s:before-",
      "dd1 set_buffer_bytes 2 100 0 s:-behind",
      "dd1 get_buffer_bytes 2 0 100 v",
      "ud1 set_buffer_bytes 3 0 7 s:",
      "ud1 set_buffer_bytes 3 100 0 s:!",
      "dd2 set_buffer_bytes 2 0 100 s:other",
    ],
    steps: [send("hello"), awaits(13), send("more"), awaits(18), END, AWAIT_END],
  },
  {
    covers: "bytes of the client that are held back and then let go",
    listener: "proxy",
    script: ["dd1 return 1", "dd2 return 1", "dd get_buffer_bytes 2 0 100 v"],
    steps: [send("one"), send("two"), send("three"), awaits(11), END, AWAIT_END],
  },
  {
    covers: "bytes of the upstream that are held back and then let go",
    listener: "proxy",
    script: ["ud1 return 1", "ud get_buffer_bytes 3 0 100 v"],
    steps: [send("one"), send("two"), awaits(6), END, AWAIT_END],
  },
  {
    covers: "an end that is held back with the bytes",
    listener: "proxy",
    script: [
      "dd1 return 1",
      "dd2 return 1",
      `dd2 ${CALL}`,
      "call set_effective_context $s",
      "call continue_stream 2",
    ],
    steps: [send("one"), END, AWAIT_END],
  },
  {
    covers: "an end of the upstream that is held back",
    listener: "proxy",
    script: ["ud2 return 1"],
    steps: [send("bye"), awaits(3), END, AWAIT_END],
  },
  {
    covers: "a connection that is held back until its first bytes",
    listener: "http",
    script: ["nc return 1"],
    steps: [send("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), awaits(100), END, AWAIT_END],
  },
  {
    covers: "a connection that a call lets in",
    listener: "proxy",
    script: [
      "nc return 1",
      `nc ${CALL}`,
      "call set_effective_context $s",
      "call continue_stream 2",
    ],
    steps: [{ send: "" }, { send: "" }, { send: "" }, send("hello"), awaits(5), END, AWAIT_END],
  },
  {
    covers: "bytes that a call lets go",
    listener: "proxy",
    script: [
      "dd1 return 1",
      `dd1 ${CALL}`,
      "call get_buffer_bytes 2 0 100 v",
      "call set_effective_context $s",
      "call get_buffer_bytes 2 0 100 v",
      "call set_buffer_bytes 2 0 0 s:late-",
      "call continue_stream 2",
    ],
    steps: [send("hello"), awaits(10), send("next"), awaits(14), END, AWAIT_END],
  },
  {
    covers: "continue in the callback that stops, and in one that does not",
    listener: "proxy",
    script: [
      "dd1 continue_stream 2",
      "dd1 return 1",
      "dd2 continue_stream 2",
      "ud continue_stream 3",
    ],
    steps: [send("one"), awaits(3), send("two"), awaits(6), END, AWAIT_END],
  },
  {
    covers: "continue of other streams, and bad ones",
    listener: "proxy",
    script: [0, 1, 3, 4, -1].map((kind) => `dd1 continue_stream ${kind}`),
    steps: [send("one"), awaits(3), END, AWAIT_END],
  },
  {
    covers: "close in a new connection",
    listener: "proxy",
    script: ["nc close_stream 2"],
    steps: [AWAIT_END],
  },
  {
    covers: "close of the downstream with bytes",
    listener: "proxy",
    script: ["dd1 close_stream 2"],
    steps: [send("one"), AWAIT_END],
  },
  {
    covers: "close of the upstream with bytes of the upstream",
    listener: "proxy",
    script: ["ud1 close_stream 3"],
    steps: [send("one"), AWAIT_END],
  },
  {
    covers: "close of other streams, and bad ones",
    listener: "proxy",
    script: [4, -1].map((kind) => `dd1 close_stream ${kind}`),
    steps: [send("one"), awaits(3), END, AWAIT_END],
  },
  {
    covers: "properties",
    listener: "proxy",
    script: [
      "connection%00mtls",
      "connection%00requested_server_name",
      "plugin_name",
      "plugin_root_id",
      "plugin_vm_id",
      "upstream%00address",
      "upstream%00port",
      "xds%00cluster_name",
      "xds%00route_name",
      "request%00path",
      "request%00protocol",
      "response%00code",
      "source",
      "destination%00address",
      "destination%00port",
      "nothing",
      "connection%00nothing",
      "destination%00nothing",
    ].flatMap((path) => everywhere(`get_property s:${path} v`)),
    steps: [send("one"), awaits(3), END, AWAIT_END],
  },
  {
    covers: "properties of the configuration",
    listener: "proxy",
    script: [
      ...["node.id", "node.cluster", "node.metadata.text", "node.locality.zone", "node.nothing"],
      ...["listener_direction", "filter_chain_name", "listener_metadata", "listener_metadata.none"],
      ...["listener_metadata.filter_metadata.space.text", "virtual_host_metadata"],
      ...["cluster_metadata", "cluster_metadata.filter_metadata.space.text", "route_metadata"],
      ...["upstream_host_metadata", "upstream_host_metadata.filter_metadata.space.text"],
      ...["upstream_host_locality_metadata", "virtual_host_name", "nothing"],
    ].flatMap((path) => everywhere(`get_property s:xds%00${path.replaceAll(".", "%00")} v`)),
    steps: [send("one"), awaits(3), END, AWAIT_END],
  },
  {
    covers: "properties of the upstream and of outcomes",
    listener: "proxy",
    script: [
      ...["upstream%00locality", "upstream%00locality%00zone", "upstream%00request_attempt_count"],
      ...["upstream%00transport_failure_reason", "upstream%00tls_version", "upstream%00nothing"],
      ...["upstream", "upstream_filter_state", "metadata", "metadata%00filter_metadata"],
      ...["response%00flags", "response%00code_details", "response%00grpc_status"],
      ...["request%00headers", "request%00size", "request%00id", "response%00size"],
      ...["connection%00termination_details", "connection%00transport_failure_reason"],
      ...["connection%00tls_version", "connection%00subject_peer_certificate", "filter_state"],
    ].flatMap((path) => everywhere(`get_property s:${path} v`)),
    steps: [send("one"), awaits(3), END, AWAIT_END],
  },
  {
    covers: "properties before HTTP",
    listener: "http",
    script: [
      ...["xds%00node%00id", "xds%00listener_direction", "xds%00listener_metadata"],
      ...["xds%00filter_chain_name", "xds%00cluster_name", "xds%00cluster_metadata"],
      ...["xds%00route_name", "xds%00upstream_host_metadata", "upstream%00address"],
      ...["upstream%00transport_failure_reason", "upstream%00request_attempt_count"],
      ...["response%00flags", "request%00protocol", "metadata", "xds%00virtual_host_name"],
      ...["request%00size", "request%00path"],
    ].flatMap((path) =>
      ["nc", "dd", "ud1", "dc", "done"].map((phase) => `${phase} get_property s:${path} v`),
    ),
    steps: [send("GET / HTTP/1.1\r\nhost: a\r\n\r\n"), awaits(100), END, AWAIT_END],
  },
  {
    covers: "properties where no upstream is",
    listener: "dead",
    script: [
      ...["xds%00cluster_name", "xds%00cluster_metadata", "xds%00upstream_host_metadata"],
      ...["upstream%00address", "upstream%00transport_failure_reason", "response%00flags"],
      ...["response%00code_details", "upstream%00request_attempt_count", "upstream%00locality"],
    ].flatMap((path) => everywhere(`get_property s:${path} v`)),
    steps: [AWAIT_END],
  },
  {
    covers: "properties that are set",
    listener: "proxy",
    script: [
      "nc set_property s:mine s:value",
      ...everywhere("get_property s:mine v"),
      ...everywhere("get_property s:filter_state%00wasm.mine v"),
    ],
    steps: [send("one"), awaits(3), END, AWAIT_END],
  },
  {
    covers: "headers and local replies, which are not there",
    listener: "proxy",
    script: [
      "dd1 get_header_map_value 0 s::path v",
      "dd1 get_header_map_pairs 0 v",
      "dd1 get_header_map_size 0 n",
      "dd1 add_header_map_value 0 s:a s:b",
      "dd1 replace_header_map_value 2 s:a s:b",
      "dd1 remove_header_map_value 0 s:a",
      "dd1 set_header_map_pairs 0 p:a=b",
      "dd1 send_local_response 403 s: s:no p: -1",
    ],
    steps: [send("one"), awaits(3), END, AWAIT_END],
  },
  {
    covers: "contexts, metrics and shared data in a connection",
    listener: "proxy",
    script: [
      "dd1 set_effective_context 0",
      "dd1 set_effective_context 12345",
      "dd1 done",
      "dd1 define_metric 0 s:connections n",
      "dd1 increment_metric $1 L1",
      "dd1 set_shared_data s:key s:value 0",
      "dd1 get_shared_data s:nokey v n",
      "dd1 get_status n v",
    ],
    steps: [send("one"), awaits(3), END, AWAIT_END],
  },
  {
    covers: "two filters, and their order each way",
    listener: "two",
    script: ["dd1 set_buffer_bytes 2 0 0 s:x", "ud1 set_buffer_bytes 3 0 0 s:y"],
    steps: [send("one"), awaits(7), send("two"), awaits(10), END, AWAIT_END],
  },
  {
    covers: "two filters that hold bytes back: the first sees them again",
    listener: "two",
    script: ["dd2 return 1", "dd4 return 1", "dd get_buffer_bytes 2 0 100 v"],
    steps: [send("a"), send("b"), send("c"), send("d"), send("e"), awaits(5), RESET],
  },
  {
    covers: "an upstream where nobody listens",
    listener: "dead",
    script: [],
    steps: [AWAIT_END],
  },
  {
    covers: "a filter before HTTP",
    listener: "http",
    script: ["dd1 get_buffer_bytes 2 0 14 v"],
    steps: [
      send("GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
      awaits(100),
      send("GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
      awaits(200),
      END,
      AWAIT_END,
    ],
  },
  {
    covers: "a request that a filter holds back and changes",
    listener: "http",
    script: ["dd1 return 1", "dd2 return 1", "dd3 set_buffer_bytes 2 0 5 s:GET%20/x"],
    steps: [
      send("GET /"),
      send(" HTTP/1.1\r\n"),
      send("host: a\r\n\r\n"),
      awaits(100),
      END,
      AWAIT_END,
    ],
  },
  {
    covers: "what a filter before HTTP and filters of exchanges store for the connection",
    listener: "http",
    script: [
      "nc get_property s:connection%00id v",
      "nc get_property s:connection_id v",
      "nc set_property s:early s:of-network",
      `nc ${storeObject("envoy.string", "of-network", 0)}`,
      ...[
        "early",
        "late",
        "filter_state%00envoy.string",
        "filter_state%00envoy.hashable_string",
      ].map((path) => `dc get_property s:${path} v`),
      `dc ${storeObject("envoy.hashable_string", "of-network", 0)}`,
      "dc get_property s:filter_state%00envoy.hashable_string v",
    ],
    steps: [
      ...[1, 2].flatMap((count) => [
        send(
          request([
            "rh get_property s:connection%00id v",
            "rh get_property s:connection_id v",
            "rh get_property s:early v",
            "rh get_property s:filter_state%00wasm.early v",
            `rh set_property s:early s:of-exchange-${count}`,
            `rh set_property s:late s:of-exchange-${count}`,
            "log get_property s:early v",
            `rh ${storeObject("envoy.string", "of-exchange", 0)}`,
            "rh get_property s:filter_state%00envoy.string v",
            `rh ${storeObject("envoy.string", `of-exchange-${count}`, 2)}`,
            "rh get_property s:filter_state%00envoy.string v",
            `rh ${storeObject("envoy.hashable_string", `of-exchange-${count}`, 2)}`,
          ]),
        ),
        awaits(100 * count),
      ]),
      END,
      AWAIT_END,
    ],
  },
  {
    covers: "a cluster that a filter chooses for the TCP proxy",
    listener: "dead",
    script: [
      `nc ${storeObject("envoy.tcp_proxy.cluster", "echo", 0)}`,
      ...everywhere("get_property s:xds%00cluster_name v"),
    ],
    steps: [send("hello"), awaits(5), END, AWAIT_END],
  },
  {
    covers: "a cluster that a filter chooses when it lets the connection in",
    listener: "dead",
    script: [
      "nc return 1",
      `nc ${CALL.replace(/n$/, "t")}`,
      "call set_effective_context $s",
      `call ${storeObject("envoy.tcp_proxy.cluster", "echo", 2)}`,
      "call continue_stream 2",
    ],
    steps: [{ send: "" }, { send: "" }, { send: "" }, send("hello"), awaits(5), END, AWAIT_END],
  },
  {
    covers: "a cluster that a filter chooses too late",
    listener: "proxy",
    script: [
      `dd1 ${storeObject("envoy.tcp_proxy.cluster", "dead", 0)}`,
      "dd1 get_property s:filter_state%00envoy.tcp_proxy.cluster v",
    ],
    steps: [send("hello"), awaits(5), END, AWAIT_END],
  },
  {
    covers: "a cluster that is not there",
    listener: "proxy",
    script: [
      `nc ${storeObject("envoy.tcp_proxy.cluster", "nowhere", 0)}`,
      ...["xds%00cluster_name", "upstream%00address", "upstream%00request_attempt_count"].flatMap(
        (path) => [`dc get_property s:${path} v`, `done get_property s:${path} v`],
      ),
      "dc get_property s:response%00flags v",
      "dc get_property s:upstream%00transport_failure_reason v",
    ],
    steps: [AWAIT_END],
  },
  {
    covers: "an idle time that a filter sets for its connection",
    listener: "proxy",
    script: [`nc ${storeObject("envoy.tcp_proxy.per_connection_idle_timeout_ms", "300", 0)}`],
    steps: [send("hello"), awaits(5), AWAIT_END],
  },
  {
    covers: "a trap with the fail mode closed",
    listener: "closed",
    script: ["dd1 trap"],
    steps: [send("one"), AWAIT_END],
  },
  {
    covers: "a trap with the fail mode open",
    listener: "open",
    script: ["dd2 trap"],
    clientHere: 'ended "onetwo"',
    steps: [send("one"), awaits(3), send("two"), awaits(6), END, AWAIT_END],
  },
];
