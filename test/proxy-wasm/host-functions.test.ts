//! Host functions by their status codes: what Envoy answers, they answer (reference: Envoy 1.40).

import assert from "node:assert/strict";
import { test } from "node:test";
import { WASI_FUNCTIONS } from "../../src/wasm/abi/signatures.ts";
import { MapKind } from "../../src/wasm/enums.ts";
import { decodePairs, encodePairs } from "../../src/wasm/header-pairs.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { Bench, OUT, OUTSIDE, SCRATCH } from "../support/bench.ts";
import { guest } from "../support/guest.ts";

async function inRequest(): Promise<Bench> {
  const bench = await Bench.make();
  assert.equal(bench.stream.onRequestHeaders(true), 1);
  return bench;
}

const GET = "proxy_get_header_map_value";
const CALLS: readonly {
  readonly claim: string;
  readonly call: readonly [string, ...(number | bigint | string | Uint8Array)[]];
  readonly status: number;
}[] = [
  { claim: "an unknown log level", call: ["proxy_log", 6, "x"], status: 2 },
  { claim: "a log message outside memory", call: ["proxy_log", 2, OUTSIDE, 1], status: 6 },
  { claim: "a missing header", call: [GET, 0, "x-b", OUT, OUT + 4], status: 1 },
  { claim: "a header's name in capitals", call: [GET, 0, "X-A", OUT, OUT + 4], status: 0 },
  { claim: "a map that is not there yet", call: [GET, 2, "x-a", OUT, OUT + 4], status: 2 },
  { claim: "a map of a call", call: [GET, 6, "x-a", OUT, OUT + 4], status: 2 },
  { claim: "a map that nobody knows", call: [GET, 8, "x-a", OUT, OUT + 4], status: 2 },
  { claim: "a negative map", call: [GET, -1, "x-a", OUT, OUT + 4], status: 2 },
  { claim: "an out address outside", call: [GET, 0, "x-a", OUTSIDE, OUT], status: 6 },
  { claim: "a key that ends outside", call: [GET, 0, 65_530, 100, OUT, OUT + 4], status: 6 },
  { claim: "an empty key to add", call: ["proxy_add_header_map_value", 0, "", "x"], status: 0 },
  {
    claim: "a value that would split the message",
    call: ["proxy_add_header_map_value", 0, "x-c", "a\r\nb: c"],
    status: 2,
  },
  {
    claim: "a name that would split the message",
    call: ["proxy_replace_header_map_value", 0, "x c", "a"],
    status: 2,
  },
  { claim: "removing what is missing", call: ["proxy_remove_header_map_value", 0, "z"], status: 0 },
  {
    claim: "pairs of an unavailable map",
    call: ["proxy_get_header_map_pairs", 2, OUT, OUT + 4],
    status: 0,
  },
  {
    claim: "pairs of an unknown map",
    call: ["proxy_get_header_map_pairs", 8, OUT, OUT + 4],
    status: 2,
  },
  { claim: "the size of a call's map", call: ["proxy_get_header_map_size", 6, OUT], status: 2 },
  { claim: "an unknown property", call: ["proxy_get_property", "no", OUT, OUT + 4], status: 1 },
  {
    claim: "an object as property",
    call: ["proxy_get_property", "request", OUT, OUT + 4],
    status: 3,
  },
  { claim: "an empty path", call: ["proxy_get_property", "", OUT, OUT + 4], status: 3 },
  { claim: "an unknown context", call: ["proxy_set_effective_context", 99], status: 2 },
  { claim: "context 0", call: ["proxy_set_effective_context", 0], status: 0 },
  { claim: "done without being asked", call: ["proxy_done"], status: 1 },
  {
    claim: "an unknown foreign function",
    call: ["proxy_call_foreign_function", "no", "", OUT, OUT + 4],
    status: 1,
  },
  {
    claim: "a foreign function without out addresses",
    call: ["proxy_call_foreign_function", "clear_route_cache", "", 0, 0],
    status: 0,
  },
  { claim: "a metric of no type", call: ["proxy_define_metric", 3, "m", OUT], status: 2 },
  { claim: "an unknown metric", call: ["proxy_increment_metric", 4, 1n], status: 1 },
  {
    claim: "a missing shared value",
    call: ["proxy_get_shared_data", "k", OUT, OUT + 4, OUT + 8],
    status: 1,
  },
  {
    claim: "an unknown buffer",
    call: ["proxy_get_buffer_bytes", 9, 0, 1, OUT, OUT + 4],
    status: 2,
  },
  {
    claim: "the configuration outside configure",
    call: ["proxy_get_buffer_bytes", 7, 0, 9, OUT, OUT + 4],
    status: 1,
  },
  { claim: "changing a configuration", call: ["proxy_set_buffer_bytes", 6, 0, 1, "x"], status: 2 },
  { claim: "a stream of no kind", call: ["proxy_continue_stream", 4], status: 2 },
  { claim: "the upstream's stream", call: ["proxy_continue_stream", 3], status: 12 },
  {
    claim: "a response that is not final",
    call: ["proxy_send_local_response", 100, "", "", "", -1],
    status: 2,
  },
  { claim: "too many random bytes", call: ["random_get", 0, 65_537], status: 28 },
  { claim: "writing to another file", call: ["fd_write", 3, 0, 0, OUT], status: 8 },
  { claim: "opening a file", call: ["path_open", 3, 0, 0, 0, 0, 0n, 0n, 0, OUT], status: 44 },
  { claim: "an unknown clock", call: ["clock_time_get", 2, 0n, OUT], status: 58 },
];

