//! Plug-ins that do their worst, one kind each, and one that does its work beside them.

import { guest } from "./guest.ts";

/** The cluster that they call out to. */
interface CallTarget {
  readonly cluster: string;
}

export interface HostileGuest {
  readonly bytes: Uint8Array;
  /** What its crash report says; null: its limits hold it (or its budget, on a slow machine). */
  readonly trap: RegExp | null;
}

const FOREVER = "(loop $forever (br $forever))";
const PHASE = "(param i32 i32 i32) (result i32)";
export const TOO_LONG: RegExp = /it ran for longer than its budget/;
/** Where texts are written: `x-fill`, and `:path` behind it. */
const TEXTS = '(data (i32.const 16) "x-fill:path")';

const on = (name: string, type: string, code: string): string =>
  `(func (export "proxy_on_${name}") ${type} ${code})`;
const onRequest = (code: string): string => on("request_headers", PHASE, code);
const imported = (name: string, alias: string, count: number): string =>
  `(import "env" "proxy_${name}"
    (func $${alias} (param${" i32".repeat(count)}) (result i32)))`;

/** `code` so often; its round is in `$i`. */
function times(count: number, code: string): string {
  return `(local $i i32) (loop $again ${code}
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $again (i32.lt_u (local.get $i) (i32.const ${count}))))`;
}

const numbers = (...values: readonly number[]): string =>
  values.map((value) => `(i32.const ${value})`).join(" ");

function looping(body: string): HostileGuest {
  return { bytes: guest({ body }), trap: TOO_LONG };
}

const LOOPS: Readonly<Record<string, HostileGuest>> = {
  "loop-request-headers": looping(onRequest(`${FOREVER} unreachable`)),
  "loop-request-body": looping(on("request_body", PHASE, `${FOREVER} unreachable`)),
  "loop-response-headers": looping(on("response_headers", PHASE, `${FOREVER} unreachable`)),
  "loop-response-body": looping(on("response_body", PHASE, `${FOREVER} unreachable`)),
  "loop-log": looping(on("log", "(param i32)", FOREVER)),
  "loop-configure": looping(
    on("configure", "(param i32 i32) (result i32)", `${FOREVER} unreachable`),
  ),
  "loop-nested-call": looping(`(type $t (func)) (table 1 funcref) (elem (i32.const 0) $loop)
    (func $loop ${FOREVER})
    (func $inner (call_indirect (type $t) (i32.const 0)))
    (func $outer (call $inner))
    ${onRequest("(call $outer) (i32.const 0)")}`),
  "loop-allocator": {
    bytes: guest({
      imports: imported("get_header_map_value", "get", 5),
      malloc: `(func (export "malloc") (param i32) (result i32) ${FOREVER} unreachable)`,
      body: `${TEXTS} ${onRequest(`(call $get ${numbers(0, 22, 5, 32, 36)})`)}`,
    }),
    trap: TOO_LONG,
  },
  "loop-tick": {
    bytes: guest({
      imports: imported("set_tick_period_milliseconds", "period", 1),
      body: `${on("tick", "(param i32)", FOREVER)}
        ${onRequest("(drop (call $period (i32.const 10))) (i32.const 0)")}`,
    }),
    trap: TOO_LONG,
  },
};

const BREAKS: Readonly<Record<string, HostileGuest>> = {
  "break-unreachable": { bytes: guest({ body: onRequest("unreachable") }), trap: /unreachable/ },
  "break-out-of-bounds": {
    bytes: guest({ body: onRequest("(i32.load (i32.const -4))") }),
    trap: /out of bounds/,
  },
  "break-stack": {
    bytes: guest({
      body: `(func $f (export "proxy_on_request_headers") ${PHASE}
        (i32.add (i32.const 1) (call $f (local.get 0) (local.get 1) (local.get 2))))`,
    }),
    trap: /call stack size/,
  },
  "break-empty-table": {
    bytes: guest({
      body: `(table 1 funcref) (type $v (func))
        ${onRequest("(call_indirect (type $v) (i32.const 0)) (i32.const 0)")}`,
    }),
    trap: /null function|signature mismatch|out of bounds/,
  },
};

