//! What is logged of a plug-in that was stopped: who, in what callback, for whom, and its stack.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeStreamHost } from "../../src/wasm/fake-stream-host.ts";
import { loadModule, PluginModule } from "../../src/wasm/module.ts";
import { Plugin } from "../../src/wasm/plugin.ts";
import { guest } from "../support/guest.ts";
import { testServices } from "../support/plugin.ts";

const IMPORT = '(import "env" "proxy_done" (func (result i32)))';
const SETTINGS = {
  ...{ name: "hostile", version: "sha256:0123", rootId: "", vmId: "", env: {} },
  ...{ configuration: Buffer.from(""), vmConfiguration: Buffer.from("") },
};

// The numbers are those of the author's module: two functions stand before, and what is imported.
for (const { what, parts, frames } of [
  {
    what: "with a name section",
    parts: { hasNames: true },
    frames: ["parse_cookie [2]", "decide [3]", "request_headers [4]"],
  },
  {
    what: "with a name section and an import",
    parts: { hasNames: true, imports: IMPORT },
    frames: ["parse_cookie [3]", "decide [4]", "request_headers [5]"],
  },
  {
    what: "that is stripped",
    parts: {},
    frames: ["wasm-function[2]", "wasm-function[3]", "wasm-function[4]"],
  },
]) {
  test(`a crash report of a module ${what} says who, where, for whom, and the stack`, async () => {
    const bytes = guest({
      ...parts,
      body: `(func $parse_cookie (param i32) (result i32) (loop $forever (br $forever)) unreachable)
        (func $decide (param i32) (result i32)
          (i32.add (i32.const 1) (call $parse_cookie (local.get 0))))
        (export "decide" (func $decide))
        (func $request_headers (export "proxy_on_request_headers")
          (param i32 i32 i32) (result i32) (call $decide (local.get 0)))`,
    });
    const module = await loadModule(bytes, { name: "hostile" });
    assert.ok(module instanceof PluginModule);
    const services = { ...testServices(), budgets: { callbackMs: 20, startMs: 40 } };
    const plugin = Plugin.start(module, SETTINGS, services);
    assert.ok(plugin instanceof Plugin);
    const host = new FakeStreamHost([[":path", "/a"]], []);
    host.properties.set("request.id", Buffer.from("id-7"));
    const stream = plugin.createStream(host);
    assert.ok(stream !== null);
    stream.onRequestHeaders(true);
    const [head, ...at] = (services.lines[0] ?? "").split("\n");
    assert.equal(
      head,
      "error: trapped in proxy_on_request_headers: it ran for longer than its budget of 20 ms; " +
        "plug-in hostile (sha256:0123), request id-7",
    );
    assert.deepEqual(stream.trap?.frames, frames);
    assert.deepEqual(
      at,
      frames.map((frame) => `  at ${frame}`),
    );
  });
}