for (const { claim, call, status } of CALLS) {
  test(`${claim}: ${call[0]} answers ${status}`, async () => {
    const bench = await inRequest();
    assert.equal(
      bench.inStream(() => bench.call(...call)),
      status,
    );
  });
}

test("a header with several values reads as its first one, and pairs give them all", async () => {
  const bench = await inRequest();
  bench.inStream(() => {
    assert.equal(bench.call(GET, 0, "x-a", OUT, OUT + 4), 0);
    assert.equal(bench.received().toString(), "1");
    assert.equal(bench.call("proxy_get_header_map_pairs", 0, OUT, OUT + 4), 0);
  });
  assert.deepEqual(decodePairs(bench.received()), bench.host.request.pairs);
});

test("every edit of the request's headers clears the route cache, no other does", async () => {
  const bench = await inRequest();
  bench.stream.onResponseHeaders(true);
  bench.inStream(() => {
    bench.call("proxy_replace_header_map_value", 0, "x-a", "3");
    bench.call("proxy_add_header_map_value", 0, "x-b", "4");
    bench.call("proxy_remove_header_map_value", 0, "x-b");
    bench.call("proxy_set_header_map_pairs", 0, encodePairs([["x-z", "\xff"]]));
    bench.call("proxy_replace_header_map_value", 2, "x-a", "3");
  });
  assert.deepEqual(bench.host.events, new Array(4).fill("clear route cache"));
  assert.deepEqual(bench.host.request.pairs, [["x-z", "\xff"]]);
  assert.equal(bench.host.response?.get("x-a"), "3");
});

test("malformed pairs are an empty list: the headers are wiped, as in Envoy", async () => {
  const bench = await inRequest();
  assert.equal(
    bench.inStream(() => bench.call("proxy_set_header_map_pairs", 0, "\x01\0\0\0\xff")),
    0,
  );
  assert.equal(bench.host.request.size, 0);
});

test("in ABI 0.1.0 a missing header is there and empty", async () => {
  const bench = await Bench.make("0_1_0");
  bench.stream.onRequestHeaders(true);
  assert.equal(
    bench.inStream(() => bench.call(GET, 0, "x-b", OUT, OUT + 4)),
    0,
  );
  assert.equal(bench.received().length, 0);
});