/** What asks for too much, or wrongly, and is told no. */
const GREEDY: Readonly<Record<string, HostileGuest>> = {
  "greedy-memory": {
    bytes: guest({
      body: onRequest(
        `(loop $more (br_if $more (i32.ne (memory.grow (i32.const 256)) (i32.const -1))))
        (i32.const 0)`,
      ),
    }),
    trap: null,
  },
  "bad-allocator": {
    bytes: guest({
      imports: imported("get_header_map_value", "get", 5),
      malloc: '(func (export "malloc") (param i32) (result i32) (i32.const -8))',
      body: `${TEXTS} ${onRequest(
        `(drop (call $get ${numbers(0, 22, 5, 32, 36)})) (i32.const 0)`,
      )}`,
    }),
    trap: null,
  },
  "bad-pointers": {
    bytes: guest({
      imports: imported("get_header_map_value", "get", 5) + imported("log", "log", 3),
      body: onRequest(
        `${times(
          100,
          `(drop (call $get ${numbers(0, -1, 5, -4, 0x7fffffff)}))
        (drop (call $get ${numbers(0, 16, -1, 65_535, 32)}))
        (drop (call $log ${numbers(2, 65_000, -1)}))`,
        )} (i32.const 0)`,
      ),
    }),
    trap: null,
  },
  "giant-header-map": {
    bytes: guest({
      imports:
        imported("add_header_map_value", "add", 5) +
        imported("set_header_map_pairs", "pairs", 3) +
        imported("remove_header_map_value", "remove", 3),
      // A map that says of itself that it has 2^32 - 1 fields; then fields until there is no room.
      body: `${TEXTS} (data (i32.const 128) "\\ff\\ff\\ff\\ff")
        ${onRequest(`${times(2_000, `(drop (call $add ${numbers(0, 16, 6, 4_096, 1_000)}))`)}
          (drop (call $pairs ${numbers(0, 128, 4)}))
          (drop (call $remove ${numbers(0, 16, 6)})) (i32.const 0)`)}`,
    }),
    trap: null,
  },
  "timer-storm": {
    bytes: guest({
      imports: imported("set_tick_period_milliseconds", "period", 1) + imported("log", "log", 3),
      body: `${on("tick", "(param i32)", `(drop (call $log ${numbers(0, 16, 1)}))`)}
        ${onRequest("(drop (call $period (i32.const 1))) (i32.const 0)")}`,
    }),
    trap: null,
  },
  "queue-flood": {
    bytes: guest({
      imports:
        imported("register_shared_queue", "register", 3) +
        imported("enqueue_shared_queue", "put", 3),
      // Of each item that it is told of come two.
      body: `${TEXTS} (func $fill (drop (call $put (i32.load (i32.const 64)) ${numbers(16, 4)})))
        ${on("queue_ready", "(param i32 i32)", "(call $fill) (call $fill)")}
        ${onRequest(`${times(2_000, "(call $fill)")} (i32.const 0)`)}
        ${on(
          "configure",
          "(param i32 i32) (result i32)",
          `(i32.eqz (call $register ${numbers(16, 6, 64)}))`,
        )}`,
    }),
    trap: null,
  },
};

/** Headers of a call out: `:method POST`, `:path /`, `:authority a`. */
function callHeaders(): Buffer {
  const texts = [":method", "POST", ":path", "/", ":authority", "a"].map((text) =>
    Buffer.from(text),
  );
  const sizes = Buffer.alloc(4 + 4 * texts.length);
  sizes.writeUInt32LE(texts.length / 2);
  texts.forEach((text, index) => sizes.writeUInt32LE(text.length, 4 + 4 * index));
  return Buffer.concat([sizes, ...texts.flatMap((text) => [text, Buffer.from([0])])]);
}

function dataAt(address: number, bytes: Buffer): string {
  const text = [...bytes].map((byte) => `\\${byte.toString(16).padStart(2, "0")}`).join("");
  return `(data (i32.const ${address}) "${text}")`;
}

/** Calls out so often in request headers, and does `onAnswer` with each answer. */
function calling({ cluster }: CallTarget, count: number, onAnswer: string): Uint8Array {
  const headers = callHeaders();
  const call = numbers(512, cluster.length, 256, headers.length, 0, 0, 0, 0, 1_000, 32);
  return guest({
    imports: imported("http_call", "ask", 10),
    body: `${dataAt(512, Buffer.from(cluster))} ${dataAt(256, headers)}
      (global $calls (mut i32) (i32.const 0))
      (func $call (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (drop (call $ask ${call})))
      ${onRequest(`${times(count, "(call $call)")} (i32.const 0)`)}
      ${on("http_call_response", "(param i32 i32 i32 i32 i32)", onAnswer)}`,
  });
}

/** Of each answer come two calls, until there were so many. */
const CALL_AGAIN = `(if (i32.lt_u (global.get $calls) (i32.const 300))
  (then (call $call) (call $call)))`;

/** All kinds, in the order in which a request meets them. */
export function hostileGuests(target: CallTarget): Readonly<Record<string, HostileGuest>> {
  return {
    ...GREEDY,
    "call-storm": { bytes: calling(target, 20, CALL_AGAIN), trap: null },
    "loop-call-response": { bytes: calling(target, 1, FOREVER), trap: TOO_LONG },
    ...BREAKS,
    ...LOOPS,
  };
}

/** Marks each response with `x-good: 1`. */
export const GOOD_GUEST: Uint8Array = guest({
  imports: imported("replace_header_map_value", "set", 5),
  body: `(data (i32.const 16) "x-good1")
    ${on("response_headers", PHASE, `(call $set ${numbers(2, 16, 6, 22, 1)})`)}`,
});
