import assert from "node:assert/strict";
import { test } from "node:test";
import { wasmFrames } from "./wasm-stack.ts";

const HASH = "17h4b9712c2fd200c6dE";
const HTTP = "$LT$graylane_test_rust..Http$u20$as$u20$proxy_wasm..traits..HttpContext$GT$";

for (const { what, module, name, frame } of [
  { what: "without a name is its number", module: "", name: "", frame: "wasm-function[12]" },
  {
    what: "of a module without a name has its own",
    ...{ module: "", name: "proxy_on_tick", frame: "proxy_on_tick [12]" },
  },
  {
    what: "of a module with a name does not repeat that",
    ...{ module: "my.wasm", name: "my.wasm.proxy_on_tick", frame: "proxy_on_tick [12]" },
  },
  {
    what: "whose own name begins as the module's keeps it",
    ...{ module: "my", name: "my.my.tick", frame: "my.tick [12]" },
  },
  {
    what: "of Rust is a path",
    module: "r.wasm",
    name: `r.wasm._ZN10proxy_wasm9hostcalls12get_property${HASH}`,
    frame: "proxy_wasm::hostcalls::get_property [12]",
  },
  {
    what: "of a trait of Rust's names both",
    module: "",
    name: `_ZN76_${HTTP}23on_http_request_headers${HASH}`,
    frame:
      "<graylane_test_rust::Http as proxy_wasm::traits::HttpContext>" +
      "::on_http_request_headers [12]",
  },
  {
    what: "of a closure of Rust's says so",
    module: "",
    name: `_ZN3app4main28_$u7b$$u7b$closure$u7d$$u7d$${HASH}`,
    frame: "app::main::{{closure}} [12]",
  },
  {
    what: "that only looks mangled stays as it is",
    ...{ module: "", name: "_ZN99shortE", frame: "_ZN99shortE [12]" },
  },
]) {
  test(`the frame of a function ${what}`, () => {
    const hash = module === "" ? "000b0a96" : `${module}-000b0a96`;
    const place = `wasm://wasm/${hash}:wasm-function[12]:0x19e923`;
    const line = name === "" ? place : `${name} (${place})`;
    const stack = `Error: no\n    at inject (file:///a.js:1:2)\n    at ${line}\n    at b.js:1:1`;
    assert.deepEqual(wasmFrames(stack), [frame]);
  });
}