test("the request's headers go with the request phase and come back for the log", async () => {
  const bench = await Bench.make();
  const read = (): number => bench.inStream(() => bench.call(GET, 0, "x-a", OUT, OUT + 4));
  assert.equal(read(), 2);
  bench.stream.onRequestHeaders(true);
  assert.equal(read(), 0);
  bench.inStream(() => bench.call("proxy_continue_stream", 0));
  assert.equal(read(), 2);
  bench.stream.onLog();
  assert.equal(read(), 0);
  const write = bench.inStream(() => bench.call("proxy_replace_header_map_value", 0, "x-a", "9"));
  assert.equal(write, 2);
  bench.stream.onDone();
  assert.equal(read(), 2);
});

test("properties of the request vanish with its headers", async () => {
  const bench = await Bench.make();
  bench.host.properties.set("request.path", Buffer.from("/"));
  const read = (path: string): number =>
    bench.inStream(() => bench.call("proxy_get_property", path, OUT, OUT + 4));
  assert.equal(read("request\0path"), 1);
  assert.equal(read("request\0headers"), 0);
  assert.deepEqual([...bench.received()], [0, 0, 0, 0]);
  bench.stream.onRequestHeaders(true);
  assert.equal(read("request\0path"), 0);
  assert.equal(read("plugin_root_id"), 0);
  assert.equal(bench.received().toString(), "r");
});

test("a stream's map is out of sight while the root is the effective context", async () => {
  const bench = await inRequest();
  bench.inStream(() => {
    assert.equal(bench.call("proxy_set_effective_context", bench.root.id), 0);
    assert.equal(bench.call(GET, 0, "x-a", OUT, OUT + 4), 2);
    assert.equal(bench.call("proxy_set_effective_context", bench.stream.id), 0);
    assert.equal(bench.call(GET, 0, "x-a", OUT, OUT + 4), 0);
  });
});

test("the first local response wins and is delivered after the callback", async () => {
  const bench = await inRequest();
  bench.inStream(() => {
    const send = (status: number, body: string): number =>
      bench.call("proxy_send_local_response", status, "a b", body, encodePairs([["X-R", "1"]]), -1);
    assert.equal(send(403, "no"), 0);
    assert.equal(send(200, "yes"), 0);
    assert.equal(bench.call("proxy_continue_stream", MapKind.requestHeaders), 0);
    assert.deepEqual(bench.host.events, []);
  });
  assert.deepEqual(bench.host.events, ["respond 403"]);
  const [response] = bench.host.responses;
  assert.equal(Buffer.from(response?.body ?? []).toString(), "no");
  assert.deepEqual(
    { ...response, body: null },
    { status: 403, details: "a_b", body: null, headers: [["x-r", "1"]], grpcStatus: null },
  );
});

test("counters only grow, gauges follow, and what is defined again goes on counting", async () => {
  const bench = await inRequest();
  const define = (type: number): number => {
    assert.equal(bench.call("proxy_define_metric", type, "m", OUT), 0);
    return bench.vm.memory.u32At(OUT);
  };
  const value = (id: number): bigint => {
    assert.equal(bench.call("proxy_get_metric", id, OUT), 0);
    return bench.vm.memory.bytes.readBigUInt64LE(OUT);
  };
  const [counter, gauge, histogram] = [define(0), define(1), define(2)];
  assert.deepEqual([counter & 3, gauge & 3, histogram & 3], [0, 1, 2]);
  assert.equal(bench.call("proxy_increment_metric", counter, 0n), 2);
  assert.equal(bench.call("proxy_increment_metric", counter, 2n), 0);
  assert.equal(bench.call("proxy_record_metric", counter, 3n), 0);
  assert.equal(value(define(0)), 5n);
  assert.equal(bench.call("proxy_increment_metric", gauge, -1n), 0);
  assert.equal(value(gauge), 0xffff_ffff_ffff_ffffn);
  assert.equal(bench.call("proxy_record_metric", gauge, 7n), 0);
  assert.equal(value(gauge), 7n);
  assert.equal(bench.call("proxy_increment_metric", histogram, 1n), 2);
  assert.equal(bench.call("proxy_record_metric", histogram, 1n), 0);
  assert.equal(bench.call("proxy_get_metric", histogram, OUT), 2);
});

