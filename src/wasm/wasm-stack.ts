//! Reads the guest's own frames out of an error's stack, with names where the module has some.

import { readableName } from "./function-name.ts";

/** Frames shown of one crash; a recursion would fill pages. */
const FRAMES_MAX = 32;
const NAME_MAX = 200;

/**
 * `at name (wasm://wasm/name-0a1b:wasm-function[12]:0x1f)`; the name is missing without names. The
 * offset is dropped: it points into the code after the rewriting.
 */
const FRAME = /^\s*at (?:(.*) \()?wasm:\/\/(\S*?):wasm-function\[(\d+)\](?::0x[0-9a-f]+)?\)?$/;
/** Of the module: its name, if it has one, and a hash. */
const MODULE = /^wasm\/(.+)-[0-9a-f]{8}$/;

/** The guest's frames, innermost first: `name [12]`, or `wasm-function[12]` without a name. */
export function wasmFrames(stack: string): string[] {
  const frames: string[] = [];
  for (const line of stack.split("\n")) {
    const match = FRAME.exec(line);
    if (match === null) continue;
    const [, name, module = "", index = ""] = match;
    if (frames.length === FRAMES_MAX) {
      frames.push("…");
      break;
    }
    frames.push(frameText(name, module, index));
  }
  return frames;
}

function frameText(name: string | undefined, module: string, index: string): string {
  if (name === undefined || name === "") return `wasm-function[${index}]`;
  // V8 puts the module's name, if it has one, before the function's: `module.function`.
  const prefix = `${MODULE.exec(module)?.[1] ?? ""}.`;
  const own = name.startsWith(prefix) ? name.slice(prefix.length) : name;
  return `${readableName(own).slice(0, NAME_MAX)} [${index}]`;
}
