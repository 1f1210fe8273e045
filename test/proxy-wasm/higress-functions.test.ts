//! Higress' other additions to the ABI by their status codes and by what they ask of the embedder.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench, OUT, OUTSIDE } from "../support/bench.ts";

const INJECT = "proxy_inject_encoded_data_to_filter_chain";
const HOSTS = "proxy_get_upstream_hosts";
const OVERRIDE = "proxy_set_upstream_override_host";
const ON_HEADER = "inject_encoded_data_to_filter_chain_on_header";
const INJECTED_BYTES_MAX = 16 * 1024 * 1024;

const make = (): Promise<Bench> => Bench.make("0_2_100");

function foreign(bench: Bench, name: string, input: string | Uint8Array = ""): number {
  return bench.inStream(() => bench.call("proxy_call_foreign_function", name, input, OUT, OUT + 4));
}

test("data is put into the response when the callback has returned, in its order", async () => {
  const bench = await make();
  bench.inStream(() => {
    assert.equal(bench.call(INJECT, "one", 0), 0);
    assert.equal(bench.call(INJECT, "two", 1), 0);
    assert.deepEqual(bench.host.events, []);
  });
  assert.deepEqual(bench.host.events, ["inject one", "inject two end"]);
});

test("what the guest does to its memory afterwards does not change the data", async () => {
  const bench = await make();
  bench.inStream(() => {
    const [pointer, length] = bench.put("kept");
    assert.equal(bench.call(INJECT, pointer, length, 0), 0);
    bench.vm.memory.bytes.fill(0x78, pointer, pointer + length);
  });
  assert.deepEqual(bench.host.events, ["inject kept"]);
});

test("data without a response, outside memory, or too much of it is refused", async () => {
  const bench = await make();
  bench.host.takesResponseBody = false;
  assert.equal(
    bench.inStream(() => bench.call(INJECT, "x", 0)),
    2,
  );
  bench.host.takesResponseBody = true;
  assert.equal(
    bench.inStream(() => bench.call(INJECT, OUTSIDE, 1, 0)),
    6,
  );
  assert.equal(
    bench.inStream(() => bench.call(INJECT, 0, INJECTED_BYTES_MAX + 1, 0)),
    6,
  );
  bench.vm.enter(bench.root, null);
  assert.equal(bench.call(INJECT, "x", 0), 2);
  bench.vm.leave();
  assert.deepEqual(bench.host.events, []);
});

test("one callback puts in no more bytes than it may, the next one can go on", async () => {
  const bench = await make();
  const most = new Uint8Array(INJECTED_BYTES_MAX);
  const one = new Uint8Array(1);
  for (let callback = 0; callback < 2; callback++) {
    const taken = bench.inStream(() =>
      [most, one].map((body) => bench.stream.injectResponseBody(body, false)),
    );
    assert.deepEqual(taken, [true, false]);
  }
  assert.equal(bench.host.events.length, 2);
});

test("one callback puts off no more than it may", async () => {
  const bench = await make();
  const statuses = bench.inStream(() =>
    Array.from({ length: 70 }, () => bench.call(INJECT, "", 0)),
  );
  assert.deepEqual([statuses.indexOf(10), statuses.lastIndexOf(0)], [64, 63]);
});

test("in the callback of the headers the same is a foreign function", async () => {
  const bench = await make();
  const message = Buffer.from([0x0a, 2, 0x68, 0x69, 0x10, 1]);
  assert.equal(foreign(bench, ON_HEADER, message), 0);
  assert.equal(foreign(bench, ON_HEADER, Buffer.from([0x0a, 9])), 2);
  bench.host.takesResponseBody = false;
  assert.equal(foreign(bench, ON_HEADER, message), 2);
  assert.deepEqual(bench.host.events, ["inject hi end"]);
});

test("hosts of the route's cluster come as pairs with the state of their health", async () => {
  const bench = await make();
  const ask = (): number => bench.inStream(() => bench.call(HOSTS, OUT, OUT + 4));
  assert.equal(ask(), 0);
  assert.equal(bench.received().length, 0);
  bench.host.hosts = [
    { address: "10.0.0.1:80", isHealthy: true },
    { address: "10.0.0.2:80", isHealthy: false },
  ];
  assert.equal(ask(), 0);
  assert.equal(bench.received().readUInt32LE(), 2);
  const texts = bench
    .received()
    .toString("latin1")
    .split("\0")
    .filter((text) => /^[1{]/.test(text));
  assert.deepEqual(texts, [
    ...["10.0.0.1:80", '{"health_status":"Healthy"}'],
    ...["10.0.0.2:80", '{"health_status":"Unhealthy"}'],
  ]);
  assert.equal(
    bench.inStream(() => bench.call(HOSTS, OUTSIDE, OUT)),
    6,
  );
  bench.vm.enter(bench.root, null);
  assert.equal(bench.call(HOSTS, OUT, OUT + 4), 2);
  bench.vm.leave();
});

test("a host is chosen by its address", async () => {
  const bench = await make();
  const choose = (...address: (string | number)[]): number =>
    bench.inStream(() => bench.call(OVERRIDE, ...address));
  assert.equal(choose("10.0.0.1:80"), 0);
  assert.equal(choose(OUTSIDE, 4), 6);
  assert.equal(choose("x".repeat(257)), 2);
  assert.deepEqual(bench.host.events, ["override 10.0.0.1:80"]);
});

test("the log's level is a little-endian number, and io cycles are taken note of", async () => {
  const bench = await make();
  assert.equal(foreign(bench, "get_log_level"), 0);
  assert.deepEqual([...bench.received()], [2, 0, 0, 0]);
  assert.equal(foreign(bench, "set_global_max_requests_per_io_cycle", Buffer.alloc(8)), 0);
});

test("a module of another ABI finds none of the foreign functions, as in Envoy", async () => {
  const bench = await Bench.make("0_2_1");
  for (const name of ["get_log_level", "set_global_max_requests_per_io_cycle", ON_HEADER]) {
    assert.equal(foreign(bench, name), 1, name);
  }
});

test("the size of the VM's memory is a property of Higress'", async () => {
  const read = (bench: Bench): number =>
    bench.inStream(() => bench.call("proxy_get_property", "plugin_vm_memory", OUT, OUT + 4));
  const bench = await make();
  assert.equal(read(bench), 0);
  assert.equal(bench.received().readBigUInt64LE(), 65_536n);
  assert.equal(read(await Bench.make("0_2_1")), 1);
});

test("a new VM is asked for by a property, under either of its names", async () => {
  const bench = await make();
  let asked = 0;
  bench.root.onRebuildAsked = () => (asked += 1);
  const set = (name: string, value: string): number =>
    bench.inStream(() => bench.call("proxy_set_property", name, value));
  for (const name of ["wasm_need_rebuild", "wasm_rebuild"]) assert.equal(set(name, "true"), 0);
  set("wasm_need_rebuild", "false");
  set("other", "true");
  assert.equal(asked, 2);
});