test("shared data is set by compare-and-set, a new key takes any number", async () => {
  const bench = await inRequest();
  const set = (value: string, cas: number): number =>
    bench.call("proxy_set_shared_data", "k", value, cas);
  assert.equal(set("one", 77), 0);
  assert.equal(bench.call("proxy_get_shared_data", "k", OUT, OUT + 4, OUT + 8), 0);
  assert.equal(bench.received().toString(), "one");
  const cas = bench.vm.memory.u32At(OUT + 8);
  assert.ok(cas > 0);
  assert.equal(set("two", cas), 0);
  assert.equal(set("three", cas), 8);
  assert.equal(set("", 0), 0);
  assert.equal(bench.call("proxy_get_shared_data", "k", OUT, OUT + 4, OUT + 8), 0);
  assert.equal(bench.vm.memory.u32At(OUT), 0);
});

/** What Envoy answers where there are no files and no sockets, whatever the arguments. */
const WASI_ANSWERS: Readonly<Record<number, string>> = {
  0: "args_get fd_advise fd_close fd_seek sched_yield",
  8: "fd_filestat_get fd_prestat_get",
  20: "fd_readdir",
  44: "path_open",
  52: "fd_fdstat_set_flags fd_pread fd_prestat_dir_name fd_read",
  58:
    "fd_allocate fd_datasync fd_fdstat_set_rights fd_filestat_set_size fd_filestat_set_times " +
    "fd_pwrite fd_renumber fd_sync fd_tell path_create_directory path_filestat_get " +
    "path_filestat_set_times path_link path_readlink path_remove_directory path_rename " +
    "path_symlink path_unlink_file proc_raise sock_accept sock_recv sock_send sock_shutdown",
};
/** Those that do something: cases of their own are above and below. */
const WASI_WORKS =
  "args_sizes_get clock_res_get clock_time_get environ_get environ_sizes_get fd_fdstat_get " +
  "fd_write poll_oneoff proc_exit random_get";

for (const [status, names] of Object.entries(WASI_ANSWERS)) {
  test(`WASI's functions that answer ${status} always do`, async () => {
    const bench = await Bench.make();
    for (const name of names.split(" ")) {
      const types = WASI_FUNCTIONS[name]?.split(":")[0] ?? assert.fail(name);
      const zeros = Array.from(types, (type) => (type === "I" ? 0n : 0));
      assert.equal(bench.call(name, ...zeros), Number(status), name);
    }
  });
}

test("no function of WASI is without a case", () => {
  const told = [...Object.values(WASI_ANSWERS), WASI_WORKS].flatMap((names) => names.split(" "));
  assert.deepEqual(told.sort(), Object.keys(WASI_FUNCTIONS).sort());
});

test("WASI's state of standard output and error says that they can be written", async () => {
  const bench = await Bench.make();
  for (const descriptor of [1, 2]) {
    bench.vm.memory.bytes.fill(0xff, OUT, OUT + 25);
    assert.equal(bench.call("fd_fdstat_get", descriptor, OUT), 0);
    const stat = bench.vm.memory.bytes.subarray(OUT, OUT + 25);
    assert.deepEqual(
      [...stat.entries()].filter(([, byte]) => byte !== 0),
      [
        [8, 0x40],
        [24, 0xff],
      ],
    );
  }
  assert.equal(bench.call("fd_fdstat_get", 0, OUT), 8);
  assert.equal(bench.call("fd_fdstat_get", 3, OUT), 8);
});

