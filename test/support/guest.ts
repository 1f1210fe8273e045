//! Small guests for tests of the Proxy-Wasm host, written in the WebAssembly text format.

import binaryen from "assemblyscript/binaryen";

/** Without garbage collection, which would change how every type is written. */
const FEATURES = (binaryen.Features.All &
  ~binaryen.Features.GC &
  ~binaryen.Features.Memory64) as binaryen.Features;

const assembled = new Map<string, Uint8Array>();

/** Assembles WebAssembly text, without a name section unless asked; the same text only once. */
export function assemble(text: string, hasNames = false): Uint8Array {
  const key = `${hasNames} ${text}`;
  const known = assembled.get(key);
  if (known !== undefined) return known;
  const module = binaryen.parseText(text);
  module.setFeatures(FEATURES);
  binaryen.setDebugInfo(hasNames);
  const bytes = module.emitBinary();
  module.dispose();
  assembled.set(key, bytes);
  return bytes;
}

export interface GuestParts {
  /** Names the version export; `""` for none. */
  readonly abi?: string;
  /** Imports come first in the text format. */
  readonly imports?: string;
  /** Functions, globals and data. */
  readonly body?: string;
  readonly malloc?: string;
  /** Whether its functions keep their names, as in a module that is not stripped. */
  readonly hasNames?: boolean;
}

/** An allocator that never frees: it starts at 4096 and grows upwards. */
const MALLOC = `
  (global $top (mut i32) (i32.const 4096))
  (func (export "malloc") (param $size i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $top))
    (global.set $top (i32.add (global.get $top) (local.get $size)))
    (local.get $start))`;

/** A guest of ABI 0.2.1 with one page of memory and an allocator, plus what the test adds. */
export function guest({
  abi = "0_2_1",
  imports = "",
  body = "",
  malloc = MALLOC,
  hasNames = false,
}: GuestParts): Uint8Array {
  const version = abi === "" ? "" : `(func (export "proxy_abi_version_${abi}"))`;
  const memory = '(memory (export "memory") 1)';
  return assemble(`(module ${imports} ${memory} ${version} ${malloc} ${body})`, hasNames);
}
