//! Compiles a module whole, off this thread. By default V8 compiles a function when it is first
//! called, on the thread that calls it: the start of a Go module of 6 MB then took 90 ms, and its
//! first requests stood still for it too.

import { setFlagsFromString } from "node:v8";
import { holdProcess } from "../base/hold-process.ts";

let underWay = 0;

/** Throws what the engine throws. */
export async function compileWhole(bytes: Uint8Array): Promise<WebAssembly.Module> {
  // The flag is the process's. A module that is compiled meanwhile is compiled whole too.
  underWay += 1;
  setFlagsFromString("--no-wasm-lazy-compilation");
  try {
    // V8's threads do not count as work under way: Node 24 would end, with 13.
    return await holdProcess(WebAssembly.compile(bytes));
  } finally {
    underWay -= 1;
    if (underWay === 0) setFlagsFromString("--wasm-lazy-compilation");
  }
}