test("WASI has no arguments, clocks of a nanosecond, and nothing to wait for", async () => {
  const bench = await Bench.make();
  const { memory } = bench.vm;
  memory.bytes.fill(0xff, OUT, OUT + 8);
  assert.equal(bench.call("args_sizes_get", OUT, OUT + 4), 0);
  assert.deepEqual([memory.u32At(OUT), memory.u32At(OUT + 4)], [0, 0]);
  for (const clock of [0, 1]) {
    assert.equal(bench.call("clock_res_get", clock, OUT), 0);
    assert.equal(memory.bytes.readBigUInt64LE(OUT), 1n);
  }
  assert.equal(bench.call("clock_res_get", 2, OUT), 58);
  memory.bytes.fill(0xff, OUT, OUT + 4);
  assert.equal(bench.call("poll_oneoff", SCRATCH, SCRATCH, 1, OUT), 0);
  assert.equal(memory.u32At(OUT), 0);
});

test("what a guest prints is logged: output as info, errors as error", async () => {
  const bench = await Bench.make();
  const [pointer, length] = bench.put("oh no\n");
  const vector = Buffer.alloc(8);
  vector.writeUInt32LE(pointer, 0);
  vector.writeUInt32LE(length, 4);
  const [vectors] = bench.put(vector);
  assert.equal(bench.call("fd_write", 2, vectors, 1, OUT), 0);
  assert.equal(bench.call("fd_write", 1, vectors, 1, OUT), 0);
  assert.equal(bench.vm.memory.u32At(OUT), 6);
  assert.deepEqual(bench.services.lines, ["error: oh no", "info: oh no"]);
});

test("the environment holds the configured variables and no others", async () => {
  const bench = await Bench.make();
  assert.equal(bench.call("environ_sizes_get", OUT, OUT + 4), 0);
  assert.deepEqual([bench.vm.memory.u32At(OUT), bench.vm.memory.u32At(OUT + 4)], [1, 4]);
  assert.equal(bench.call("environ_get", OUT, SCRATCH), 0);
  assert.equal(bench.vm.memory.bytes.toString("latin1", SCRATCH, SCRATCH + 4), "A=b\0");
});

test("the time is the clock's", async () => {
  const bench = await Bench.make();
  bench.services.clock.advance(234);
  assert.equal(bench.call("proxy_get_current_time_nanoseconds", OUT), 0);
  assert.equal(bench.vm.memory.bytes.readBigUInt64LE(OUT), 1_000_234_000_000n);
});

test("a function of another ABI version is not registered", async () => {
  const first = await Bench.make("0_1_0");
  const last = await Bench.make("0_2_1");
  assert.ok(first.has("proxy_clear_route_cache") && !last.has("proxy_clear_route_cache"));
  assert.ok(!first.has("proxy_continue_stream") && last.has("proxy_continue_stream"));
});

test("a module is known by the names of the properties that cost something to know", async () => {
  const asked: Readonly<Record<string, (module: PluginModule) => boolean>> = {
    backend_latency: ({ namesLatency }) => namesLatency,
    local_certificate: ({ namesLocalCertificate }) => namesLocalCertificate,
  };
  for (const [name, isNamedBy] of Object.entries(asked)) {
    const wide = Buffer.from(name, "utf16le").toString("latin1").replaceAll("\0", "\\00");
    // Behind another byte it lies between the units of the file.
    const texts = [`x\\00${name}`, wide, `-${wide}`, name.slice(0, -2)];
    const seen: boolean[] = [];
    for (const text of texts) {
      const bytes = guest({ body: `(data (i32.const 1024) "${text}")` });
      const module = await loadModule(bytes, { name: "p" });
      assert.ok(module instanceof PluginModule);
      seen.push(isNamedBy(module));
    }
    assert.deepEqual(seen, [true, true, true, false], name);
  }
});
